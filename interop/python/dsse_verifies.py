"""Verifies the envelope of a bundle with securesystemslib, by a public key in PEM, and
writes its payload.

    dsse_verifies.py BUNDLE KEY.pem PAYLOAD
"""

import json
import sys

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

bundle = json.load(open(sys.argv[1]))
envelope = bundle["dsseEnvelope"]
for signature in envelope["signatures"]:
    # It compares names of keys, and there are none in bundles.
    signature["keyid"] = "key"
public = load_pem_public_key(open(sys.argv[2], "rb").read())
scheme = "rsa-pkcs1v15-sha256" if isinstance(public, RSAPublicKey) else None
key = SSlibKey.from_crypto(public, keyid="key", scheme=scheme)
read = Envelope.from_dict(envelope)
read.verify([key], 1)
open(sys.argv[3], "wb").write(read.payload)
print(key.scheme)
