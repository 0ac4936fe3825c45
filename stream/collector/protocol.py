"""The HTTP server under the door: what aiohttp cannot read is answered like every other mistake of a client.

aiohttp answers a request that is no HTTP (a bad header, a line that is too long, a broken chunk) in plain text, and
writes a traceback to the log. Nobody at the door can do anything about such a request, so here it is counted, and
answered in JSON.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from models.errors import InvalidEvent
from monitoring import metrics
from stream.collector.answers import CLOSING, refused

log = logging.getLogger(__name__)

Headers = Callable[[], Mapping[str, str]]


class DoorRunner(web.AppRunner):
    """Runs the application of a door.

    Bodies reach it as they were sent: the door decompresses them itself, so that a damaged one is answered like every
    other refusal.

    Parameters
    ----------
    app
        Of :meth:`stream.collector.door.Door.application`.
    headers
        Returns further headers of an answer to a request that cannot be read.
    options
        As of ``aiohttp.web.AppRunner``.
    """

    __slots__ = ("_headers",)

    def __init__(self, app: web.Application, headers: Headers, **options: Any) -> None:
        super().__init__(app, auto_decompress=False, access_log=None, **options)
        self._headers = headers

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = dict(self._kwargs)
        cancel = bool(options.pop("handler_cancellation", False))
        server = _Server(
            made.request_handler, request_factory=made.request_factory, handler_cancellation=cancel, **options
        )
        server.connection = partial(_Connection, self._headers, server, loop=asyncio.get_running_loop(), **options)
        return server


class _Server(web.Server):
    connection: Callable[[], web.RequestHandler]

    def __call__(self) -> web.RequestHandler:
        return self.connection()


class _Connection(web.RequestHandler):
    __slots__ = ("_headers",)

    def __init__(self, headers: Headers, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._headers = headers

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that was not answered: it cannot be read, or the code is wrong."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        if status >= 500:
            log.error("%s %s could not be answered", request.method, request.path, exc_info=exc)
            error = InvalidEvent("internal", "", "a mistake in the door", "the same request again, later")
            answer = refused(error, status, CLOSING)
        else:
            metrics.increment("http_requests", "other", str(status))
            metrics.increment("events_rejected", "bad_http")
            found = ascii((message or type(exc).__name__).partition("\n")[0])[1:-1]
            answer = refused(
                InvalidEvent("bad_http", "", found, "a request of HTTP/1.1"), status, {**CLOSING, **self._headers()}
            )
        answer.force_close()
        return answer
