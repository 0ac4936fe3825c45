"""Cross-origin requests: which pages in a browser may call the HTTP door, and read its answers.

The headers of cross-origin requests are on every answer, errors included, at the addresses in :data:`OPEN_ADDRESSES`.
They are also on the answer to an unknown address below ``/v1/``. Without them, a browser reports a network error to its
SDK, and the SDK repeats the request. All other addresses, such as callbacks, unsubscribe pages and health, do not have
these headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from stream.collector.addresses import LABELS

OPEN_ADDRESSES = (
    *LABELS,
    "/v1/projects/{key}/settings",
    "/sourceConfig",
    "/v1/users/{user}/recommendations",
)
"""Addresses that pages may call. A name in braces stands for one segment of the path."""

ANY_ORIGIN = "*"
METHODS = "GET, POST, OPTIONS"
MAX_AGE_S = 7200
"""Maximum age of an answer to a preflight in a browser's cache, seconds; the maximum that Chromium accepts."""
MAX_REQUESTED_HEADERS = 64
"""Maximum number of headers that the answer to a preflight allows. Further ones are left out."""

_OPEN = re.compile("|".join(re.sub(r"\{\w+\}", "[^/]+", path.rstrip("/")) + "/?" for path in OPEN_ADDRESSES)).fullmatch
_BELOW = ("/v1/", "/beacon/", "/sourceConfig/")
_CLOSED = ("/v1/callbacks", "/v1/confirm", "/v1/preferences", "/v1/unsubscribe", "/v1/users")
_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}").fullmatch
_DEFAULT_PORT = re.compile(r"(?<=^http)(://.*):80$|(?<=^https)(://.*):443$")


class Cors:
    """The handler of cross-origin requests: it answers preflights, and adds headers to all other answers.

    Parameters
    ----------
    allowed_origins
        Origins such as ``https://shop.example``; ``*`` is any origin. Pages of other origins get no header, so they
        cannot read answers.
    """

    def __init__(self, allowed_origins: Iterable[str] = (ANY_ORIGIN,)) -> None:
        self._allowed = frozenset(_normalised(origin) for origin in allowed_origins)
        self._any = ANY_ORIGIN in self._allowed

    def __repr__(self) -> str:
        return f"Cors({sorted(self._allowed)})"

    @web.middleware
    async def preflight(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer ``OPTIONS`` at an open address with 204, and pass any other request on."""
        if request.method != "OPTIONS" or not is_open(request):
            return await handler(request)
        headers = {"Allow": METHODS}
        if self._headers(request.headers.get("Origin")).get("Access-Control-Allow-Origin"):
            headers["Access-Control-Allow-Methods"] = METHODS
            headers["Access-Control-Max-Age"] = str(MAX_AGE_S)
            # The value `*` would not cover Authorization, which every browser SDK sends.
            requested = _tokens(request.headers.getall("Access-Control-Request-Headers", ()))
            if requested:
                headers["Access-Control-Allow-Headers"] = ", ".join(requested)
        return web.Response(status=204, headers=headers)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Called when an answer is about to be sent: add the headers that the browser needs."""
        if is_open(request):
            response.headers.update(self._headers(request.headers.get("Origin")))

    def headers_of_unread(self) -> Mapping[str, str]:
        """Return the headers of an answer to a request that could not be read, so that its origin is unknown."""
        return self._headers(None) if self._any else {}

    def _headers(self, origin: str | None) -> Mapping[str, str]:
        if self._any:
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
        if origin is None or _normalised(origin) not in self._allowed:
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "Retry-After",
            "Vary": "Origin",
        }


def is_open(request: web.Request) -> bool:
    """Return whether pages of other origins may read the answer to this request."""
    path = request.rel_url.raw_path
    if _OPEN(path):
        return True
    unserved = request.match_info.http_exception
    is_unknown = unserved is not None and unserved.status == 404
    return is_unknown and path.startswith(_BELOW) and not path.startswith(_CLOSED)


def _tokens(lines: Sequence[str]) -> list[str]:
    """Return the valid names among the headers that a preflight asks for."""
    names = [name.strip() for line in lines for name in line.split(",")[:MAX_REQUESTED_HEADERS]]
    return [name for name in names if _token(name)][:MAX_REQUESTED_HEADERS]


def _normalised(origin: str) -> str:
    """Return an origin in the form in which browsers write it: in lower case, without the scheme's default port."""
    return _DEFAULT_PORT.sub(lambda match: match[1] or match[2], origin.lower())
