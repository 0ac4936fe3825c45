"""Access tokens of Google's APIs: a service account signs a request, and gets a token for about an hour (RFC 7523)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from models.delivery.deliveries import Result
from models.units import SECOND
from stream.delivery.posting import post
from stream.delivery.retry_after import retry_after

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
"""The only permission that is asked for: to send messages."""
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE_S = 3600
"""How long the signed request is valid, seconds; Google's maximum."""
RENEW_BEFORE_S = 300
"""A token is renewed this long before its end, seconds, or in the middle of a shorter life."""


class ServiceAccount(msgspec.Struct, frozen=True):
    """The JSON file of a service account, as Google's console writes it.

    Attributes
    ----------
    project_id
        The project whose devices get the messages.
    client_email, private_key_id, private_key
        Name, id of the key, and the key in PEM.
    token_uri
        URL that gives access tokens.
    """

    project_id: str
    client_email: str
    private_key_id: str
    private_key: str
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - a URL

    def __repr__(self) -> str:
        return f"<ServiceAccount {self.client_email}>"


def read_service_account(text: str) -> ServiceAccount:
    """Read the file of a service account.

    Raises
    ------
    ValueError
        It is no such file, or its key is not an RSA key.
    """
    try:
        account = msgspec.json.decode(text, type=ServiceAccount)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    _key_of(account)
    return account


class GoogleTokens:
    """The access token of a service account, fetched when it is needed and renewed before it ends.

    Parameters
    ----------
    account
        The service account.
    now
        Returns the time of the wall clock, milliseconds.
    timeout_s
        Maximum time of one request, seconds.
    clock
        Returns the seconds of a clock that no person sets.
    """

    def __init__(
        self,
        account: ServiceAccount,
        *,
        now: Callable[[], int],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._key = _key_of(account)
        self._now = now
        self._timeout_s = timeout_s
        self._clock = clock
        self._token = ""
        self._renew_at = self._ends_at = 0.0
        self._renewing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<GoogleTokens of {self._account.client_email}>"

    async def token(self, session: aiohttp.ClientSession) -> str | Result:
        """Return a valid token, or the result of a message that cannot be sent without one.

        If the renewal fails, the token that is still valid is returned.
        """
        async with self._renewing:
            if self._token and self._clock() < self._renew_at:
                return self._token
            refused = await self._renew(session)
            valid = self._token and self._clock() < self._ends_at
            return self._token if refused is None or valid else refused

    def forget(self, token: str) -> None:
        """Drop a token that the API has refused; the next message fetches a new one."""
        if token == self._token:
            self._token = ""

    async def _renew(self, session: aiohttp.ClientSession) -> Result | None:
        asked = self._clock()
        content = urlencode({"grant_type": GRANT, "assertion": self._assertion()}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await post(session, self._account.token_uri, content, headers, self._timeout_s)
        if isinstance(answer, Result):
            # No message was sent yet, so its outcome is known.
            return Result("failed", f"no access token: {answer.detail}", trouble=True)
        fields = answer.fields
        token, life = fields.get("access_token"), fields.get("expires_in")
        if answer.status != 200 or not isinstance(token, str) or not token or not isinstance(life, int | float):
            said = " ".join(str(fields.get(name, "")) for name in ("error", "error_description")).strip()
            detail = f"no access token: {answer.status} {said or answer.reason}"
            return Result("failed", detail, retry_after=retry_after(answer.headers), trouble=True)
        self._token, self._ends_at = token, asked + life
        self._renew_at = asked + max(life - RENEW_BEFORE_S, life / 2)
        return None

    def _assertion(self) -> str:
        issued = self._now() // SECOND
        claims: dict[str, Any] = {
            "iss": self._account.client_email,
            "scope": SCOPE,
            "aud": self._account.token_uri,
            "iat": issued,
            "exp": issued + LIFE_S,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._account.private_key_id})


def _key_of(account: ServiceAccount) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(account.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, RSAPrivateKey):
        return key
    raise ValueError("its private_key is not an RSA key in PEM")
