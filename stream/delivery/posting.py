"""One POST to a provider's HTTP API, and what a failure of it says about the message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp
import msgspec

from models.delivery.deliveries import Result

CONNECTING = 2 / 3
"""Share of a request's time that the connection may take. After it, nothing was sent, so the outcome is known."""
MAX_ANSWER_BYTES = 65_536
"""Maximum length of an answer that is read."""


class HttpAnswer(NamedTuple):
    """An answer to a request.

    Attributes
    ----------
    status, reason, headers
        As HTTP has them.
    content
        The body; anything after :data:`MAX_ANSWER_BYTES` is missing.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a body that is a JSON object; none for any other body."""
        try:
            content = msgspec.json.decode(self.content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}
        return content if isinstance(content, dict) else {}


async def post(
    session: aiohttp.ClientSession, url: str, content: bytes, headers: Mapping[str, str], timeout_s: float
) -> HttpAnswer | Result:
    """Send a request once, without following a redirect.

    Parameters
    ----------
    session, url, content, headers
        The session, and the request.
    timeout_s
        Maximum time of the request, seconds.

    Returns
    -------
    HttpAnswer or Result
        ``failed`` if there was no connection, so nothing was sent. ``unknown`` if the request may have arrived.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=timeout_s * CONNECTING)
    try:
        async with session.post(url, data=content, headers=headers, timeout=timeout, allow_redirects=False) as response:
            body = await _read(response)
            return HttpAnswer(response.status, response.reason or "", response.headers, body)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        return Result("failed", f"no connection: {type(error).__name__}: {error}", trouble=True)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Result("unknown", f"no answer: {type(error).__name__}: {error}".rstrip(": "), trouble=True)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = b""
    async for chunk in response.content.iter_chunked(MAX_ANSWER_BYTES):
        content += chunk
        if len(content) >= MAX_ANSWER_BYTES:
            break
    return content[:MAX_ANSWER_BYTES]
