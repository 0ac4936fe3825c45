"""Signatures of e-mails (DKIM, RFC 6376), with which a receiver tells that an e-mail comes from its domain."""

from __future__ import annotations

import dkim
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

MIN_BITS = 1024
"""Minimum size of an RSA key, bits. Receivers ignore signatures with a shorter one (RFC 8301)."""

_SIGNED = (
    b"from",
    b"to",
    b"reply-to",
    b"subject",
    b"date",
    b"message-id",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
    b"list-id",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
)
"""Headers that are signed if an e-mail has them. Receivers use the one-click headers only if they are signed."""
_ONLY_ONCE = (b"from", b"to", b"subject", b"date", b"content-type")
"""Headers of which no one can add a second one: the signature says that there is none."""
_RELAXED = (b"relaxed", b"relaxed")
"""Form of header and body that is signed. It survives servers that change blanks."""


class InvalidDkimKey(ValueError):
    """A key that cannot sign e-mails."""


class MailSigner:
    """A signer of the e-mails of one domain.

    Parameters
    ----------
    domain, selector
        The domain that signs, and the name of its key in the DNS.
    private_key
        An RSA key in PEM.

    Raises
    ------
    InvalidDkimKey
        The key cannot be read, or it is too short or of another kind.
    """

    def __init__(self, domain: str, selector: str, private_key: str) -> None:
        self._domain = domain.encode("ascii")
        self._selector = selector.encode("ascii")
        self._key = _pem(private_key)

    def __repr__(self) -> str:
        return f"<MailSigner {self._selector.decode()}._domainkey.{self._domain.decode()}>"

    def signed(self, mail: bytes) -> bytes:
        """Return an e-mail with its signature as the first header.

        The signature names the time at which it was made, so only the e-mail after it has the same bytes every time.

        Raises
        ------
        ValueError
            The library cannot read the e-mail.
        """
        present = {line.split(b":", 1)[0].lower() for line in mail.partition(b"\r\n\r\n")[0].split(b"\r\n")}
        names = [name for name in _SIGNED if name in present]
        try:
            signature: bytes = dkim.sign(
                mail,
                self._selector,
                self._domain,
                self._key,
                canonicalize=_RELAXED,
                include_headers=[*names, *_ONLY_ONCE],
            )
        except dkim.DKIMException as error:
            raise ValueError(f"it cannot be signed: {error}") from error
        return signature + mail


def require_key(private_key: str) -> None:
    """Check that a key can sign e-mails.

    Raises
    ------
    InvalidDkimKey
        It cannot be read, or it is too short or of another kind.
    """
    _pem(private_key)


def _pem(private_key: str) -> bytes:
    """Return a key in the form that the library reads."""
    try:
        key = load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise InvalidDkimKey("it is not a private key in PEM without a password") from error
    if not isinstance(key, RSAPrivateKey):
        raise InvalidDkimKey("it is not an RSA key")
    if key.key_size < MIN_BITS:
        raise InvalidDkimKey(f"it has {key.key_size} bits, and receivers ignore keys with fewer than {MIN_BITS}")
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
