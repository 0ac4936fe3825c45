"""SMS over Twilio's HTTP API, or over another service with that API.

Twilio has no idempotency key. If a request gets no answer, the outcome comes with a status callback, or is found in
Twilio's list of messages.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import aiohttp

from models.delivery.bounces import Bounce, of_twilio
from models.delivery.deliveries import LOOKUP_DELAYS_MS, Result, Status
from models.delivery.messages import Message
from models.units import MINUTE
from stream.delivery.callbacks import twilio_address
from stream.delivery.posting import CONNECTING
from stream.delivery.provider import LastCheck, allow
from stream.delivery.retry_after import http_date, retry_after
from stream.settings.schema import TwilioSection

MAX_CONCURRENCY = 16
"""Maximum number of concurrent requests. Twilio queues all messages above the account's rate."""
MAX_LISTED = 100
"""Maximum number of the newest messages to a number that a look-up searches."""
REQUEST_TIMEOUT_S = 15.0
"""How long one request may take, seconds."""

_UNDELIVERED = frozenset({"failed", "undelivered", "canceled"})


class Twilio:
    """A provider of SMS.

    Parameters
    ----------
    section
        Settings of the account.
    token
        The account's auth token.
    callback_url
        URL of the HTTP door for status callbacks; ``None`` requests no callbacks.
    timeout_s
        Maximum time of one request, seconds.
    """

    def __init__(
        self,
        section: TwilioSection,
        token: str,
        callback_url: str | None = None,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._section = section
        self._token = token
        self._callback_url = callback_url
        self._timeout_s = timeout_s
        self._url = f"{section.base_url.rstrip('/')}/2010-04-01/Accounts/{section.account_sid}/Messages.json"
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Twilio {self._section.account_sid}>"

    @property
    def max_concurrency(self) -> int:
        """Maximum number of concurrent requests."""
        return MAX_CONCURRENCY

    @property
    def lookup_delays_ms(self) -> tuple[int, ...]:
        """Delays before the look-ups. Twilio's list shows a message soon after it was accepted."""
        return LOOKUP_DELAYS_MS

    async def deliver(
        self,
        message: Message,
        *,
        unsubscribe: str | None,  # noqa: ARG002 - SMS has no headers
        last_check: LastCheck = allow,
    ) -> Result:
        """Hand one SMS over."""
        sender = "MessagingServiceSid" if self._section.sender.startswith("MG") else "From"
        form = {"To": message.to, "Body": message.text.strip(), sender: self._section.sender}
        if self._callback_url is not None:
            form["StatusCallback"] = twilio_address(self._callback_url, message)
        session = self._open()
        stopped = last_check()
        if stopped is not None:
            return stopped
        try:
            async with session.post(self._url, data=form) as response:
                return _result(response, await _content(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Result("failed", f"{type(error).__name__}: {error}", trouble=True)
        except (aiohttp.ClientError, TimeoutError) as error:
            # The request may have arrived.
            return Result("unknown", f"no answer: {type(error).__name__}: {error}", trouble=True)

    async def look_up(self, message: Message) -> Result:
        """Search for an SMS among the newest ones to its number; ``failed`` means that it is not there."""
        asked = {"To": message.to, "PageSize": str(MAX_LISTED)}
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
        return Result("failed", "not among the newest messages to that number")

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Authorization": _basic(self._section.account_sid, self._token)},
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=self._timeout_s * CONNECTING),
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
        return Result("failed", detail, retry_after=retry_after(response.headers), trouble=True)
    if status in (401, 403):
        # The fault is in our credentials, not in this recipient. Once they are repaired, the message can be sent.
        return Result("failed", detail, trouble=True)
    if status >= 500:
        # A gateway that gave up waiting answers like this, too. Twilio behind it may have accepted the message.
        return Result("unknown", detail, trouble=True, answered=True)
    code = str(content.get("code", ""))
    return Result("rejected", detail, bounce=of_twilio(code), code=f"{status} {code}".strip())


def _is_of(listed: dict[str, Any], message: Message) -> bool:
    """Return whether a listed SMS has our message's number and text; a trial account puts words before the text."""
    created = http_date(str(listed.get("date_created", "")))
    if created is None or created.timestamp() * 1_000 < message.at - MINUTE:
        return False
    return listed.get("to") == message.to and str(listed.get("body", "")).endswith(message.text.strip())
