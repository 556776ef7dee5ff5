// Verifies a bundle with @sigstore/verify, by a public key in PEM, and writes what is
// signed in it. It is run where that library is installed.
//
//   node sigstore_verifies.cjs BUNDLE KEY.pem PAYLOAD

const { readFileSync, writeFileSync } = require("node:fs");
const { createPublicKey } = require("node:crypto");
const { createRequire } = require("node:module");
const library = createRequire(process.cwd() + "/");
const { bundleFromJSON } = library("@sigstore/bundle");
const { Verifier, toSignedEntity, toTrustMaterial } = library("@sigstore/verify");

const [, , file, key, payload] = process.argv;
const bundle = bundleFromJSON(JSON.parse(readFileSync(file, "utf8")));
const publicKey = createPublicKey(readFileSync(key));
const nobody = {
  certificateAuthorities: [],
  timestampAuthorities: [],
  tlogs: [],
  ctlogs: [],
  mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
};
const trust = toTrustMaterial(nobody);
trust.publicKey = () => ({ publicKey, validFor: () => true });
const thresholds = { tlogThreshold: 0, timestampThreshold: 0, ctlogThreshold: 0 };
new Verifier(trust, thresholds).verify(toSignedEntity(bundle));
writeFileSync(payload, bundle.content.dsseEnvelope.payload);
console.log("verified");
