"""Verifies an envelope of the Notary Project with jwcrypto or pycose, by the key of its
first certificate; writes the certificates as PEM and the payload as it is.

    notary_verifies.py ENVELOPE CHAIN.pem PAYLOAD
"""

import base64
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives import serialization

NAMES = ["signingScheme", "signingTime", "expiry"]


def jws(raw):
    from jwcrypto import jwk, jws
    from jwcrypto.common import JWSEHeaderParameter

    envelope = json.loads(raw)
    chain = [base64.b64decode(one, validate=True) for one in envelope["header"]["x5c"]]
    known = {
        "io.cncf.notary." + name: JWSEHeaderParameter(name, True, True, None) for name in NAMES
    }
    token = jws.JWS(header_registry=known)
    token.allowed_algs = ["PS256", "PS384", "PS512", "ES256", "ES384"]
    token.deserialize(raw.decode())
    token.verify(jwk.JWK.from_pyca(leaf(chain)))
    return chain, token.payload, token.jose_header["alg"]


def cose(raw):
    from pycose.headers import Algorithm
    from pycose.keys import EC2Key, RSAKey
    from pycose.keys.curves import P256, P384
    from pycose.messages import Sign1Message

    message = Sign1Message.decode(raw)
    chain = [value for key, value in message.uhdr.items() if getattr(key, "identifier", key) == 33]
    chain = chain[0]
    key = leaf(chain)
    numbers = key.public_numbers()
    whole = lambda number: number.to_bytes((number.bit_length() + 7) // 8, "big")
    if hasattr(numbers, "e"):
        message.key = RSAKey(n=whole(numbers.n), e=whole(numbers.e))
    else:
        size = key.key_size // 8
        curve = {256: P256, 384: P384}[key.key_size]
        x, y = (number.to_bytes(size, "big") for number in (numbers.x, numbers.y))
        message.key = EC2Key(crv=curve, x=x, y=y)
    if not message.verify_signature():
        raise ValueError("not made by its certificate")
    return chain, message.payload, message.phdr[Algorithm].fullname


def leaf(chain):
    return x509.load_der_x509_certificate(chain[0]).public_key()


def main():
    raw = open(sys.argv[1], "rb").read()
    chain, payload, algorithm = jws(raw) if raw.startswith(b"{") else cose(raw)
    with open(sys.argv[2], "wb") as out:
        for one in chain:
            out.write(x509.load_der_x509_certificate(one).public_bytes(serialization.Encoding.PEM))
    open(sys.argv[3], "wb").write(payload)
    print(algorithm)


main()
