"""Access to what is known of a user: for a server with its token, and for the user's own page with a user token."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from aiohttp import web

from models.errors import InvalidEvent
from stream.collector.answers import HttpRefusal
from stream.collector.user_tokens import InvalidToken, UserTokens

ALLOWED = "Authorization: Bearer, with a server token or the user's own token"


class Readers:
    """Decides who may read a user.

    Parameters
    ----------
    user_tokens
        Verify what pages send.
    server_tokens
        Secrets; each may read any user.
    now
        The clock, milliseconds.
    """

    def __init__(self, user_tokens: UserTokens, server_tokens: Sequence[bytes], now: Callable[[], int]) -> None:
        self._user_tokens = user_tokens
        self._server_tokens = tuple(server_tokens)
        self._now = now

    def check(self, request: web.Request, user: str) -> None:
        """Return if this request may read ``user``; raises the answer 401 or 403 if not."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("no token")
        said = token.encode("utf-8", "surrogatepass")
        # every token is compared, so that the time it takes tells nothing
        if any([hmac.compare_digest(said, known) for known in self._server_tokens]):  # noqa: C419
            return
        try:
            named = self._user_tokens.user(token, self._now())
        except InvalidToken as error:
            raise _unauthorized(str(error)) from None
        if named != user:
            raise HttpRefusal(403, InvalidEvent("other_user", "Authorization", "a token of another user", ALLOWED))


def _unauthorized(found: str) -> HttpRefusal:
    error = InvalidEvent("bad_token", "Authorization", found, ALLOWED)
    return HttpRefusal(401, error, {"WWW-Authenticate": 'Bearer realm="perennial"'})
