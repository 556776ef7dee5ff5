//! The budgets for signatures, with their reasons.

plimsoll_content::budgets! {
    /// Adjustable budgets of looking at signatures.
    pub struct Limits {
        /// How many signatures of one image are looked at.
        candidates: usize = 100, "signatures", Count, 10_000,
            "endless signatures keep a verifier busy (CVE-2023-46737)";
        /// The largest payload of a simple signature.
        simple: u64 = 64 << 10, "signature-payload", Bytes, u64::MAX,
            "it is a name and a digest";
        /// The largest bundle or envelope of a signature.
        envelope: u64 = 1 << 20, "signature-bytes", Bytes, u64::MAX,
            "it is held in memory, several times";
        /// The largest attestation.
        attestation: u64 = 32 << 20, "attestation-bytes", Bytes, u64::MAX,
            "bills of materials are large";
        /// How many bytes of signatures one image may have.
        total: u64 = 64 << 20, "signatures-bytes", Bytes, u64::MAX,
            "each of them is fetched";
        /// How many subjects an attestation may have.
        subjects: usize = 1024, "subjects", Count, u64::MAX,
            "each is compared";
        /// How many digests of one subject an attestation may give.
        digests: usize = 32, "subject-digests", Count, u64::MAX,
            "there are not more algorithms";
        /// How many entries of transparency logs a bundle may have.
        log_entries: usize = 32, "log-entries", Count, u64::MAX,
            "each is looked at (CVE-2024-29903)";
        /// How many time stamps a bundle may have.
        timestamps: usize = 32, "timestamps", Count, u64::MAX,
            "each is looked at";
        /// The largest file whose signature is looked at.
        blob: u64 = 512 << 20, "signed-file", Bytes, u64::MAX,
            "it is held in memory, once";
        /// How deep arrays and objects of signed JSON may nest.
        depth: usize = 32, "signature-depth", Levels, 127,
            "readers that recurse run out of stack";
        /// How many seconds looking for signatures of one image may take.
        seconds: u64 = 30, "signature-seconds", Count, u64::MAX,
            "a registry may drip them";
    }
}
