"""The HTTP server of the door. A request that aiohttp cannot read gets the same kind of answer as any bad request.

Such a request has a bad header, for example, or a broken chunk, or a line that is too long. aiohttp answers it in plain
text, and writes a traceback to the log. But the operator of the door cannot correct such a request. So this server
counts it, and answers in JSON.
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
from stream.collector.answers import CLOSING, refusal_of, refused

logger = logging.getLogger(__name__)

Headers = Callable[[], Mapping[str, str]]
"""Function that returns headers of an answer."""


class DoorRunner(web.AppRunner):
    """The server of a door's application.

    It does not decompress bodies. The door does this itself, so that a damaged body is answered like every other
    refusal.

    Parameters
    ----------
    app
        The application, from :meth:`stream.collector.door.Door.application`.
    headers
        Returns further headers for the answer to a request that cannot be read.
    options
        Options of ``aiohttp.web.AppRunner``.
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
        """Answer a request that could not be read, or whose handler failed."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was already begun")
        if status >= 500:
            logger.error("%s %s could not be answered", request.method, request.path, exc_info=exc)
            error = InvalidEvent("internal", "", "an error inside the door", "the same request again, later")
            answer = refused(refusal_of(status, error, CLOSING))
        else:
            metrics.increment("http_requests", "other", str(status))
            metrics.increment("events_rejected", "bad_http")
            found = ascii((message or type(exc).__name__).partition("\n")[0])[1:-1]
            error = InvalidEvent("bad_http", "", found, "a request of HTTP/1.1")
            answer = refused(refusal_of(status, error, {**CLOSING, **self._headers()}))
        answer.force_close()
        return answer
