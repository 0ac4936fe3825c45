"""JSON answers of the HTTP door. Every error has the same form, wherever it is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from models.errors import InvalidEvent
from monitoring import metrics
from stream.lookup.refusals import HttpRefusal

CLOSING = {"Connection": "close"}
"""Headers of the answer to a body that was not read to its end; its connection can carry no further request."""
RETRY_AFTER_S = 1
"""How long a client waits before it repeats a request that Kafka could not take, seconds."""


def refusal_of(status: int, error: InvalidEvent, headers: Mapping[str, str] | None = None) -> HttpRefusal:
    """Return the refusal for an error in a request."""
    return HttpRefusal(status, error.reason, str(error), details=_fields(error), headers=headers)


def counted_only(status: int, error: InvalidEvent, headers: Mapping[str, str] | None = None) -> HttpRefusal:
    """Count a refusal for which no dead letter is kept, and return it."""
    metrics.increment("events_rejected", error.reason)
    return refusal_of(status, error, headers)


def unavailable(why: str) -> HttpRefusal:
    """Return the refusal 503, which tells the client when to repeat the request."""
    error = InvalidEvent("unavailable", "", why, "the same request again, in a moment")
    return refusal_of(503, error, {"Retry-After": str(RETRY_AFTER_S)})


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer with JSON."""
    return web.Response(
        body=orjson.dumps(content), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def refused(refusal: HttpRefusal) -> web.Response:
    """Return the answer to a request that was refused."""
    content = {"success": False, "code": refusal.code, "message": refusal.message, "error": dict(refusal.details)}
    return json_answer(content, refusal.status, refusal.headers)


def explained(error: InvalidEvent) -> dict[str, str]:
    """Return the answer's fields about one refused event of a batch."""
    return {"code": error.reason, "message": str(error), **_fields(error)}


def _fields(error: InvalidEvent) -> dict[str, str]:
    said = {"reason": error.reason, "field": error.field, "found": error.found, "allowed": error.allowed}
    return said if error.withdrawal is None else said | {"withdrawal": "applied"}
