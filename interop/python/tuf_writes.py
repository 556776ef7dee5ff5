"""Writes a zone with python-tuf: SITE PREFIX LIST PATH, with a cut at CUT if that is given
(ROOT METADATA TARGETS). All key types, a threshold, delegations that do not matter."""
import json, os, sys
from datetime import datetime, timedelta, timezone
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole, Delegations, Key, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp,
)

site, prefix, listing, path, *cut = sys.argv[1:]
expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
ed, ec, rsa = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ecdsa(), CryptoSigner.generate_rsa()
root = Root(expires=expires, consistent_snapshot=True)
root.unrecognized_fields["x-image-zone"] = {"prefix": prefix}
for role, signer in [("root", ed), ("root", ec), ("targets", rsa), ("snapshot", ec), ("timestamp", ed)]:
    root.add_key(signer.public_key, role)
root.roles["root"].threshold = 2
targets = Targets(expires=expires)
files = {}
def add(where, name, data, custom=None):
    info = TargetFile.from_data(name, data, ["sha256", "sha512"])
    if custom:
        info.unrecognized_fields["custom"] = custom
    where.targets[name] = info
    folder, file = os.path.split(name)
    files[os.path.join(folder, f"{info.hashes['sha256']}.{file}")] = data
with open(listing, "rb") as file:
    add(targets, f"oci-index/{path}", file.read())
zones = Targets(expires=expires)
roles = {"other": DelegatedRole("other", [ed.public_key.keyid], 1, False, ["releases/*"])}
keys = {ed.public_key.keyid: ed.public_key}
if cut:
    name, child, metadata, target = cut
    with open(child, "rb") as file:
        data = file.read()
    place = {"prefix": f"{prefix}/{name}", "metadata": [metadata], "targets": [target]}
    add(zones, f"zones/{name}.root.json", data, {"x-image-zone": place})
    roles["zones"] = DelegatedRole("zones", [ed.public_key.keyid], 1, True, ["zones/*", "zones/*/*"])
targets.delegations = Delegations(keys, roles)
snapshot = Snapshot(expires=expires)
snapshot.meta["zones.json"] = MetaFile(1)
snapshot.meta["other.json"] = MetaFile(1)
timestamp = Timestamp(expires=expires)
def put(name, signed, *signers):
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    out = os.path.join(site, "zone/metadata", name)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    metadata.to_file(out)
put("1.root.json", root, ed, ec)
put("1.targets.json", targets, rsa)
put("1.zones.json", zones, ed)
put("1.other.json", Targets(expires=expires), ed)
put("1.snapshot.json", snapshot, ec)
put("timestamp.json", timestamp, ed)
for name, data in files.items():
    out = os.path.join(site, "zone/targets", name)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out, "wb") as file:
        file.write(data)
base = f"https://{prefix.split('/')[0]}/zone"
said = {
    "schemaVersion": 1,
    "host": prefix.split("/")[0],
    "zone": {"prefix": prefix, "metadata": [base + "/metadata/"], "targets": [base + "/targets/"]},
}
os.makedirs(os.path.join(site, ".well-known"), exist_ok=True)
with open(os.path.join(site, ".well-known/image-names"), "w") as file:
    json.dump(said, file)
