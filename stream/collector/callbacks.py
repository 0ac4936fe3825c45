"""Callbacks of providers at the HTTP door: outcomes of our messages become events of the users.

Statements about an address (no such number, STOP, START) also go to the suppression list.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Callable, Sequence

from aiohttp import web

from models.batch import Output
from models.delivery.address_hashes import SecretMissing
from models.delivery.bounces import of_twilio
from models.delivery.suppression import TOPIC, parse_key
from models.delivery.suppressor import Suppressor
from models.errors import InvalidEvent
from models.events import Event, EventType, encode_event
from models.log import EVENTS
from models.wire import fields
from monitoring import metrics
from stream.collector.answers import RETRY_AFTER_S
from stream.delivery.callbacks import SIGNATURE, TWILIO_PATH, twilio_signature
from stream.log.event_log import EventLog, LogUnavailable

logger = logging.getLogger(__name__)

READ_WITHIN_S = 10.0
"""How long a body may take to arrive, seconds."""

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

STOP_WORDS = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
"""Texts of an incoming SMS that stop all messages to its sender's number, in lower case."""
START_WORDS = frozenset({"start", "unstop"})
"""Texts of an incoming SMS that end a STOP, in lower case.

Twilio also accepts YES as START. But YES may answer another question, so it counts only if Twilio itself
reports it as START (``OptOutType``)."""
_NO_ANSWER = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


class TwilioCallbacks:
    """The address of Twilio's status callbacks and incoming messages. A request without a valid signature is refused.

    Parameters
    ----------
    log
        Log that the events and entries are written to.
    token
        The account's auth token, which signs the callbacks.
    public_url
        Public address of this door; Twilio's signature includes it.
    now
        Clock, milliseconds.
    suppressor
        Writer of the suppression list; ``None`` writes no entries.
    """

    def __init__(
        self,
        log: EventLog,
        token: str,
        public_url: str,
        now: Callable[[], int],
        suppressor: Suppressor | None = None,
    ) -> None:
        self._suppressor = suppressor
        self._log = log
        self._token = token
        self._public_url = public_url.rstrip("/")
        self._now = now

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the route of Twilio's callbacks. Each SMS that we send through Twilio names this address."""
        router.add_post(TWILIO_PATH, self._take)

    async def _take(self, request: web.Request) -> web.Response:
        """Write the events of a callback, and answer once Kafka has them. A repeated report gives the same event."""
        form = await _form(request)
        expected = twilio_signature(self._token, self._public_url + request.raw_path, form)
        if not hmac.compare_digest(request.headers.get(SIGNATURE, "").encode(), expected.encode()):
            metrics.increment("events_rejected", "bad_signature")
            return web.Response(status=403, text="This request is not signed with the token of this account.\n")
        said = dict(form)
        try:
            if "MessageStatus" not in said and "Body" in said:
                await self._write(self._of_incoming(said))
                return web.Response(text=_NO_ANSWER, content_type="text/xml")
            event = self._event(request, said)
            if event is None:
                metrics.increment("events_rejected", "bad_callback")
                return web.Response(status=400, text="This request does not name a known user, message and status.\n")
            await self._write([*self._of_status(event, said), Output(EVENTS, event.user.encode(), encode_event(event))])
        except (LogUnavailable, SecretMissing) as error:
            logger.warning("a callback of Twilio cannot be accepted now: %s", error)
            return web.Response(status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
        metrics.increment("events_accepted", "http")
        return web.Response(status=204)

    async def _write(self, outputs: Sequence[Output]) -> None:
        await self._log.write(outputs)
        for output in outputs:
            if output.topic == TOPIC:
                metrics.increment("suppressions_written", "sms", parse_key(output.key).reason)

    def _of_status(self, event: Event, form: dict[str, str]) -> list[Output]:
        """Return the entries of the suppression list that follow from the outcome of a message."""
        number, now = form.get("To", ""), self._now()
        if self._suppressor is None or not _NUMBER.fullmatch(number):
            return []
        if event.type == "message_delivered":
            return self._suppressor.delivered(number, now, "twilio")
        if event.type == "message_bounced":
            code = form.get("ErrorCode", "")[:16]
            return self._suppressor.refused(number, of_twilio(code), now, f"twilio {code}")
        return []

    def _of_incoming(self, form: dict[str, str]) -> list[Output]:
        """Return the entries that follow from an incoming SMS: for STOP, for START, or none."""
        number, now = form.get("From", ""), self._now()
        if self._suppressor is None or not _NUMBER.fullmatch(number):
            return []
        meant, word = form.get("OptOutType", "").upper(), form["Body"].strip().lower()
        if meant == "STOP" or word in STOP_WORDS:
            return self._suppressor.refused(number, "stop", now, "STOP by SMS")
        if meant == "START" or (not meant and word in START_WORDS):
            return self._suppressor.started(number, now, "START by SMS")
        return []

    def _event(self, request: web.Request, form: dict[str, str]) -> Event | None:
        user, message = request.query.get("user", ""), request.query.get("message", "")
        kind = _KINDS.get(form.get("MessageStatus", ""))
        try:
            fields.identifier(user, "user")
        except InvalidEvent:
            return None
        if kind is None or not _MESSAGE.fullmatch(message):
            return None
        reported = {"provider_id": form.get("MessageSid", "")[:64], "status": form["MessageStatus"]}
        if form.get("ErrorCode"):
            reported["error"] = form["ErrorCode"][:16]
        return Event(
            id=f"{message}:{kind}",
            user=user,
            type=kind,
            at=self._now(),
            channel="sms",
            message=message,
            reason=f"Twilio: {reported['status']} {reported.get('error', '')}".strip()
            if kind == "message_bounced"
            else None,
            properties=dict(reported),
        )


async def _form(request: web.Request) -> list[tuple[str, str]]:
    """Return the fields of a form as Twilio sends it; an empty list for any other body."""
    if request.content_type != "application/x-www-form-urlencoded":
        return []
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            return [(name, str(value)) for name, value in (await request.post()).items()]
    except (TimeoutError, LookupError, ValueError):
        return []  # too slow, in an unknown encoding, or damaged: its signature cannot be valid
