"""Providers' callbacks at the HTTP door: what they tell of our messages becomes events of the users."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Callable

from aiohttp import web

from models.errors import InvalidEvent
from models.events import Event, EventType
from models.wire import fields
from monitoring import metrics
from stream.collector.links import RETRY_AFTER_S
from stream.delivery.callbacks import SIGNATURE, twilio_signature
from stream.event_log import EventLog, LogUnavailable

READ_WITHIN_S = 10.0
"""How long a body may take to arrive."""

_MESSAGE = re.compile("[0-9a-f]{32}")
_KINDS: dict[str, EventType] = {
    "accepted": "message_sent",
    "scheduled": "message_sent",
    "queued": "message_sent",
    "sending": "message_sent",
    "sent": "message_sent",
    "delivered": "message_delivered",
    "read": "message_delivered",
    "undelivered": "message_bounced",
    "failed": "message_bounced",
    "canceled": "message_bounced",
}


class TwilioCallbacks:
    """Takes Twilio's status callbacks, of those whose signature is right.

    Parameters
    ----------
    log
        Where what they tell goes.
    token
        The account's auth token, which signs.
    public_url
        Where this door is reached from outside: the address is signed, too.
    now
        The clock, milliseconds.
    """

    def __init__(self, log: EventLog, token: str, public_url: str, now: Callable[[], int]) -> None:
        self._log = log
        self._token = token
        self._public_url = public_url.rstrip("/")
        self._now = now

    async def take(self, request: web.Request) -> web.Response:
        """Write what a callback tells, and answer once Kafka has it; the same told twice is one event."""
        form = await _form(request)
        expected = twilio_signature(self._token, self._public_url + request.raw_path, form)
        if not hmac.compare_digest(request.headers.get(SIGNATURE, "").encode(), expected.encode()):
            metrics.increment("events_rejected", "bad_signature")
            return web.Response(status=403, text="This was not signed with this account's token.\n")
        event = self._event(request, dict(form))
        if event is None:
            metrics.increment("events_rejected", "bad_callback")
            return web.Response(status=400, text="This names no user, message and status that are known here.\n")
        try:
            await self._log.append([event])
        except LogUnavailable:
            return web.Response(status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
        metrics.increment("events_accepted", "http")
        return web.Response(status=204)

    def _event(self, request: web.Request, form: dict[str, str]) -> Event | None:
        user, message = request.query.get("user", ""), request.query.get("message", "")
        kind = _KINDS.get(form.get("MessageStatus", ""))
        try:
            fields.identifier(user, "user")
        except InvalidEvent:
            return None
        if kind is None or not _MESSAGE.fullmatch(message):
            return None
        told = {"provider_id": form.get("MessageSid", "")[:64], "status": form["MessageStatus"]}
        if form.get("ErrorCode"):
            told["error"] = form["ErrorCode"][:16]
        return Event(
            id=f"{message}:{kind}",
            user=user,
            type=kind,
            at=self._now(),
            channel="sms",
            message=message,
            reason=f"Twilio: {told['status']} {told.get('error', '')}".strip() if kind == "message_bounced" else None,
            properties=dict(told),
        )


async def _form(request: web.Request) -> list[tuple[str, str]]:
    """Fields of a body as Twilio sends it; none of any other body."""
    if request.content_type != "application/x-www-form-urlencoded":
        return []
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            return [(name, str(value)) for name, value in (await request.post()).items()]
    except (TimeoutError, LookupError, ValueError):
        return []  # too slow, in an encoding that nobody knows, or damaged: its signature cannot be right
