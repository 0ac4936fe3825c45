"""JSON answers of the HTTP door: every error has one form, wherever it is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from models.errors import InvalidEvent
from monitoring import metrics
from stream.collector.links import RETRY_AFTER_S

CLOSING = {"Connection": "close"}
"""Headers of an answer to a body that was not read to its end: nothing else can follow on that connection."""


class HttpRefusal(Exception):
    """An answer that ends a request.

    Parameters
    ----------
    status
        Of HTTP, 400 or above.
    error
        Says why.
    headers
        Further ones of the answer.
    """

    def __init__(self, status: int, error: InvalidEvent, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(error))
        self.status = status
        self.error = error
        self.headers = headers


def counted_only(status: int, error: InvalidEvent, headers: Mapping[str, str] | None = None) -> HttpRefusal:
    """Count a refusal of which no dead letter is kept, and return it."""
    metrics.increment("events_rejected", error.reason)
    return HttpRefusal(status, error, headers)


def unavailable(why: str) -> HttpRefusal:
    """Return the answer 503, which tells the client when to come back."""
    error = InvalidEvent("unavailable", "", why, "the same request again, in a moment")
    return HttpRefusal(503, error, {"Retry-After": str(RETRY_AFTER_S)})


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer with JSON."""
    return web.Response(
        body=orjson.dumps(content), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def refused(error: InvalidEvent, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the answer to a request that was refused as a whole."""
    return json_answer({"success": False, **_coded(error), "error": _fields(error)}, status, headers)


def explained(error: InvalidEvent) -> dict[str, str]:
    """Explain the refusal of one event of a batch."""
    return {**_coded(error), **_fields(error)}


def _coded(error: InvalidEvent) -> dict[str, str]:
    return {"code": error.reason, "message": str(error)}


def _fields(error: InvalidEvent) -> dict[str, str]:
    said = {"reason": error.reason, "field": error.field, "found": error.found, "allowed": error.allowed}
    return said if error.withdrawal is None else said | {"withdrawal": "applied"}
