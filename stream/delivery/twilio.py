"""SMS over Twilio's HTTP API, or over anything that speaks it.

Twilio takes no idempotency key. What became of a request without an answer is told by its status callback, or found in
its list of messages.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from models.delivery.bounces import Bounce, of_twilio
from models.delivery.deliveries import LOOKUP_DELAYS_MS, Result, Status
from models.delivery.messages import Message
from models.units import MINUTE
from stream.delivery.callbacks import twilio_address
from stream.delivery.provider import LastLook, unstopped

MAX_CONCURRENCY = 16
"""Requests at a time; Twilio queues what is above the account's rate by itself."""
LISTED = 100
"""Newest messages to a number that are looked at."""

_UNDELIVERED = frozenset({"failed", "undelivered", "canceled"})


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
    public_url
        Where the HTTP door is reached from outside, for status callbacks; ``None`` asks for none.
    """

    account: str
    token: str
    sender: str
    base_url: str = "https://api.twilio.com"
    timeout_s: float = 15.0
    public_url: str | None = None


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

    @property
    def max_concurrency(self) -> int:
        """See :data:`MAX_CONCURRENCY`."""
        return MAX_CONCURRENCY

    @property
    def lookup_delays_ms(self) -> tuple[int, ...]:
        """Its list shows a message soon after it was taken."""
        return LOOKUP_DELAYS_MS

    async def deliver(
        self,
        message: Message,
        *,
        unsubscribe: str | None,  # noqa: ARG002 - SMS has no headers
        last_look: LastLook = unstopped,
    ) -> Result:
        """Hand one SMS over."""
        sender = "MessagingServiceSid" if self._settings.sender.startswith("MG") else "From"
        form = {"To": message.to, "Body": message.text.strip(), sender: self._settings.sender}
        if self._settings.public_url is not None:
            form["StatusCallback"] = twilio_address(self._settings.public_url, message)
        session = self._open()
        stopped = last_look()
        if stopped is not None:
            return stopped
        try:
            async with session.post(self._url, data=form) as response:
                return _result(response, await _content(response))
        except aiohttp.ClientConnectorError as error:
            return Result("failed", f"{type(error).__name__}: {error}", trouble=True)
        except (aiohttp.ClientError, TimeoutError) as error:
            # the request may have arrived
            return Result("unknown", f"no answer: {type(error).__name__}: {error}", trouble=True)

    async def look_up(self, message: Message) -> Result:
        """Look for an SMS among the newest to its number: ``failed`` says that it is not there."""
        asked = {"To": message.to, "PageSize": str(LISTED)}
        try:
            async with self._open().get(self._url, params=asked) as response:
                content = await _content(response)
                if response.status != 200:
                    return Result("unknown", f"{response.status} at the look-up", trouble=response.status >= 429)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Result("unknown", f"no answer at the look-up: {type(error).__name__}: {error}", trouble=True)
        found = content.get("messages")
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict) and _is_of(one, message):
                status = str(one.get("status", ""))
                kind: Status = "rejected" if status in _UNDELIVERED else "delivered"
                code = str(one.get("error_code") or "")
                bounce: Bounce = of_twilio(code) if kind == "rejected" else ""
                sid = str(one.get("sid", ""))
                return Result(kind, f"found: {status} {code}".strip(), provider_id=sid, bounce=bounce, code=code)
        return Result("failed", "not among the newest to that number")

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
        return Result("failed", detail, retry_after=_retry_after(response), trouble=True)
    if status in (401, 403):
        # our credentials, not this recipient: whoever repairs them saves the message
        return Result("failed", detail, trouble=True)
    if status >= 500:
        # a gateway that gave up waiting answers so, too: Twilio behind it may have accepted
        return Result("unknown", detail, trouble=True, answered=True)
    code = str(content.get("code", ""))
    return Result("rejected", detail, bounce=of_twilio(code), code=f"{status} {code}".strip())


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds of a ``Retry-After``; where it is a date, since the one of the answer itself."""
    said = response.headers.get("Retry-After", "")
    if said.isascii() and said.isdigit():
        return float(said[:9])
    until, since = _date(said), _date(response.headers.get("Date", ""))
    return None if until is None or since is None else max((until - since).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else None


def _is_of(listed: dict[str, Any], message: Message) -> bool:
    """Whether a listed SMS is a message of ours: same number, same text (a trial account puts words before it)."""
    created = _date(str(listed.get("date_created", "")))
    if created is None or created.timestamp() * 1_000 < message.at - MINUTE:
        return False
    return listed.get("to") == message.to and str(listed.get("body", "")).endswith(message.text.strip())
