"""A receiver's check of a signature by RFC 6376, written without the library that signs."""

from __future__ import annotations

import re
from base64 import b64decode
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def is_valid(mail: bytes, private_key: str) -> bool:
    """Return whether the first header is a valid signature, in the form ``relaxed/relaxed`` with RSA and SHA-256.

    Parameters
    ----------
    mail
        The e-mail as it arrived.
    private_key
        The key in PEM. Only its public half is used.
    """
    head, _, body = mail.partition(b"\r\n\r\n")
    headers = re.split(rb"\r\n(?![ \t])", head)
    tags = _tags(headers[0])
    assert (tags["a"], tags["c"]) == (b"rsa-sha256", b"relaxed/relaxed")
    if b64decode(tags["bh"]) != sha256(_relaxed_body(body)).digest():
        return False
    rest = headers[1:]
    signed = b""
    for name in tags["h"].lower().split(b":"):
        # A name that is listed once more than its header occurs says that there is no further one.
        places = [i for i, header in enumerate(rest) if header.partition(b":")[0].strip().lower() == name]
        if places:
            signed += _relaxed_header(rest.pop(places[-1])) + b"\r\n"
    signed += _relaxed_header(re.sub(rb"(\bb=)[^;]*", rb"\1", headers[0]))
    key = load_pem_private_key(private_key.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    try:
        key.public_key().verify(b64decode(tags["b"]), signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _tags(header: bytes) -> dict[str, bytes]:
    name, _, value = header.partition(b":")
    assert name.lower() == b"dkim-signature"
    pairs = (pair.partition(b"=") for pair in re.sub(rb"\s", b"", value).split(b";") if pair)
    return {tag.decode(): text for tag, _, text in pairs}


def _relaxed_header(header: bytes) -> bytes:
    name, _, value = header.partition(b":")
    return name.strip().lower() + b":" + re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip()


def _relaxed_body(body: bytes) -> bytes:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)
