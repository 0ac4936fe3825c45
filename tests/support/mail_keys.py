"""Keys that sign e-mails, and the answers of a DNS in which they are published."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


def rsa_key(bits: int = 2048, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    """Make a private key, in PEM."""
    key = generate_private_key(65537, bits)
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def dns_with(private_key: str, name: str) -> Callable[..., bytes | None]:
    """Return a function that answers the questions of a verifier, as a DNS with one TXT record of the public key."""
    key = load_pem_private_key(private_key.encode(), None)
    public = b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def answer(asked: bytes, timeout: int = 5) -> bytes | None:
        return b"v=DKIM1; k=rsa; p=" + public if asked.rstrip(b".") == name.encode() else None

    return answer
