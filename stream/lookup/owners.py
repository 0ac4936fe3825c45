"""Client of the workers for a long-lived process: it remembers each partition's owner, and asks that worker first."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote

import aiohttp

from stream.cluster.partitioner import partition_of
from stream.lookup.client import TIMEOUT_S, LookupFailed, find
from stream.lookup.identity import Identity


class Owners:
    """A client that asks the worker that owns a user; call :meth:`close` at the end.

    Parameters
    ----------
    workers
        Possible ``host:port`` of each worker. All addresses of a host are asked, because the name of a service may
        stand for several workers.
    partitions
        Number of partitions of ``events``.
    own
        Identity of this installation. Answers of other installations do not count; ``None`` accepts any answer.
    """

    def __init__(self, workers: Sequence[str], partitions: int, own: Identity | None = None) -> None:
        self._own = own
        self._workers = tuple(workers)
        self._partitions = partitions
        self._owner: dict[int, str] = {}
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Owners({list(self._workers)}, known={self._owner})"

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, user: str, rest: str = "") -> bytes:
        """Ask for ``/v1/users/USER``, followed by ``rest``.

        Raises
        ------
        LookupFailed
            No worker runs, or none owns the user's partition, or the owner is not ready.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        partition = partition_of(user.encode(), self._partitions)
        path = f"/v1/users/{quote(user, safe='')}{rest}"
        known = self._owner.pop(partition, None)
        if known is not None:
            with suppress(LookupFailed):  # the partition may have another owner by now
                _, body = await find(self._session, [known], path, self._own)
                self._owner[partition] = known
                return body
        self._owner[partition], body = await find(self._session, await self._addresses(), path, self._own)
        return body

    async def _addresses(self) -> list[str]:
        found: dict[str, None] = {}
        for worker in self._workers:
            host, _, port = worker.rpartition(":")
            for address in await _resolved(host.strip("[]"), int(port)):
                found[f"http://{f'[{address}]' if ':' in address else address}:{port}"] = None
        return list(found)


async def _resolved(host: str, port: int) -> list[str]:
    """Return all addresses of a host; if it has none, return its name, for the error message."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass  # the address is a name, which is resolved below
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return [host]
    return [str(place[0]) for _, _, _, _, place in infos]
