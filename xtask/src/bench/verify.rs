//! How long it takes to verify an image that has ten signatures, ten times in a row, so
//! that the start of the measuring itself does not count.
//!
//! Peers verify what they can, where they can: cosign in a registry, the library of
//! notation in a layout with ten of its own signatures, skopeo a single one with GPG, for
//! it has no other way without copying.

use super::archive::TAG;
use super::job::{Job, Place, peers};
use crate::{Outcome, budget};

fn often(command: &str) -> String {
    format!("for n in 1 2 3 4 5 6 7 8 9 10; do {command} || exit 1; done")
}

/// Makes a signature for each of ten keys, five of each form, about a copy of the image.
const SIGN: &str = "for n in 1 2 3 4 5 6 7 8 9 10; do
           [ $n -gt 5 ] && form=cosign-simple || form=sigstore-bundle
           $P key new k$n -q >/dev/null
           $P sign oci:$O/images:$T --key k$n --as example.com/org/app:v1 --form $form -q >/dev/null
         done";

/// Ten signatures, one signer of them asked for.
#[expect(clippy::unnecessary_wraps, reason = "as the jobs of all tasks")]
pub(super) fn verify(place: &Place<'_>) -> Outcome<Vec<Job>> {
    let (program, out) = (budget::release(), place.out.display());
    let program = program.display();
    let layout = place.image.folder();
    let environment = format!(
        "export P={program} O={out} T={TAG} PLIMSOLL_KEYS={out}/keys PLIMSOLL_PASSPHRASE= HOME={out}"
    );
    let copy = format!("{environment}\ncp -a {} {out}/images\n{SIGN}", layout.display());
    let command = format!("{program} verify oci:{out}/images:{TAG} --key k10 -q >/dev/null");
    let mut jobs = vec![
        Job::new("plimsoll verify", format!("{environment}\n{}", often(&command))).after(&copy),
    ];
    if let (Some((registry, _)), cosigns) =
        (peers("docker-registry").into_iter().next(), peers("cosign"))
    {
        for (cosign, version) in cosigns {
            let place = "127.0.0.1:5987/bench/app";
            let setup = format!(
                "{copy}
         printf 'version: 0.1\\nlog: {{level: error}}\\nstorage: {{filesystem: {{rootdirectory: {out}/r}}}}\\nhttp: {{addr: 127.0.0.1:5987}}\\n' > {out}/r.yml
         {registry} serve {out}/r.yml >/dev/null 2>&1 </dev/null &
         echo $! > {out}/pid
         for n in 1 2 3 4 5 6 7 8 9 10; do {program} ls docker://{place} >/dev/null 2>&1 && break; sleep 0.2; done
         {program} copy oci:{out}/images:{TAG} docker://{place}:v1 --referrers -q >/dev/null
         {program} key export k1 > {out}/k.pub",
                registry = registry.display(),
            );
            let command = format!(
                "{} verify --key {out}/k.pub --insecure-ignore-tlog=true --allow-http-registry {place}:v1 >/dev/null 2>&1",
                cosign.display()
            );
            let mut job = Job::new(
                format!("cosign {version} verify, from a registry"),
                format!("{environment}\n{}", often(&command)),
            )
            .after(setup);
            job.teardown = Some(format!("kill $(cat {out}/pid)"));
            jobs.push(job);
        }
    }
    for (notation, version) in peers("notation-check") {
        let _ = version;
        let notation = notation.display();
        let setup = format!(
            "cp -a {layout} {out}/images
         openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out {out}/k.key
         openssl req -x509 -new -key {out}/k.key -out {out}/k.pem -days 99 -subj /C=US/ST=WA/O=Example/CN=k -addext keyUsage=critical,digitalSignature -addext basicConstraints=CA:FALSE
         mkdir -p {out}/truststore/x509/ca/k && cp {out}/k.pem {out}/truststore/x509/ca/k/
         echo '{{\"version\":\"1.0\",\"trustPolicies\":[{{\"name\":\"k\",\"registryScopes\":[\"*\"],\"signatureVerification\":{{\"level\":\"strict\"}},\"trustStores\":[\"ca:k\"],\"trustedIdentities\":[\"*\"]}}]}}' > {out}/trustpolicy.json
         {program} inspect -q oci:{out}/images:{TAG} > {out}/digest
         for n in 1 2 3 4 5 6 7 8 9 10; do
           {notation} sign {out}/k.key {out}/k.pem {out}/images local/x@$(cat {out}/digest) application/jose+json >/dev/null
         done",
            layout = layout.display(),
        );
        let command =
            format!("{notation} verify {out} {out}/images local/x@$(cat {out}/digest) >/dev/null");
        jobs.push(Job::new("notation-go verify", often(&command)).after(setup));
    }
    for (skopeo, version) in peers("skopeo") {
        let skopeo = skopeo.display();
        let setup = format!(
            "{environment}
         mkdir -m 700 {out}/g && export GNUPGHOME={out}/g
         gpg --batch --quiet --passphrase '' --quick-gen-key a@example.com rsa3072 sign 2>/dev/null
         gpg --batch --list-keys --with-colons | awk -F: '/^fpr/ {{print $10; exit}}' > {out}/fpr
         {program} show oci:{layout} > {out}/manifest.json
         {skopeo} standalone-sign {out}/manifest.json example.com/org/app:v1 $(cat {out}/fpr) -o {out}/s",
            layout = place.image.layout(),
        );
        let command = format!(
            "GNUPGHOME={out}/g {skopeo} standalone-verify {out}/manifest.json example.com/org/app:v1 $(cat {out}/fpr) {out}/s >/dev/null"
        );
        let mut job =
            Job::new(format!("skopeo {version} standalone-verify"), often(&command)).after(setup);
        job.teardown = Some(format!("GNUPGHOME={out}/g gpgconf --kill gpg-agent"));
        jobs.push(job);
    }
    Ok(jobs)
}
