"""The HTTP door. It answers 200 only after Kafka has acknowledged.

::

    POST /v1/track, identify, page,       one event, in the Segment spec's form or in the short form;
         screen, group, alias             also at /v1/t, /v1/i ...
    POST /v1/batch                        {"batch": [...]}, up to 2,500 events of both forms, answered one by one;
                                          also at /v1/b, /v1/import, /beacon/v1/batch
    POST /v1/m                            analytics-next's metrics: accepted and dropped
    GET  /v1/projects/KEY/settings,       settings of the browser SDKs (stream/collector/sdk_settings.py)
         /sourceConfig/
    GET  /v1/users/USER/recommendations   items for a user (?k=10), from the worker that owns the user;
                                          with a server token, or with a token of this user
    GET, POST /v1/unsubscribe             the signed link of a message (RFC 8058): a page with buttons; one click
    GET, POST /v1/preferences             the same page; its choices. POST /v1/preferences/link mails a new link
    GET, POST /v1/confirm                 the signed link that confirms a consent: a page with a button; the button
    POST /v1/callbacks/twilio             outcomes of SMS, and incoming SMS (STOP, START), signed by Twilio;
                                          only where Twilio is set up
    GET  /health, /ready                  whether this process answers; whether Kafka answers it

Each address of events and of settings is also served with a slash at its end. Pages of other origins may call these
addresses (``stream/collector/cors.py``). A write key is the user name of HTTP Basic, or a ``writeKey``. The
``writeKey`` is in the query, in the body, or in an event of a batch (``stream/collector/write_keys.py``).

Statuses of answers::

    200  accepted
    400  the request cannot become an event
    401  no known write key, where keys are set
    404  no such address
    405  no such method at this address
    408  the body arrived too slowly
    413  the body is too large; the answer gives the limit
    503  Kafka does not answer; Retry-After says when to repeat the request

Every error is JSON with ``code``, ``message`` and ``error``. ``error`` has the reason, the field, what was found and
what is allowed. The answer to an event that was accepted without some of its details has ``warnings``.

Every refusal of events is counted by its reason (``events_rejected``). The refused event or body also goes to
``events.rejected``: whole, or its length and its first 64 KiB. Four kinds are only counted. A request without a known
write key is one of them, because strangers must not fill a topic of ours. The others have no body to keep: the body
arrived too slowly, its encoding is damaged, or the request is not HTTP. A client's mistake is never logged. The header
``X-Perennial-Origin: test`` keeps the effects of an event away from every provider. A request with a browser key must
not send this header.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from models.errors import InvalidEvent
from models.wire import CALLS
from monitoring import metrics
from stream.collector import addresses
from stream.collector.answers import refusal_of, refused
from stream.collector.cors import Cors
from stream.collector.endpoints import Endpoints
from stream.collector.intake import MAX_BATCH_BYTES
from stream.collector.protocol import DoorRunner
from stream.lookup.refusals import HttpRefusal

CLIENT_GONE = 499
"""Status in metrics of a request whose client left before the answer, for example because its page was closed."""


class Door:
    """The web application: its endpoints, and the work that is the same for every request.

    Parameters
    ----------
    endpoints
        The addresses to serve.
    cors
        Decides which web pages may call the door.
    """

    def __init__(self, endpoints: Iterable[Endpoints], cors: Cors) -> None:
        self._endpoints = tuple(endpoints)
        self._cors = cors

    def __repr__(self) -> str:
        return f"Door({', '.join(type(endpoints).__name__ for endpoints in self._endpoints)})"

    def application(self) -> web.Application:
        """Return the application with all routes of this door; :meth:`runner` serves it."""
        app = web.Application(middlewares=[_measured, self._cors.preflight, _answered], client_max_size=MAX_BATCH_BYTES)
        app.on_response_prepare.append(self._cors.add_headers)
        for endpoints in self._endpoints:
            endpoints.add_routes(app.router)
        return app

    def runner(self, **options: Any) -> DoorRunner:
        """Return the server of this door; ``options`` are those of ``aiohttp.web.AppRunner``."""
        return DoorRunner(self.application(), self._cors.headers_of_unread, **options)


@web.middleware
async def _measured(request: web.Request, handler: Handler) -> web.StreamResponse:
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
async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except HttpRefusal as refusal:
        return refused(refusal)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allowed = f"POST /v1/ and one of {', '.join(CALLS)}, batch"
        unserved = InvalidEvent("bad_address", "", f"{request.method} {request.path[:60]}", allowed)
        headers = {"Allow": error.headers["Allow"]} if error.status == 405 else None
        return refused(refusal_of(error.status, unserved, headers))


def _label(request: web.Request) -> str:
    """Return the address of a request as a label of metrics; an unknown path must not become a label."""
    resource = request.match_info.route.resource
    return addresses.LABELS.get(request.path) or (resource.canonical if resource is not None else "other")
