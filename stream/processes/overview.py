"""Answers of a supervisor about all its processes: ``/health``, ``/ready`` and the supervisor's ``/metrics``."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec
import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from monitoring.metrics import REGISTRY
from stream.processes.programs import Status
from stream.processes.worker_report import WorkerReport

logger = logging.getLogger(__name__)

FRESH_S = 10.0
"""How long a report is valid, seconds: a process sends one every second."""


def describe(statuses: Sequence[Status]) -> dict[str, Any]:
    """Describe whether all processes are ready and healthy, and why.

    A process is ready if it runs and its report says "ready". It is healthy if it runs and its report says "healthy",
    or if it runs and has sent no report yet. A process that sends no reports is ready and healthy while it runs.
    """
    return {
        "ready": all(map(_is_ready, statuses)),
        "healthy": all(map(_is_healthy, statuses)),
        "processes": [
            {
                "name": status.name,
                "state": status.state,
                "pid": status.pid,
                "restarts": status.restarts,
                "last_end": status.last_end,
                "ready": _is_ready(status),
                "healthy": _is_healthy(status),
                "silence_s": None if status.silence_s is None else round(status.silence_s, 1),
                **_details(status.report),
            }
            for status in statuses
        ],
    }


def _details(report: WorkerReport | None) -> dict[str, Any]:
    """Return the details of a report, without the two results that :func:`describe` computes."""
    details: dict[str, Any] = {} if report is None else msgspec.to_builtins(report)
    return {name: value for name, value in details.items() if name not in ("ready", "healthy")}


def _is_ready(status: Status) -> bool:
    if status.state != "running":
        return False
    if status.silence_s is None:
        return True
    return status.report is not None and status.silence_s <= FRESH_S and status.report.ready


def _is_healthy(status: Status) -> bool:
    if status.state != "running":
        return False
    if status.report is None or status.silence_s is None:
        return True  # the process is starting, and is killed if it stays silent for too long
    return status.silence_s <= FRESH_S and status.report.healthy


class Overview:
    """HTTP server for the answers of :func:`describe`; it listens from ``with`` to the end of the block.

    Parameters
    ----------
    statuses
        Function that returns the state of each supervised program.
    host, port
        Address to listen on. If the port is taken, a free one is used.

    Attributes
    ----------
    port
        The port in use, from ``with`` on.
    """

    def __init__(self, statuses: Callable[[], Sequence[Status]], host: str, port: int) -> None:
        self._statuses = statuses
        self._host = host
        self.port = port

    def __repr__(self) -> str:
        return f"{type(self).__name__}(http://{self._host}:{self.port})"

    def __enter__(self) -> Self:
        self._server = self._listen()
        self._server.daemon_threads = True
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, name="overview", daemon=True)
        self._thread.start()
        return self

    def _listen(self) -> ThreadingHTTPServer:
        statuses = self._statuses

        class Handler(_Handler):
            overview = staticmethod(lambda: describe(statuses()))

        try:
            return ThreadingHTTPServer((self._host, self.port), Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        server = ThreadingHTTPServer((self._host, 0), Handler)
        logger.warning("port %d is taken: health is at %d", self.port, server.server_port)
        return server

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    overview: Callable[[], dict[str, Any]]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
        elif path in ("/health", "/ready"):
            found = self.overview()
            good = found["healthy" if path == "/health" else "ready"]
            self._answer(200 if good else 503, orjson.dumps(found), "application/json")
        else:
            self._answer(404, b'{"error":"there are /health, /ready and /metrics"}', "application/json")

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base class calls it so
        """Log no request: a probe comes every few seconds."""
