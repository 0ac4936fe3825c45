"""The HTTP door: 200 only after Kafka has acknowledged.

=====================================  ============================================================================
``POST /v1/track`` ``identify``        one event of the Segment spec (``page`` ``screen`` ``group`` ``alias`` too),
                                       or one in the short form
``POST /v1/batch``                     ``{"batch": [...]}``, up to 2,500 events of both forms, answered one by one
``GET, POST /v1/unsubscribe``          the signed link of a message (RFC 8058): a page with a button; one click
``POST /v1/callbacks/twilio``          what becomes of an SMS, signed by Twilio; where Twilio is set up
``GET /health``, ``GET /ready``        this process answers; Kafka answers it
=====================================  ============================================================================

Answers: 200; 400 what cannot become an event, with reason, field, what was found and what is allowed; 401 the write
key, where keys are set; 408 too slow; 413 too large, with the limit; 503 with ``Retry-After`` while Kafka is away.
Every refusal is counted by its reason (``events_rejected``), and also goes to ``events.rejected``: whole, or its length
and first 64 KiB. Three are only counted: what came without a write key (strangers fill no topic of ours), too slowly,
or in a damaged encoding (there is no body). The header ``X-Perennial-Origin: test`` keeps what an event causes away
from every provider.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from models.batch import Output
from models.errors import InvalidEvent
from models.events import Event, Origin, encode_event
from models.rejected import KEPT
from models.wire import CALLS, fields
from monitoring import metrics
from stream.collector.callbacks import TwilioCallbacks
from stream.collector.intake import BATCH_BYTES, EVENT_BYTES, Acceptance, Intake, Refusal, Verdict
from stream.collector.links import RETRY_AFTER_S, UnsubscribeLinks
from stream.delivery.callbacks import TWILIO_PATH
from stream.delivery.unsubscribe import PATH, Signer
from stream.event_log import Appended, EventLog, LogUnavailable

ORIGIN_HEADER = "X-Perennial-Origin"
READ_WITHIN_S = 30.0
"""How long a body may take to arrive."""
MOST_WAITING = 64 * 1024 * 1024
"""Bytes of bodies that may wait for Kafka; beyond them the door says 503 before memory runs out."""

CLOSING = {"Connection": "close"}
"""After half a body nothing else can follow on its connection."""


class _Refused(Exception):
    """An answer that ends a request."""

    def __init__(self, status: int, error: InvalidEvent, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(error))
        self.status = status
        self.error = error
        self.headers = headers


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
    twilio_token
        Of the account whose callbacks are taken; ``None`` takes none.
    public_url
        Where this door is reached from outside.
    write_keys
        One of them must come with every event, as the name of HTTP Basic or as ``writeKey``; none: nobody is asked.
    now
        The clock, milliseconds.
    """

    def __init__(
        self,
        log: EventLog,
        intake: Intake,
        signer: Signer,
        *,
        write_keys: Sequence[str] = (),
        twilio_token: str | None = None,
        public_url: str = "",
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._log = log
        self._intake = intake
        self._links = UnsubscribeLinks(log, intake, signer, now)
        self._twilio = None if twilio_token is None else TwilioCallbacks(log, twilio_token, public_url, now)
        self._write_keys = [key.encode() for key in write_keys]
        self._now = now
        self._waiting = 0

    def application(self) -> web.Application:
        """Routes of this door."""
        app = web.Application(middlewares=[self._measured, self._answered], client_max_size=BATCH_BYTES)
        for call in CALLS:
            app.router.add_post(f"/v1/{call}", self._one(call))
        app.router.add_post("/v1/batch", self._batch)
        app.router.add_get(PATH, self._links.ask)
        app.router.add_post(PATH, self._links.withdraw)
        if self._twilio is not None:
            app.router.add_post(TWILIO_PATH, self._twilio.take)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        return app

    # --- events ----------------------------------------------------------------------------------------------------

    def _one(self, call: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            received_at = self._now()
            body = await self._body(request, EVENT_BYTES, received_at)
            raw, origin = await self._parsed(request, body, received_at)
            verdict = self._intake.one(raw, call, received_at, origin, body=body)
            (place,) = await self._write([verdict], len(body))
            if isinstance(verdict, Refusal):
                raise _Refused(400, verdict.error)
            return _json({"success": True, **_placed(verdict, place)})

        return handle

    async def _batch(self, request: web.Request) -> web.Response:
        received_at = self._now()
        body = await self._body(request, BATCH_BYTES, received_at)
        raw, origin = await self._parsed(request, body, received_at)
        try:
            verdicts = self._intake.batch(raw, received_at, origin, body=body)
        except InvalidEvent as error:
            await self._write([self._intake.refuse(body, error, received_at)], len(body))
            raise _Refused(400, error) from None
        places = await self._write(verdicts, len(body))
        results = [_result(verdict, place) for verdict, place in zip(verdicts, places, strict=True)]
        refused = sum(isinstance(verdict, Refusal) for verdict in verdicts)
        return _json(
            {"success": not refused, "accepted": len(verdicts) - refused, "rejected": refused, "results": results}
        )

    async def _body(self, request: web.Request, most: int, received_at: int) -> bytes:
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                body = await _beginning(request, max(most, KEPT))
        except TimeoutError:
            error = InvalidEvent("too_slow", "", "an unfinished body", f"a body within {READ_WITHIN_S:g} s")
            raise _counted_only(408, error, CLOSING) from None
        except web.RequestPayloadError as broken:
            error = InvalidEvent("bad_body", "", "a damaged body", f"what Content-Encoding says ({broken})")
            raise _counted_only(400, error, CLOSING) from None
        if len(body) > most:
            # how long the rest is, is known only from the header, and there only of what is not compressed
            length = max(len(body), request.content_length or 0)
            what = "an event" if most == EVENT_BYTES else "a batch"
            error = InvalidEvent("too_large", "", f"{length} bytes or more", f"at most {most:,} bytes {what}")
            if not self._has_key(_basic_name(request.headers.get("Authorization", ""))):
                raise _counted_only(413, error)  # of a writeKey in such a body nothing is known
            await self._write([self._intake.refuse(body, error, received_at, length)], len(body))
            raise _Refused(413, error)
        return body

    async def _parsed(self, request: web.Request, body: bytes, received_at: int) -> tuple[dict[str, Any], Origin]:
        in_body: object = None
        try:
            raw = self._intake.parse(body)
            in_body = raw.pop("writeKey", None)
            origin = _origin(request)
        except InvalidEvent as error:
            self._admit(request, in_body)
            await self._write([self._intake.refuse(body, error, received_at)], len(body))
            raise _Refused(400, error) from None
        self._admit(request, in_body)
        return raw, origin

    def _admit(self, request: web.Request, in_body: object) -> None:
        """Check the write key, where keys are set."""
        found = _basic_name(request.headers.get("Authorization", ""))
        if found is None and isinstance(in_body, str):
            found = in_body.encode("utf-8", "replace")
        if not self._has_key(found):
            allowed = "a write key as the user name of HTTP Basic, or as writeKey in the body"
            error = InvalidEvent("bad_write_key", "writeKey", "none" if found is None else "another", allowed)
            raise _counted_only(401, error, {"WWW-Authenticate": 'Basic realm="perennial"'})

    def _has_key(self, found: bytes | None) -> bool:
        # every key is compared, so that the time it takes tells nothing
        matches = [hmac.compare_digest(found or b"", key) for key in self._write_keys]
        return any(matches) or not self._write_keys

    async def _write(self, verdicts: Sequence[Verdict], size: int) -> list[Appended]:
        if self._waiting and self._waiting + size > MOST_WAITING:
            raise _unavailable("too much waits for Kafka already")
        self._waiting += size
        try:
            # what belongs to each verdict first, so that the places are those of the verdicts
            outputs = [_output(verdict) for verdict in verdicts]
            places = await self._log.write(outputs + [extra for verdict in verdicts for extra in _extras(verdict)])
        except LogUnavailable as error:
            raise _unavailable(str(error)) from error
        finally:
            self._waiting -= size
        metrics.count(Counter(name for verdict in verdicts for name in _counted(verdict)))
        return places[: len(verdicts)]

    # --- health ----------------------------------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return _json({"healthy": True, "waiting_bytes": self._waiting})

    async def _ready(self, request: web.Request) -> web.Response:
        del request
        ready = await self._log.reachable(within_s=2.0)
        return _json({"ready": ready, "kafka": ready}, 200 if ready else 503)

    # --- around every request --------------------------------------------------------------------------------------

    @web.middleware
    async def _measured(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        began, status = time.perf_counter(), 500
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            # the route's own path: what a stranger typed must not become a label
            resource = request.match_info.route.resource
            path = resource.canonical if resource is not None else "other"
            metrics.increment("http_requests", path, str(status))
            metrics.observe("http_request_seconds", time.perf_counter() - began, path)
        return response

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except _Refused as refused:
            return _json({"success": False, "error": _explained(refused.error)}, refused.status, refused.headers)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            allowed = f"POST /v1/ and one of {', '.join(CALLS)}, batch"
            refusal = InvalidEvent("bad_address", "", f"{request.method} {request.path[:60]}", allowed)
            return _json({"success": False, "error": _explained(refusal)}, error.status)


def _origin(request: web.Request) -> Origin:
    try:
        return fields.origin(request.headers.get(ORIGIN_HEADER), "live")
    except InvalidEvent as error:
        raise InvalidEvent(error.reason, ORIGIN_HEADER, error.found, error.allowed) from None


async def _beginning(request: web.Request, most: int) -> bytes:
    """Read a body, or a little more than ``most`` bytes of a longer one."""
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > most:
            break
    return bytes(body)


def _counted(verdict: Verdict) -> list[tuple[str, ...]]:
    if isinstance(verdict, Acceptance):
        return [("events_accepted", "http"), *(("event_warnings", warning.reason) for warning in verdict.warnings)]
    reason = verdict.error.reason
    names: list[tuple[str, ...]] = [("events_rejected", reason)]
    return names if verdict.error.withdrawal is None else [*names, ("withdrawals_salvaged", reason)]


def _output(verdict: Verdict) -> Output:
    return verdict.output if isinstance(verdict, Refusal) else _into_events(verdict.event)


def _extras(verdict: Verdict) -> list[Output]:
    """Return what is written beside a verdict: dead letters of details, or the withdrawal of a refused event."""
    if isinstance(verdict, Acceptance):
        return verdict.details
    withdrawal = verdict.error.withdrawal
    return [] if withdrawal is None else [_into_events(withdrawal)]


def _into_events(event: Event) -> Output:
    return Output("events", event.user.encode(), encode_event(event))


def _result(verdict: Verdict, place: Appended) -> dict[str, Any]:
    if isinstance(verdict, Refusal):
        return {"status": "rejected", **_explained(verdict.error)}
    return {"status": "accepted", **_placed(verdict, place)}


def _placed(accepted: Acceptance, place: Appended) -> dict[str, Any]:
    said = {"id": accepted.event.id, "partition": place.partition, "offset": place.offset}
    if accepted.warnings:
        said["warnings"] = [
            {"reason": one.reason, "field": one.field, "found": one.found, "allowed": one.allowed}
            for one in accepted.warnings
        ]
    return said


def _explained(error: InvalidEvent) -> dict[str, str]:
    said = {"reason": error.reason, "field": error.field, "found": error.found, "allowed": error.allowed}
    return said if error.withdrawal is None else said | {"withdrawal": "applied"}


def _counted_only(status: int, error: InvalidEvent, headers: dict[str, str] | None = None) -> _Refused:
    """Count a refusal that no dead letter tells of."""
    metrics.increment("events_rejected", error.reason)
    return _Refused(status, error, headers)


def _unavailable(why: str) -> _Refused:
    error = InvalidEvent("unavailable", "", why, "the same request again, in a moment")
    return _Refused(503, error, {"Retry-After": str(RETRY_AFTER_S)})


def _basic_name(header: str) -> bytes | None:
    """User name of an ``Authorization: Basic`` header; ``None`` where there is none that can be read."""
    scheme, _, said = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(said.strip(), validate=True).partition(b":")[0]
    except (binascii.Error, ValueError):
        return None


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(content), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )
