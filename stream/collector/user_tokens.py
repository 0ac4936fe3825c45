"""User tokens: in a token, the shop's server states which user a page belongs to.

A token is a JWT, signed with HS256 by the shop's server, with these claims::

    sub  the user's id, the same as in events
    aud  perennial; a token for another service is not valid here
    iat  time at which the token was issued, seconds
    exp  time at which the token expires, seconds: at most 24 hours ahead
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jwt

AUDIENCE = "perennial"
ALGORITHM = "HS256"
MAX_LIFE_S = 24 * 3600
"""Maximum lifetime of a token, seconds."""
LEEWAY_S = 60
"""Tolerance for the difference to the clock of the shop's server, seconds."""
MIN_SECRET_BYTES = 32
"""Minimum length of a secret, bytes. Every holder of a token can try secrets, and would find a short one."""

_OPTIONS: dict[str, Any] = {
    "require": ["sub", "aud", "iat", "exp"],
    # The code below compares the times with the door's clock.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


class InvalidUserToken(ValueError):
    """The token grants nothing; the message says why."""


class UserTokens:
    """The issuer and verifier of user tokens.

    Parameters
    ----------
    secrets
        Secrets of at least 32 bytes. The first one signs, and all verify. Without any, no token is valid.

    Examples
    --------
    >>> tokens = UserTokens([b"0123456789abcdef0123456789abcdef"])
    >>> tokens.user(tokens.sign("ada", now=1_777_636_800_250, life_s=60), now=1_777_636_801_000)
    'ada'
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"a secret of user tokens has at least {MIN_SECRET_BYTES} bytes")
        self._secrets = tuple(secrets)

    def __repr__(self) -> str:
        return f"UserTokens({len(self._secrets)} secrets)"

    def sign(self, user: str, now: int, life_s: int) -> str:
        """Return a new token.

        Parameters
        ----------
        user
            The user whose page gets the token.
        now
            Current time, milliseconds.
        life_s
            Lifetime, seconds, at most 24 hours.
        """
        issued = now // 1000
        claims = {"sub": user, "aud": AUDIENCE, "iat": issued, "exp": issued + life_s}
        return jwt.encode(claims, self._secrets[0], ALGORITHM)

    def user(self, token: str, now: int) -> str:
        """Return the user that a token names.

        Raises
        ------
        InvalidUserToken
            The token was not signed with a known secret, is too old, or is valid for too long.
        """
        claims = self._claims(token)
        issued, ends, begins = (_seconds(claims, name) for name in ("iat", "exp", "nbf"))
        at = now / 1000
        assert issued is not None
        assert ends is not None
        if at >= ends + LEEWAY_S:
            raise InvalidUserToken("the token has expired")
        if max(issued, begins or 0) > at + LEEWAY_S:
            raise InvalidUserToken("the token is not valid yet")
        if ends - min(issued, at) > MAX_LIFE_S + LEEWAY_S:
            raise InvalidUserToken("the token is valid for more than 24 hours")
        user: str = claims["sub"]
        return user

    def _claims(self, token: str) -> dict[str, Any]:
        why = "no secret is set that could verify it"
        for secret in self._secrets:
            try:
                return jwt.decode(token, secret, [ALGORITHM], audience=AUDIENCE, options=_OPTIONS)  # type: ignore[arg-type]
            except jwt.InvalidSignatureError:
                why = "the token is not signed with a secret of http.user_token_secrets"
            except (jwt.InvalidTokenError, UnicodeEncodeError) as error:
                raise InvalidUserToken(f"not a user token: {error}") from error
        raise InvalidUserToken(why)


def _seconds(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name == "nbf":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise InvalidUserToken(f"{name} is not a number of seconds")
    return float(value)
