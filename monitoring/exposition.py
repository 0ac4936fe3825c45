"""The HTTP server that Prometheus scrapes."""

from __future__ import annotations

import platform
import threading
from importlib.metadata import PackageNotFoundError, version
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, disable_created_metrics, start_http_server

from monitoring.metrics import REGISTRY, gauge

__all__ = ["Exposition", "serve"]


class Exposition:
    """A running HTTP server that Prometheus scrapes."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread

    def __repr__(self) -> str:
        """Show the port."""
        return f"Exposition(port={self.port})"

    @property
    def port(self) -> int:
        """Port on which the server listens."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop the server and free its port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(port: int, host: str = "127.0.0.1", registry: CollectorRegistry = REGISTRY) -> Exposition:
    """Expose this process's metrics at ``http://host:port/metrics``, from a daemon thread.

    Parameters
    ----------
    port
        Port to listen on. 0 takes a free one; see :attr:`Exposition.port`.
    host
        Address to bind. The default is loopback, because metrics reveal facts about the business.
    registry
        Registry to expose.

    Raises
    ------
    OSError
        The port is taken.

    Examples
    --------
    >>> from urllib.request import urlopen
    >>> exposition = serve(0)
    >>> with urlopen(f"http://127.0.0.1:{exposition.port}/metrics") as answer:
    ...     b"perennial_build_info" in answer.read()
    True
    >>> exposition.close()
    """
    # prometheus-client would add a `_created` series to each counter. These series double the storage, and no query
    # uses them.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus-client leaves this one function untyped
    gauge("build_info", 1.0, _version(), platform.python_version())
    server, thread = start_http_server(port, addr=host, registry=registry)
    return Exposition(server, thread)


def _version() -> str:
    try:
        return version("perennial")
    except PackageNotFoundError:
        return "unknown"  # This is a checkout that was not installed.
