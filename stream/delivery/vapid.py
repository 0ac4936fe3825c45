"""The identity of a sender of web push (VAPID, RFC 8292): a key of P-256, and the signature of each request."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from models.units import HOUR, SECOND

LIFE_MS = 12 * HOUR
"""How long a signature is valid, milliseconds; RFC 8292 allows a day."""
RENEW_BEFORE_MS = HOUR
"""A signature is made again this long before its end, milliseconds."""
MAX_ORIGINS = 256
"""Maximum number of push services whose signatures are kept."""
_SCALAR_BYTES = 32


class VapidKey:
    """The key of a sender.

    Parameters
    ----------
    key
        A private key of P-256.

    Examples
    --------
    >>> key = VapidKey(ec.generate_private_key(ec.SECP256R1()))
    >>> read_vapid_key(key.private_text).public_text == key.public_text
    True
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"<VapidKey {self.public_text}>"

    @property
    def private_text(self) -> str:
        """The private key in base64url, as other tools write it, too."""
        return _encoded(self._key.private_numbers().private_value.to_bytes(_SCALAR_BYTES))

    @property
    def public_text(self) -> str:
        """The public key in base64url: the ``applicationServerKey`` of a page."""
        return _encoded(self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    def sign(self, origin: str, contact: str, expires_s: int) -> str:
        """Return the header ``Authorization`` of requests to a push service.

        Parameters
        ----------
        origin
            Scheme, host and port of the push service.
        contact
            ``mailto:`` or ``https:`` URL of the people who send.
        expires_s
            End of the signature, seconds since 1970.
        """
        token = jwt.encode({"aud": origin, "exp": expires_s, "sub": contact}, self._key, algorithm="ES256")
        return f"vapid t={token}, k={self.public_text}"


class VapidSigner:
    """Signatures of a sender, one for each push service, each used until it is renewed.

    Parameters
    ----------
    key
        The key of the sender.
    contact
        ``mailto:`` or ``https:`` URL of the people who send.
    now
        Returns the time of the wall clock, milliseconds.
    """

    def __init__(self, key: VapidKey, contact: str, *, now: Callable[[], int]) -> None:
        self._key = key
        self._contact = contact
        self._now = now
        self._signed: dict[str, tuple[str, int]] = {}

    def __repr__(self) -> str:
        return f"<VapidSigner {self._key!r}, {len(self._signed)} services>"

    def authorization(self, origin: str) -> str:
        """Return the header ``Authorization`` of requests to a push service."""
        now = self._now()
        header, renew_at = self._signed.get(origin, ("", 0))
        if now < renew_at:
            return header
        header = self._key.sign(origin, self._contact, (now + LIFE_MS) // SECOND)
        self._signed.pop(origin, None)
        if len(self._signed) >= MAX_ORIGINS:
            del self._signed[next(iter(self._signed))]
        self._signed[origin] = header, now + LIFE_MS - RENEW_BEFORE_MS
        return header


def make_vapid_key() -> VapidKey:
    """Make a new key."""
    return VapidKey(ec.generate_private_key(ec.SECP256R1()))


def read_vapid_key(text: str) -> VapidKey:
    """Read a private key, in base64url or in PEM.

    Raises
    ------
    ValueError
        It is no private key of P-256.
    """
    text = text.strip()
    try:
        key = _of_pem(text) if text.startswith("-----") else _of_scalar(text)
    except (ValueError, TypeError, NotBase64, UnsupportedAlgorithm):
        key = None
    if key is None:
        raise ValueError("it is not a private key of P-256 in PEM, or its 32 bytes in base64url")
    return VapidKey(key)


def _of_pem(text: str) -> ec.EllipticCurvePrivateKey | None:
    key = load_pem_private_key(text.encode(), password=None)
    return key if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1" else None


def _of_scalar(text: str) -> ec.EllipticCurvePrivateKey | None:
    bare = text.rstrip("=")
    scalar = urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    if len(scalar) != _SCALAR_BYTES or _encoded(scalar) != bare:
        return None
    return ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1())


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
