"""The workers as a long-lived process asks them: the owner of a user's partition is found once, and asked first."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from urllib.parse import quote

import aiohttp

from models.partitioner import partition_of
from stream.lookup.client import TIMEOUT_S, find


class Owners:
    """Asks the worker that owns a user; use it with ``async with``.

    Parameters
    ----------
    workers
        ``host:port`` of each worker that there may be. All addresses of a host are asked: behind the name of a service
        there may be several workers.
    partitions
        Of ``events``.
    """

    def __init__(self, workers: Sequence[str], partitions: int) -> None:
        self._workers = tuple(workers)
        self._partitions = partitions
        self._owner: dict[int, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Give up the connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, user: str, rest: str = "") -> bytes:
        """Ask for ``/v1/users/USER`` and what follows it.

        Raises
        ------
        LookupFailed
            No worker runs, none owns the user's partition, or the owner is not ready.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        partition = partition_of(user.encode(), self._partitions)
        known = self._owner.get(partition)
        path = f"/v1/users/{quote(user, safe='')}{rest}"
        addresses = await self._addresses()
        if known in addresses:
            addresses = [known, *(address for address in addresses if address != known)]
        owner, body = await find(self._session, addresses, path)
        self._owner[partition] = owner
        return body

    async def _addresses(self) -> list[str]:
        loop = asyncio.get_running_loop()
        found: dict[str, None] = {}
        for worker in self._workers:
            host, _, port = worker.rpartition(":")
            try:
                infos = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
            except OSError:
                found[f"http://{worker}"] = None  # a host that is not there; the message names it
                continue
            for family, _, _, _, place in infos:
                ip = f"[{place[0]}]" if family == socket.AF_INET6 else place[0]
                found[f"http://{ip}:{port}"] = None
        return list(found)
