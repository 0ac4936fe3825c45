"""Client of the workers' answers about their partitions: one answer for each partition, from all workers together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from stream.lookup.client import LookupFailed, ask_each
from stream.lookup.identity import Identity


class Part(Protocol):
    """The answer of one partition."""

    @property
    def partition(self) -> int:
        """Number of the partition."""

    @property
    def now(self) -> int:
        """Clock of the partition, milliseconds."""


_Part = TypeVar("_Part", bound=Part)


class PartitionLookups:
    """Questions to all workers of this machine.

    Parameters
    ----------
    addresses
        Address of each worker, as ``http://host:port``.
    partitions
        Number of partitions of ``events``.
    own
        Identity of the client's installation.
    """

    def __init__(self, addresses: Sequence[str], partitions: int, own: Identity | None) -> None:
        self._addresses = tuple(addresses)
        self._partitions = partitions
        self.own = own

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._addresses)})"

    async def ask_all(
        self, path: str, read: Callable[[bytes], list[_Part]], asked: bytes | None = None
    ) -> dict[int, tuple[str, _Part]]:
        """Return the address and the answer for each partition.

        Parameters
        ----------
        path
            The path.
        read
            Reads the answer of a worker.
        asked
            A question of which the path is not a sufficient form; ``None`` for none.

        Raises
        ------
        LookupFailed
            A partition has no worker on this machine, or none that is ready.
        """
        found: dict[int, tuple[str, _Part]] = {}
        for address, body in await ask_each(self._addresses, path, self.own, asked):
            for part in read(body):
                known = found.get(part.partition)
                if known is None or known[1].now < part.now:  # the partition is about to have another owner
                    found[part.partition] = address, part
        missing = [str(partition) for partition in range(self._partitions) if partition not in found]
        if missing:
            raise LookupFailed(
                f"no worker that runs here has partition {', '.join(missing)} of {self._partitions}, or it is being "
                f"restored; without it, the sizes would be too small"
            )
        return found
