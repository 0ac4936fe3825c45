"""The addresses of the HTTP door for events and for health; other modules answer its other addresses."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from models.errors import InvalidEvent
from models.events import Origin, Trust
from models.rejected import MAX_KEPT_BYTES
from models.wire import fields
from monitoring import metrics
from stream.collector import addresses, results
from stream.collector.answers import counted_only, json_answer, refusal_of, unavailable
from stream.collector.bodies import BodyReader, Memory
from stream.collector.credentials import BodyKeys, request_keys
from stream.collector.intake import (
    EVENT_SIZE_ALLOWED,
    MAX_BATCH_BYTES,
    MAX_ORDER_BYTES,
    ORIGIN_ALLOWED,
    Arrival,
    Intake,
    Refusal,
    Verdict,
)
from stream.collector.write_keys import Admission, WriteKeys
from stream.log.event_log import Appended, EventLog, LogUnavailable

logger = logging.getLogger(__name__)

ORIGIN_HEADER = "X-Perennial-Origin"
"""Name of the header with which a request states that its events are not live."""

_KEY_ALLOWED = "a write key as the user name of HTTP Basic, or as writeKey in the query, the body or an event"


class Endpoints(Protocol):
    """Some addresses of the door, and the code that answers requests to them."""

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the addresses to a router."""


class EventEndpoints:
    """The addresses at which the door takes events.

    Parameters
    ----------
    log
        Log that accepted events and dead letters are written to.
    intake
        The code that turns bodies into events.
    write_keys
        Known keys. Every request with events must have one of them, unless no key is set.
    now
        Clock, milliseconds.
    bodies
        Reader of the bodies of requests.
    """

    def __init__(
        self, log: EventLog, intake: Intake, write_keys: WriteKeys, now: Callable[[], int], bodies: BodyReader
    ) -> None:
        self._log = log
        self._intake = intake
        self._write_keys = write_keys
        self._now = now
        self._bodies = bodies

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the address of each call and each address of a batch, with and without a slash at the end."""
        for path, call in addresses.single():
            _add_post(router, path, self._one(call))
        for path in addresses.batches():
            _add_post(router, path, self._batch)
        _add_post(router, addresses.METRICS, self._sdk_metrics)

    def _one(self, call: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            raw, arrival = await self._arrived(request, MAX_ORDER_BYTES, call)
            verdict = self._intake.one(raw, call, arrival)
            (place,) = await self._write([verdict], len(arrival.body))
            if isinstance(verdict, Refusal):
                is_large = (verdict.error.reason, verdict.error.field) == ("too_large", "")
                raise refusal_of(413 if is_large else 400, verdict.error)
            return json_answer({"success": True, **results.placed(verdict, place)})

        return handle

    async def _batch(self, request: web.Request) -> web.Response:
        raw, arrival = await self._arrived(request, MAX_BATCH_BYTES)
        try:
            verdicts = self._intake.batch(raw, arrival)
        except InvalidEvent as error:
            await self._refuse(self._intake.refuse_parsed(raw, None, arrival, error), arrival)
            raise refusal_of(400, error) from None
        places = await self._write(verdicts, len(arrival.body))
        said = [results.result(verdict, place) for verdict, place in zip(verdicts, places, strict=True)]
        rejected = sum(isinstance(verdict, Refusal) for verdict in verdicts)
        accepted = len(verdicts) - rejected
        return json_answer({"success": not rejected, "accepted": accepted, "rejected": rejected, "results": said})

    async def _sdk_metrics(self, request: web.Request) -> web.Response:
        del request
        return json_answer({"success": True})

    async def _arrived(
        self, request: web.Request, most: int, call: str | None = None
    ) -> tuple[dict[str, Any], Arrival]:
        """Read a request and decide whether it may send events; ``call`` is the call of its address, if any."""
        received_at = self._now()
        body = await self._body(request, most, received_at)
        raw: dict[str, Any] = {}
        keys = BodyKeys()
        problem: InvalidEvent | None = None
        try:
            raw, keys = self._intake.parse(body)
        except InvalidEvent as error:
            problem = error
        arrival = Arrival(body, received_at, "live", self._admit(request, keys), keys.items)
        try:
            if problem is not None:
                raise problem
            arrival = arrival._replace(origin=_origin(request, arrival.admission.trust))
        except InvalidEvent as error:
            await self._refuse(self._intake.refuse_parsed(raw, call, arrival, error), arrival)
            raise refusal_of(400, error) from None
        return raw, arrival

    async def _body(self, request: web.Request, most: int, received_at: int) -> bytes:
        body = await self._bodies.read(request, most)
        if len(body.content) <= most and body.length <= most:
            return body.content
        allowed = f"at most {MAX_BATCH_BYTES:,} bytes a batch" if most == MAX_BATCH_BYTES else EVENT_SIZE_ALLOWED
        error = InvalidEvent("too_large", "", f"{body.length} bytes or more", allowed)
        if self._write_keys.admit(request_keys(request)) is None:
            raise counted_only(413, error)  # the writeKey inside a body that is too large is not read
        await self._write([self._intake.refuse(body.content, error, received_at, body.length)], MAX_KEPT_BYTES)
        raise refusal_of(413, error)

    def _admit(self, request: web.Request, keys: BodyKeys) -> Admission:
        """Check the write keys, where keys are set."""
        said: list[object] = [*request_keys(request), keys.own]
        admission = self._write_keys.admit(said, keys.items)
        if admission is None:
            found = "none" if all(key is None for key in (*said, *keys.items)) else "another"
            # With a challenge, a browser would ask the visitor of a page for a password.
            challenge = {} if "Origin" in request.headers else {"WWW-Authenticate": 'Basic realm="perennial"'}
            raise counted_only(401, InvalidEvent("bad_write_key", "writeKey", found, _KEY_ALLOWED), challenge)
        return admission

    async def _refuse(self, refusal: Refusal, arrival: Arrival) -> None:
        await self._write([refusal], len(arrival.body))

    async def _write(self, verdicts: Sequence[Verdict], size: int) -> list[Appended]:
        with self._bodies.memory.holding(size):
            try:
                places = await self._log.write(results.outputs(verdicts))
            except LogUnavailable as error:
                # Web pages read this answer, so it contains no addresses of brokers.
                logger.info("events cannot be accepted: %s", error)
                raise unavailable("Kafka did not acknowledge in time") from error
        metrics.count(Counter(results.counts(verdicts)))
        return places[: len(verdicts)]


class HealthEndpoints:
    """The addresses that say whether this process answers, and whether Kafka answers it.

    Parameters
    ----------
    log
        Log whose brokers are asked.
    memory
        Counter of the bodies in memory.
    """

    def __init__(self, log: EventLog, memory: Memory) -> None:
        self._log = log
        self._memory = memory

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve ``/health`` and ``/ready``."""
        router.add_get("/health", self._health)
        router.add_get("/ready", self._ready)

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return json_answer({"healthy": True, "waiting_bytes": self._memory.held})

    async def _ready(self, request: web.Request) -> web.Response:
        del request
        ready = await self._log.reachable(within_s=2.0)
        return json_answer({"ready": ready, "kafka": ready}, 200 if ready else 503)


def _add_post(router: web.UrlDispatcher, path: str, handler: Handler) -> None:
    for spelling in addresses.spellings(path):
        router.add_post(spelling, handler)


def _origin(request: web.Request, trust: Trust) -> Origin:
    said = request.headers.get(ORIGIN_HEADER)
    if said is not None and trust == "public":
        raise InvalidEvent("bad_origin", ORIGIN_HEADER, fields.shown(said), ORIGIN_ALLOWED)
    try:
        return fields.origin(said, "live")
    except InvalidEvent as error:
        raise InvalidEvent(error.reason, ORIGIN_HEADER, error.found, error.allowed) from None
