"""Permission to read about a user: for a server with its token, and for the user's page with a user token."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from aiohttp import web

from models.errors import InvalidEvent
from stream.collector.answers import refusal_of
from stream.collector.user_tokens import InvalidUserToken, UserTokens
from stream.lookup.refusals import HttpRefusal

ALLOWED = "Authorization: Bearer, with a server token or the user's own token"


class Readers:
    """The check whether a request may read about a user.

    Parameters
    ----------
    user_tokens
        Verifies the tokens that pages send.
    server_tokens
        Secrets of servers; each permits to read about any user.
    now
        Clock, milliseconds.
    """

    def __init__(self, user_tokens: UserTokens, server_tokens: Sequence[bytes], now: Callable[[], int]) -> None:
        self._user_tokens = user_tokens
        self._server_tokens = tuple(server_tokens)
        self._now = now

    def check(self, request: web.Request, user: str) -> None:
        """Check that this request may read about the user; otherwise raise the refusal 401 or 403."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("no token")
        said = token.encode("utf-8", "surrogatepass")
        # Every token is compared, so that the duration gives no hint.
        if any([hmac.compare_digest(said, known) for known in self._server_tokens]):  # noqa: C419
            return
        try:
            named = self._user_tokens.user(token, self._now())
        except InvalidUserToken as error:
            raise _unauthorized(str(error)) from None
        if named != user:
            raise refusal_of(403, InvalidEvent("other_user", "Authorization", "a token of another user", ALLOWED))


def _unauthorized(found: str) -> HttpRefusal:
    error = InvalidEvent("bad_token", "Authorization", found, ALLOWED)
    return refusal_of(401, error, {"WWW-Authenticate": 'Bearer realm="perennial"'})
