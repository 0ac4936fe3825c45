"""What the lanes of a process share, and whom they talk to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from faust.types import TP

from models.batch import Outputs
from stream.cluster.writer import Writer

if TYPE_CHECKING:
    from stream.engine.lane import Lane


class Source(Protocol):
    """Where a lane's records come from."""

    async def seek(self, tp: TP, offset: int) -> int:
        """Deliver from ``offset`` on; returns the epoch of those deliveries."""

    async def bounds(self, tp: TP) -> tuple[int, int | None]:
        """Offset of the first record that is there, and the one behind the last; ``None`` where the broker is vague."""

    def lane_changed(self, lane: Lane) -> None:
        """Hear that :attr:`Lane.ready` may have changed."""


class Observer(Protocol):
    """Who hears what lanes did: metrics."""

    def opened(self, lane: Lane, seconds: float) -> None:
        """Hear that the lane took its partition over and restored its state within ``seconds``."""

    def committed(self, lane: Lane, records: int, seconds: float, outputs: Outputs) -> None:
        """Hear that ``records`` records were taken since the commit before, and that this one took ``seconds``."""

    def failed(self, lane: Lane, error: BaseException) -> None:
        """Hear that a life of the lane ended, or that records are lost to it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all lanes of a process share.

    Attributes
    ----------
    source
        The transport.
    writer
        The process's idempotent producer.
    fenced
        Called when somebody else owns the lane's partition: the process has to end.
    observer
        The metrics.
    clock
        Seconds since the epoch; only asked whether a timer is due.
    """

    source: Source
    writer: Writer
    fenced: Callable[[Lane], None]
    observer: Observer
    clock: Callable[[], float] = time.time
