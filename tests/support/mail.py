"""A mail server in tests, in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from aiosmtpd.controller import Controller

_H = TypeVar("_H", bound=Any)


@contextmanager
def serving(handler: _H, port: int) -> Iterator[_H]:
    """Serve on loopback until the end of the block."""
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield handler
    finally:
        controller.stop()
