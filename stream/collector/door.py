"""The HTTP door: 200 only after Kafka has acknowledged.

=========================================  ========================================================================
``POST /v1/track`` ``identify``            one event of the Segment spec (``page`` ``screen`` ``group`` ``alias``
                                           too), or one in the short form; also at ``/v1/t``, ``/v1/i`` ...
``POST /v1/batch``                         ``{"batch": [...]}``, up to 2,500 events of both forms, answered one by
                                           one; also at ``/v1/b``, ``/v1/import``, ``/beacon/v1/batch``
``POST /v1/m``                             analytics-next's own metrics: accepted and dropped
``GET /v1/projects/KEY/settings``,         settings of the browser SDKs
``GET /sourceConfig/``                     (``stream/collector/sdk_settings.py``)
``GET /v1/users/USER/recommendations``     items for a user (``?k=10``), as the worker answers that owns the user;
                                           with a server token, or with a token of that very user
``GET, POST /v1/unsubscribe``              the signed link of a message (RFC 8058): a page with a button; one click
``POST /v1/callbacks/twilio``              what becomes of an SMS, and incoming SMS (STOP, START), signed by Twilio;
                                           where Twilio is set up
``GET /health``, ``GET /ready``            this process answers; Kafka answers it
=========================================  ========================================================================

Each address of events and of settings is also served with a slash at its end, and open to pages of other origins
(``stream/collector/cors.py``). Write keys come as the user name of HTTP Basic, as ``writeKey`` in the query, in the
body, or in an event of a batch (``stream/collector/write_keys.py``).

Answers: 200; 400 what cannot become an event; 401 the write key, where keys are set; 404 and 405 no such address; 408
too slow; 413 too large, with the limit; 503 with ``Retry-After`` while Kafka is away. Every error is JSON with
``code`` and ``message``, and with ``error``: reason, field, what was found and what is allowed. An event that was
accepted without some of its details has ``warnings``.
Every refusal is counted by its reason (``events_rejected``), and also goes to ``events.rejected``: whole, or its length
and first 64 KiB. Four are only counted: what came without a write key (strangers fill no topic of ours), too slowly,
in a damaged encoding, or as no HTTP at all (there is no body). No mistake of a client is logged. The header
``X-Perennial-Origin: test`` keeps what an event causes away from every provider; a browser key may not send it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from models.delivery.suppression import SuppressionList
from models.delivery.suppressor import Suppressor
from models.errors import InvalidEvent
from models.events import Origin, Trust
from models.rejected import KEPT
from models.units import now_ms
from models.wire import CALLS, fields
from monitoring import metrics
from stream.collector import addresses, bodies, recommendations, results
from stream.collector.answers import (
    HttpRefusal,
    counted_only,
    json_answer,
    refused,
    unavailable,
)
from stream.collector.bodies import Memory
from stream.collector.callbacks import TwilioCallbacks
from stream.collector.cors import Cors
from stream.collector.credentials import request_keys
from stream.collector.intake import (
    BATCH_BYTES,
    EVENT_SIZE_ALLOWED,
    ORDER_BYTES,
    ORIGIN_ALLOWED,
    Arrival,
    Intake,
    Refusal,
    Verdict,
)
from stream.collector.links import UnsubscribeLinks
from stream.collector.protocol import DoorRunner
from stream.collector.recommendations import Recommendations
from stream.collector.sdk_settings import SdkSettings
from stream.collector.write_keys import Admission, WriteKeys
from stream.delivery.callbacks import TWILIO_PATH
from stream.delivery.unsubscribe import PATH, Signer
from stream.log.event_log import Appended, EventLog, LogUnavailable

log = logging.getLogger(__name__)

ORIGIN_HEADER = "X-Perennial-Origin"
CLIENT_GONE = 499
"""Status in metrics of a request whose client went away before it was answered, such as a page that was left."""

_KEY_ALLOWED = "a write key as the user name of HTTP Basic, or as writeKey in the query, the body or an event"


class Door:
    """Takes events over HTTP into an open log.

    Parameters
    ----------
    log
        Where accepted events go.
    intake
        What judges bodies.
    signer
        Verifies unsubscribe links.
    write_keys
        One of them must come with every request that has events; without any, nobody is asked.
    cors
        Which pages may call the door.
    recommender
        Answers for the workers; without it there is no such address.
    twilio_token
        Of the account whose callbacks are taken; ``None`` takes none.
    sms
        Writes to the suppression list what those callbacks tell of phone numbers; ``None`` writes nothing.
    listed
        The suppression list, kept current by whoever reads its topic; ``None`` knows no entries.
    public_url
        How this door is reached from outside; ``None`` where that was not configured.
    now
        The clock, milliseconds.
    """

    def __init__(
        self,
        log: EventLog,
        intake: Intake,
        signer: Signer,
        *,
        write_keys: WriteKeys | None = None,
        cors: Cors | None = None,
        recommender: Recommendations | None = None,
        twilio_token: str | None = None,
        sms: Suppressor | None = None,
        listed: SuppressionList | None = None,
        public_url: str | None = None,
        now: Callable[[], int] = now_ms,
    ) -> None:
        self._log = log
        self._intake = intake
        self._links = UnsubscribeLinks(log, intake, signer, now, listed)
        self._twilio = None if twilio_token is None else TwilioCallbacks(log, twilio_token, public_url or "", now, sms)
        self._write_keys = write_keys or WriteKeys()
        self._cors = cors or Cors()
        self._sdk_settings = SdkSettings(self._write_keys, public_url)
        self._recommender = recommender
        self._now = now
        self._memory = Memory()

    def application(self) -> web.Application:
        """Routes of this door; :meth:`runner` serves them."""
        app = web.Application(
            middlewares=[self._measured, self._cors.preflight, self._answered], client_max_size=BATCH_BYTES
        )
        app.on_response_prepare.append(self._cors.add_headers)
        for path, call in addresses.single():
            _add_post(app, path, self._one(call))
        for path in addresses.batches():
            _add_post(app, path, self._batch)
        _add_post(app, addresses.METRICS, self._sdk_metrics)
        self._sdk_settings.add_routes(app.router)
        app.router.add_get(PATH, self._links.ask)
        app.router.add_post(PATH, self._links.withdraw)
        if self._recommender is not None:
            app.router.add_get(recommendations.ADDRESS, self._recommender.answer)
        if self._twilio is not None:
            app.router.add_post(TWILIO_PATH, self._twilio.take)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        return app

    def runner(self, **options: Any) -> DoorRunner:
        """Return what serves this door; ``options`` are those of ``aiohttp.web.AppRunner``."""
        return DoorRunner(self.application(), self._cors.headers_of_unread, **options)

    # --- events ----------------------------------------------------------------------------------------------------

    def _one(self, call: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            raw, arrival = await self._arrived(request, ORDER_BYTES, call)
            verdict = self._intake.one(raw, call, arrival)
            (place,) = await self._write([verdict], len(arrival.body))
            if isinstance(verdict, Refusal):
                is_large = (verdict.error.reason, verdict.error.field) == ("too_large", "")
                raise HttpRefusal(413 if is_large else 400, verdict.error)
            return json_answer({"success": True, **results.placed(verdict, place)})

        return handle

    async def _batch(self, request: web.Request) -> web.Response:
        raw, arrival = await self._arrived(request, BATCH_BYTES)
        try:
            verdicts = self._intake.batch(raw, arrival)
        except InvalidEvent as error:
            await self._refuse(self._intake.refuse_parsed(raw, None, arrival, error), arrival)
            raise HttpRefusal(400, error) from None
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
        """Read a request and decide whether it may send events; ``call`` is that of its address, if it has one."""
        received_at = self._now()
        body = await self._body(request, most, received_at)
        raw: dict[str, Any] = {}
        problem: InvalidEvent | None = None
        try:
            raw = self._intake.parse(body)
        except InvalidEvent as error:
            problem = error
        arrival = Arrival(body, received_at, "live", self._admit(request, raw))
        try:
            if problem is not None:
                raise problem
            arrival = arrival._replace(origin=_origin(request, arrival.admission.trust))
        except InvalidEvent as error:
            await self._refuse(self._intake.refuse_parsed(raw, call, arrival, error), arrival)
            raise HttpRefusal(400, error) from None
        return raw, arrival

    async def _body(self, request: web.Request, most: int, received_at: int) -> bytes:
        body = await bodies.read(request, most, self._memory)
        if len(body.content) <= most and body.length <= most:
            return body.content
        allowed = f"at most {BATCH_BYTES:,} bytes a batch" if most == BATCH_BYTES else EVENT_SIZE_ALLOWED
        error = InvalidEvent("too_large", "", f"{body.length} bytes or more", allowed)
        if self._write_keys.admit(request_keys(request)) is None:
            raise counted_only(413, error)  # of a writeKey in such a body nothing is known
        await self._write([self._intake.refuse(body.content, error, received_at, body.length)], KEPT)
        raise HttpRefusal(413, error)

    def _admit(self, request: web.Request, raw: dict[str, Any]) -> Admission:
        """Check the write keys, where keys are set; the body's own is taken out of it."""
        said: list[object] = [*request_keys(request), raw.pop("writeKey", None)]
        items = raw.get("batch")
        inside = [item.get("writeKey") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
        admission = self._write_keys.admit(said, inside)
        if admission is None:
            found = "none" if all(key is None for key in said + inside) else "another"
            # a browser would ask the visitor of a page for a password
            challenge = {} if "Origin" in request.headers else {"WWW-Authenticate": 'Basic realm="perennial"'}
            raise counted_only(401, InvalidEvent("bad_write_key", "writeKey", found, _KEY_ALLOWED), challenge)
        return admission

    async def _refuse(self, refusal: Refusal, arrival: Arrival) -> None:
        await self._write([refusal], len(arrival.body))

    async def _write(self, verdicts: Sequence[Verdict], size: int) -> list[Appended]:
        with self._memory.holding(size):
            try:
                places = await self._log.write(results.outputs(verdicts))
            except LogUnavailable as error:
                # Pages read this answer, so it names no addresses of brokers.
                log.info("events cannot be taken: %s", error)
                raise unavailable("Kafka did not acknowledge in time") from error
        metrics.count(Counter(results.counts(verdicts)))
        return places[: len(verdicts)]

    # --- health ----------------------------------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return json_answer({"healthy": True, "waiting_bytes": self._memory.held})

    async def _ready(self, request: web.Request) -> web.Response:
        del request
        ready = await self._log.reachable(within_s=2.0)
        return json_answer({"ready": ready, "kafka": ready}, 200 if ready else 503)

    # --- around every request --------------------------------------------------------------------------------------

    @web.middleware
    async def _measured(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        began, status, path = time.perf_counter(), 500, _label(request)
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        except (ConnectionError, asyncio.CancelledError):
            status = CLIENT_GONE
            raise
        finally:
            metrics.increment("http_requests", path, str(status))
            metrics.observe("http_request_seconds", time.perf_counter() - began, path)
        return response

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except HttpRefusal as refusal:
            return refused(refusal.error, refusal.status, refusal.headers)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            allowed = f"POST /v1/ and one of {', '.join(CALLS)}, batch"
            unserved = InvalidEvent("bad_address", "", f"{request.method} {request.path[:60]}", allowed)
            return refused(unserved, error.status, {"Allow": error.headers["Allow"]} if error.status == 405 else None)


def _add_post(app: web.Application, path: str, handler: Handler) -> None:
    for spelling in addresses.spellings(path):
        app.router.add_post(spelling, handler)


def _label(request: web.Request) -> str:
    """Address of a request as a label of metrics; what a stranger typed must not become one."""
    resource = request.match_info.route.resource
    return addresses.LABELS.get(request.path) or (resource.canonical if resource is not None else "other")


def _origin(request: web.Request, trust: Trust) -> Origin:
    said = request.headers.get(ORIGIN_HEADER)
    if said is not None and trust == "public":
        raise InvalidEvent("bad_origin", ORIGIN_HEADER, fields.shown(said), ORIGIN_ALLOWED)
    try:
        return fields.origin(said, "live")
    except InvalidEvent as error:
        raise InvalidEvent(error.reason, ORIGIN_HEADER, error.found, error.allowed) from None
