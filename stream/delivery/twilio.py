"""SMS over Twilio's HTTP API, or over anything that speaks it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import aiohttp

from models.engage.deliveries import Result
from models.engage.messages import Message


@dataclass(frozen=True, slots=True)
class TwilioSettings:
    """An account at Twilio.

    Attributes
    ----------
    account, token
        Account SID and its auth token.
    sender
        A number in E.164, an alphanumeric sender, or a messaging service's SID (``MG...``).
    base_url
        Of the API.
    timeout_s
        Of one request.
    """

    account: str
    token: str
    sender: str
    base_url: str = "https://api.twilio.com"
    timeout_s: float = 15.0


class Twilio:
    """Delivers SMS.

    Parameters
    ----------
    settings
        The account.
    """

    def __init__(self, settings: TwilioSettings) -> None:
        self._settings = settings
        self._url = f"{settings.base_url.rstrip('/')}/2010-04-01/Accounts/{settings.account}/Messages.json"
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, message: Message, *, unsubscribe: str | None) -> Result:  # noqa: ARG002 - SMS has no headers
        """Hand one SMS over."""
        sender = "MessagingServiceSid" if self._settings.sender.startswith("MG") else "From"
        form = {"To": message.to, "Body": message.text.strip(), sender: self._settings.sender}
        try:
            async with self._open().post(self._url, data=form) as response:
                return _result(response, await _content(response))
        except aiohttp.ClientConnectorError as error:
            return Result("failed", f"{type(error).__name__}: {error}")
        except (aiohttp.ClientError, TimeoutError) as error:
            # the request may have arrived
            return Result("unknown", f"no answer: {type(error).__name__}: {error}")

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Authorization": _basic(self._settings.account, self._settings.token)},
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
            )
        return self._session


def _basic(account: str, token: str) -> str:
    return "Basic " + b64encode(f"{account}:{token}".encode()).decode("ascii")


async def _content(response: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        content = await response.json(content_type=None)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _result(response: aiohttp.ClientResponse, content: dict[str, Any]) -> Result:
    status = response.status
    if 200 <= status < 300:
        return Result("delivered", str(content.get("status", "")), provider_id=str(content.get("sid", "")))
    detail = f"{status} {content.get('code', '')} {content.get('message', response.reason or '')}"
    detail = " ".join(detail.split())
    if status in (429, 503):
        return Result("failed", detail, retry_after=_seconds(response.headers.get("Retry-After")))
    if status in (401, 403):
        # our credentials, not this recipient: whoever repairs them saves the message
        return Result("failed", detail)
    if status >= 500:
        # a gateway that gave up waiting answers so, too: Twilio behind it may have accepted
        return Result("unknown", detail)
    return Result("rejected", detail)


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a ``Retry-After``; its other form, a date, needs a clock and is not what APIs send."""
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else None
