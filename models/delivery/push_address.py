"""Addresses of the channel ``push``: a device token of FCM, or a web push subscription of a browser.

The text of an address decides which of the two it is. A subscription is the JSON object that a page gets from
``PushSubscription.toJSON()``. Every other text is a device token.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

import msgspec

from models.errors import PerennialError

MIN_TOKEN = 32
"""Minimum length of a device token, characters; the tokens of FCM have over 100."""
MAX_TOKEN = 4096
"""Maximum length of a device token, characters."""
MAX_SUBSCRIPTION = 4096
"""Maximum length of the JSON of a subscription, characters."""
MAX_ENDPOINT = 2048
"""Maximum length of the URL of a subscription, characters."""
POINT_BYTES = 65
"""Length of ``p256dh``: the byte 4, and two coordinates of 32 bytes (RFC 8291, section 3.1)."""
AUTH_BYTES = 16
"""Length of ``auth`` (RFC 8291, section 3.2)."""

_token = re.compile(r"[A-Za-z0-9_:.%=-]+").fullmatch
_url = re.compile(r"[!-~]+").fullmatch
_base64 = re.compile(r"[A-Za-z0-9_+/-]*={0,2}").fullmatch
_TO_URL_SAFE = str.maketrans("+/", "-_")

# The curve P-256 (FIPS 186-4, D.1.2.3): y^2 = x^3 - 3x + b modulo p.
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


class InvalidPushAddress(PerennialError, ValueError):
    """A text is no address of the channel ``push``.

    Parameters
    ----------
    part
        The part of the address that is wrong, such as ``keys.auth``.
    found
        Description of what is there. It does not contain a key, because a key is a secret of the browser.
    allowed
        Description of the allowed values.
    """

    def __init__(self, part: str, found: str, allowed: str) -> None:
        self.part = part
        self.found = found
        self.allowed = allowed
        super().__init__(f"push address, {part}: found {found}; allowed: {allowed}")


class DeviceToken(NamedTuple):
    """The registration token of an app on one device, which FCM has given to the app."""

    token: str


class WebPushSubscription(NamedTuple):
    """The subscription of one browser.

    Attributes
    ----------
    endpoint
        URL of the browser's push service.
    p256dh
        Public key of the browser, a point of P-256 that is not compressed.
    auth
        Secret of the browser for the encryption.
    """

    endpoint: str
    p256dh: bytes
    auth: bytes

    @property
    def host(self) -> str:
        """Name of the push service's host, in lower case."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def origin(self) -> str:
        """Scheme, host and port of the push service, as in the claim ``aud`` of RFC 8292."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme.lower()}://{parts.netloc.lower()}".removesuffix(":443")


PushAddress: TypeAlias = DeviceToken | WebPushSubscription


class _Keys(msgspec.Struct):
    p256dh: str
    auth: str


class _Subscription(msgspec.Struct):
    endpoint: str
    keys: _Keys


_decoder = msgspec.json.Decoder(_Subscription)


def parse_push_address(written: str) -> PushAddress:
    """Read an address of the channel ``push``.

    Raises
    ------
    InvalidPushAddress
        The text is neither a device token nor a subscription.

    Examples
    --------
    >>> parse_push_address("dQw4w9WgXcQ:APA91bHun4MxP5egoKMwt2KZFBaFUH").token[:11]
    'dQw4w9WgXcQ'
    >>> parse_push_address("ada@example.com")
    Traceback (most recent call last):
    models.delivery.push_address.InvalidPushAddress: push address, token: found 15 characters; allowed: ...
    """
    text = written.strip()
    return _subscription(text) if text.startswith("{") else _device(text)


def write_push_address(address: PushAddress) -> str:
    """Write an address in its shortest form; the same address always has the same text.

    Examples
    --------
    >>> write_push_address(DeviceToken("dQw4w9WgXcQ:APA91bHun4MxP5egoKMwt2KZFBaFUH"))
    'dQw4w9WgXcQ:APA91bHun4MxP5egoKMwt2KZFBaFUH'
    """
    if isinstance(address, DeviceToken):
        return address.token
    keys = {"p256dh": _encoded(address.p256dh), "auth": _encoded(address.auth)}
    return msgspec.json.encode({"endpoint": address.endpoint, "keys": keys}).decode()


def push_identity(written: str) -> str:
    """Return the part of an address that identifies its device: the token, or the endpoint of the subscription.

    A text that is no address identifies itself.

    Examples
    --------
    >>> push_identity(" dQw4w9WgXcQ:APA91bHun4MxP5egoKMwt2KZFBaFUH ")
    'dQw4w9WgXcQ:APA91bHun4MxP5egoKMwt2KZFBaFUH'
    """
    try:
        address = parse_push_address(written)
    except InvalidPushAddress:
        return written.strip()
    return address.token if isinstance(address, DeviceToken) else address.endpoint


def _device(text: str) -> DeviceToken:
    allowed = f"{MIN_TOKEN} to {MAX_TOKEN} characters, or a subscription as JSON"
    if not MIN_TOKEN <= len(text) <= MAX_TOKEN:
        raise InvalidPushAddress("token", f"{len(text)} characters", allowed)
    if not _token(text):
        raise InvalidPushAddress("token", "other characters", "letters, digits, and the characters _ : . % = -")
    return DeviceToken(text)


def _subscription(text: str) -> WebPushSubscription:
    if len(text) > MAX_SUBSCRIPTION:
        found = f"{len(text)} characters"
        raise InvalidPushAddress("subscription", found, f"at most {MAX_SUBSCRIPTION} characters")
    try:
        fields = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        allowed = '{"endpoint": "https://...", "keys": {"p256dh": "...", "auth": "..."}}'
        raise InvalidPushAddress("subscription", f"JSON with an error ({error})", allowed) from None
    point = _decoded("keys.p256dh", fields.keys.p256dh, POINT_BYTES)
    if not _is_on_curve(point):
        raise InvalidPushAddress("keys.p256dh", "other bytes", "a point of the curve P-256 that is not compressed")
    auth = _decoded("keys.auth", fields.keys.auth, AUTH_BYTES)
    return WebPushSubscription(_endpoint(fields.endpoint), point, auth)


def _endpoint(url: str) -> str:
    if len(url) > MAX_ENDPOINT or not _url(url):
        found = f"{len(url)} characters" if len(url) > MAX_ENDPOINT else "nothing, blanks or letters beyond ASCII"
        raise InvalidPushAddress("endpoint", found, f"a URL of at most {MAX_ENDPOINT} ASCII characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidPushAddress("endpoint", "a URL that cannot be read", "https://HOST/PATH") from None
    if parts.scheme != "https":
        raise InvalidPushAddress("endpoint", f"the scheme {parts.scheme[:20] or '(none)'}", "https")
    if not host or "@" in parts.netloc or "#" in url:
        raise InvalidPushAddress("endpoint", "no host, or a user name or a fragment", "https://HOST/PATH")
    return url


def _decoded(part: str, text: str, length: int) -> bytes:
    allowed = f"{length} bytes in base64url"
    if not _base64(text):
        raise InvalidPushAddress(part, "a text that is not base64url", allowed)
    bare = text.rstrip("=").translate(_TO_URL_SAFE)
    try:
        content = urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except NotBase64:
        raise InvalidPushAddress(part, "a text that is not base64url", allowed) from None
    if len(content) != length:
        raise InvalidPushAddress(part, f"{len(content)} bytes", allowed)
    return content


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _is_on_curve(point: bytes) -> bool:
    """Return whether bytes are a point of P-256. Nothing can be encrypted for any other key."""
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    return point[0] == 4 and x < _P and y < _P and (y * y - (x * x * x - 3 * x + _B)) % _P == 0
