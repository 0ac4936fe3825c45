"""A port between a client and its broker in tests, which forwards data at a limited speed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.brokers import HOST

CHUNK = 1 << 14


class Forwarder:
    """Forwarder of TCP connections to a broker; see :func:`forwarding`.

    Attributes
    ----------
    bytes_per_s
        Maximum speed of each connection towards the broker; ``None`` is no limit. Data from the broker is never slowed
        down.
    """

    def __init__(self, broker: str) -> None:
        self._host, _, number = broker.rpartition(":")
        self._number = int(number)
        self.bytes_per_s: int | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection to its end."""
        try:
            from_broker, to_broker = await asyncio.open_connection(self._host, self._number)
        except OSError:
            writer.close()
            return
        with contextlib.closing(to_broker), contextlib.closing(writer), contextlib.suppress(OSError):
            back = asyncio.create_task(self._pump(from_broker, writer, slow=False))
            forth = asyncio.create_task(self._pump(reader, to_broker, slow=True))
            try:
                await asyncio.wait([back, forth], return_when=asyncio.FIRST_COMPLETED)
            finally:
                back.cancel()
                forth.cancel()
                await asyncio.gather(back, forth, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        while content := await reader.read(CHUNK):
            writer.write(content)
            await writer.drain()
            if slow and self.bytes_per_s is not None:
                await asyncio.sleep(len(content) / self.bytes_per_s)  # this limits the speed


@asynccontextmanager
async def forwarding(broker: str, place: int | socket.socket) -> AsyncIterator[Forwarder]:
    """Forward until the end of the block.

    Parameters
    ----------
    broker
        Address of the broker.
    place
        Where to listen: a port of loopback, or a socket that has an address already.
    """
    forwarder = Forwarder(broker)
    open_ones: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        try:
            await forwarder.serve(reader, writer)
        finally:
            open_ones.discard(task)

    if isinstance(place, socket.socket):
        server = await asyncio.start_server(accept, sock=place)
    else:
        server = await asyncio.start_server(accept, HOST, place)
    try:
        yield forwarder
    finally:
        server.close()
        for task in list(open_ones):
            task.cancel()
        if open_ones:
            await asyncio.wait(list(open_ones))
        await server.wait_closed()
