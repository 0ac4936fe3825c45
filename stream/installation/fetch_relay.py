"""Relay in front of the embedded broker: clients wait for records, and the broker is asked when there are records.

The embedded broker looks for records when a fetch begins and when it ends. It is not notified of records that come
between the two. So a client that waits long gets records late, and a client that waits briefly asks all the time. The
relay sees all writes. It holds a fetch that finds nothing, and asks the broker again after the next write. So a client
waits as on Apache Kafka: without records nothing happens, and a record is readable at once.

The relay is a separate process: ``python -m stream.installation.fetch_relay SOCKET PORT``. SOCKET is the number of an
open socket on which it listens, PORT is the broker's port.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final

from stream.installation.fetch_holds import Board, ClientSession

__all__ = ["serve"]

HOST: Final = "127.0.0.1"

_LENGTH = struct.Struct(">i")


class Frames:
    r"""Frames in a stream of bytes: each has its length before it.

    Examples
    --------
    >>> frames = Frames()
    >>> frames.split(b"\0\0\0\2ab\0\0")
    [b'ab']
    >>> frames.split(b"\0\1c")
    [b'c']
    """

    def __init__(self) -> None:
        self._received = bytearray()

    def __repr__(self) -> str:
        return f"<Frames {len(self._received)} bytes wait>"

    def split(self, received: bytes) -> list[bytes]:
        """Return the frames that are complete now."""
        buffer = self._received
        buffer += received
        found, at = [], 0
        while len(buffer) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(buffer, at)
            end = at + _LENGTH.size + size
            if len(buffer) < end:
                break
            found.append(bytes(buffer[at + _LENGTH.size : end]))
            at = end
        del buffer[:at]
        return found


class _Side(asyncio.Protocol):
    """One of the two connections of a client: the client's own, and the one to the broker.

    Attributes
    ----------
    take
        Called with each frame that arrives.
    is_slow
        Whether this connection cannot send more now.
    """

    def __init__(self, link: _Link) -> None:
        self._link = link
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self.take: Callable[[bytes], None]
        self.is_slow = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for frame in self._frames.split(data):
            self.take(frame)
        self._link.regulate()

    def pause_writing(self) -> None:
        self.is_slow = True
        self._link.regulate()

    def resume_writing(self) -> None:
        self.is_slow = False
        self._link.regulate()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._link.close()

    def send(self, frame: bytes) -> None:
        """Send a frame, if the connection still exists."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines((_LENGTH.pack(len(frame)), frame))

    def read(self, *, allowed: bool) -> None:
        """Begin or stop to read."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.is_reading() == allowed:
            return
        if allowed:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def close(self) -> None:
        """Close the connection after everything is sent."""
        if self._transport is not None:
            self._transport.close()


class _Link:
    """A client's connection and the connection to the broker that belongs to it."""

    def __init__(self, board: Board, client: socket.socket, port: int) -> None:
        self._socket = client
        self._port = port
        self._client, self._broker = _Side(self), _Side(self)
        self._session = ClientSession(board, self._broker.send, self._answer)
        self._client.take, self._broker.take = self._session.request, self._session.answer

    async def open(self) -> None:
        """Connect to the broker, then begin to read from the client."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self._broker, HOST, self._port)
            await loop.connect_accepted_socket(lambda: self._client, self._socket)
        except OSError:  # the broker does not listen yet, or has ended: the client sees a closed connection
            self._socket.close()
            self._broker.close()

    def _answer(self, frame: bytes) -> None:
        """Send an answer, and read more requests if some have left the session."""
        self._client.send(frame)
        self.regulate()

    def regulate(self) -> None:
        """Read from each side only while the other one can take more."""
        self._client.read(allowed=not (self._broker.is_slow or self._session.is_full))
        self._broker.read(allowed=not self._client.is_slow)

    def close(self) -> None:
        """Close both connections."""
        self._session.close()
        self._client.close()
        self._broker.close()


async def serve(listener: socket.socket, port: int) -> None:
    """Connect the clients of a listening socket with the broker at a port, until cancelled."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    board = Board()
    opening = set[asyncio.Task[None]]()
    while True:
        client, _ = await loop.sock_accept(listener)
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(_Link(board, client, port).open())
        opening.add(task)
        task.add_done_callback(opening.discard)


def _main() -> None:
    descriptor, port = map(int, sys.argv[1:])
    with socket.socket(fileno=descriptor) as listener, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(listener, port))


if __name__ == "__main__":
    _main()
