"""Named points in the life of a worker, and faults: the actions of a worker at such a point.

A fault names a point and a count n. When its process reaches the point for the n-th time, it kills itself, stops itself
(SIGSTOP) or asks itself to end (SIGTERM). The points are put around the real classes, in a process that only the suite
starts (``tests/chaos/worker.py``); ``stream/`` does not know them. A kill at a random time would hardly ever hit such a
moment.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import msgspec

from models.batch import Checkpoint, Commit
from models.delivery.suppression_list import SuppressionList
from models.events import Event
from models.fold import event_fold
from stream.cluster import compacted
from stream.cluster.transactional_writer import TransactionalWriter
from stream.cluster.writer import Writer
from stream.delivery.smtp import Smtp
from stream.engine.committers import OrderedCommitter, RelayCommitter, TransactionalCommitter
from stream.engine.lanes import Lanes

Action = Literal["kill", "stop", "terminate"]
Point = Literal[
    # One transaction of a lane. Its points: nothing begun; records are being sent; all records are acknowledged; the
    # end of the transaction is being sent; done.
    # Without transactions: nothing begun; outputs are being sent; outputs are acknowledged; state and position are
    # being sent; done.
    "commit.before", "commit.sending", "commit.sent", "commit.ending", "commit.after",
    # a version of a learner: it is committed but not broadcast; it is broadcast to all folds
    "tell.before", "tell.after",
    # the router: nothing sent; all records are acknowledged, but the group's offset has not moved; done
    "relay.before", "relay.sent", "relay.after",
    # one message: its attempt is committed; the provider has the message; the provider has answered
    "provider.before", "provider.in", "provider.after",
    # partitions were revoked; partitions were assigned
    "rebalance.revoked", "rebalance.assigned",
    # a partition is taken over: the previous owner is fenced; some of the state is read; all of it is read
    "restore.fenced", "restore.in", "restore.read",
]  # fmt: skip
POINTS: tuple[Point, ...] = get_args(Point)
Sabotage = Literal["fencing", "apart", "dedup", "suppression"]
SABOTAGES: tuple[Sabotage, ...] = get_args(Sabotage)

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "terminate": signal.SIGTERM}
_AMID_S = 0.0007
"""Time from the start of an operation to its middle, seconds. A request here takes 1 to 5 ms."""

_SMALL_FETCH = 16 << 10

_T = TypeVar("_T")


class Fault(NamedTuple):
    """An action that a process takes against itself at a point.

    Attributes
    ----------
    action
        Kind of the action; see the module.
    point
        Name of the point.
    nth
        Count of the visit at which the fault acts, from 1.
    """

    action: Action
    point: Point
    nth: int

    def __str__(self) -> str:
        """Format as :func:`parse` reads it."""
        return f"{self.action}@{self.point}:{self.nth}"


def parse(text: str) -> tuple[Fault, ...]:
    """Read faults separated by spaces.

    Examples
    --------
    >>> parse("kill@commit.sent:7")
    (Fault(action='kill', point='commit.sent', nth=7),)
    """
    faults = []
    for word in text.split():
        action, _, place = word.partition("@")
        point, _, nth = place.partition(":")
        if action not in _SIGNALS or point not in POINTS:
            raise ValueError(f"{word}: no such fault")
        faults.append(Fault(action, point, int(nth)))  # type: ignore[arg-type]  # checked above
    return tuple(faults)


class Happened(NamedTuple):
    """A fault that a process has acted on.

    Attributes
    ----------
    pid, at
        Process id, and the time in milliseconds of the wall clock.
    fault
        The fault.
    """

    pid: int
    fault: Fault
    at: int


def happened(journal: Path) -> list[Happened]:
    """Return every fault that processes have acted on so far."""
    if not journal.exists():
        return []
    lines = [line.split() for line in journal.read_text().splitlines()]
    return [Happened(int(pid), parse(fault)[0], int(at)) for pid, fault, at in lines]


class Points:
    """Counters of the visits at each point, which trigger the faults.

    Parameters
    ----------
    faults
        Faults of this process.
    journal
        File to which a line is appended before each action, so that the line exists even if the process dies.
    """

    def __init__(self, faults: Iterable[Fault], journal: Path) -> None:
        self._faults = {(fault.point, fault.nth): fault for fault in faults}
        self._journal = journal
        self._reached: Counter[Point] = Counter()

    def awaits(self, point: Point) -> bool:
        """Return whether a fault is planned at this point."""
        return any(place == point for place, _ in self._faults)

    def reach(self, point: Point) -> None:
        """Count a visit at this point, and act if a fault is planned for it."""
        self._reached[point] += 1
        fault = self._faults.get((point, self._reached[point]))
        if fault is not None:
            self._act(fault)

    async def amid(self, point: Point, doing: Coroutine[Any, Any, _T]) -> _T:
        """Run the coroutine, and act in its middle if a fault is planned for this visit."""
        self._reached[point] += 1
        fault = self._faults.get((point, self._reached[point]))
        if fault is None:
            return await doing
        task = asyncio.ensure_future(doing)
        await asyncio.wait([task], timeout=_AMID_S)
        self._act(fault)
        return await task

    def _act(self, fault: Fault) -> None:
        line = f"{os.getpid()} {fault} {time.time_ns() // 1_000_000}\n".encode()
        descriptor = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(descriptor, line)
        os.close(descriptor)
        os.kill(os.getpid(), _SIGNALS[fault.action])


def install(points: Points) -> None:
    """Put the points around the real classes of this process."""
    _around_commits(points)
    _around_ordered_commits(points)
    _wrap(Writer, "send_everywhere", lambda real: _three(points, real, "tell.before", None, "tell.after"))
    _around_the_router(points)
    _around_taking_over(points)
    _wrap(Smtp, "deliver", lambda real: _three(points, real, "provider.before", "provider.in", "provider.after"))


def _around_commits(points: Points) -> None:
    _wrap(TransactionalCommitter, "commit", lambda real: _three(points, real, "commit.before", None, "commit.after"))
    _wrap(TransactionalWriter, "send", lambda real: _three(points, real, None, "commit.sending", "commit.sent"))
    _wrap(TransactionalWriter, "commit", lambda real: _three(points, real, None, "commit.ending", None))


class _Watched:
    """Writer of ordered commits with points: ``send`` writes outputs, then ``send_to`` writes state and position."""

    def __init__(self, writer: Any, points: Points) -> None:
        self._writer = writer
        self._points = points

    async def send(self, *arguments: Any) -> None:
        await self._points.amid("commit.sending", self._writer.send(*arguments))
        self._points.reach("commit.sent")

    async def send_to(self, *arguments: Any) -> None:
        await self._points.amid("commit.ending", self._writer.send_to(*arguments))


def _around_ordered_commits(points: Points) -> None:
    def making(real: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(real)
        def init(self: OrderedCommitter, connection: Any, own: Any, writer: Any) -> None:
            real(self, connection, own, _Watched(writer, points))

        return init

    _wrap(OrderedCommitter, "__init__", making)
    _wrap(OrderedCommitter, "commit", lambda real: _three(points, real, "commit.before", None, "commit.after"))
    _wrap(OrderedCommitter, "restore", lambda real: _reading(_three(points, real, None, None, "restore.read")))


def _around_the_router(points: Points) -> None:
    def making(real: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(real)
        def init(self: RelayCommitter, writer: Any, partition: int, read: Any, commit_offset: Any, *more: Any) -> None:
            async def commit(offset: int) -> None:
                points.reach("relay.sent")
                await commit_offset(offset)

            real(self, writer, partition, read, commit, *more)

        return init

    _wrap(RelayCommitter, "__init__", making)
    _wrap(RelayCommitter, "commit", lambda real: _three(points, real, "relay.before", None, "relay.after"))


def _around_taking_over(points: Points) -> None:
    _wrap(TransactionalCommitter, "fence", lambda real: _three(points, real, None, None, "restore.fenced"))
    _wrap(TransactionalCommitter, "restore", lambda real: _reading(_three(points, real, None, None, "restore.read")))
    _amid_reading(points)
    _wrap(Lanes, "drain", lambda real: _three(points, real, "rebalance.revoked", None, None))

    def assigning(real: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(real)
        def assigned(*arguments: Any) -> None:
            real(*arguments)
            points.reach("rebalance.assigned")

        return assigned

    _wrap(Lanes, "assigned", assigning)


_is_restoring: ContextVar[bool] = ContextVar("is_restoring", default=False)


def _reading(real: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Mark everything that is read in this function as a lane's state."""

    @functools.wraps(real)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        token = _is_restoring.set(True)
        try:
            return await real(*arguments, **named)
        finally:
            _is_restoring.reset(token)

    return wrapped


def _amid_reading(points: Points) -> None:
    """Place ``restore.in`` where the first records of a state are read and others are still to come."""
    if points.awaits("restore.in"):
        # One fetch would return all profiles of a round. So a process that must die within a restore fetches less.
        compacted.FETCH_BYTES = _SMALL_FETCH

    def making(real: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
        @functools.wraps(real)
        async def records(*arguments: Any, **named: Any) -> AsyncGenerator[Any, None]:
            first = _is_restoring.get()
            async with aclosing(real(*arguments, **named)) as batches:
                async for batch in batches:
                    yield batch
                    if first and batch:
                        first = False
                        points.reach("restore.in")

        return records

    _wrap(compacted, "_records", making)


def _wrap(owner: Any, name: str, around: Callable[[Any], Any]) -> None:
    setattr(owner, name, around(getattr(owner, name)))


def _three(
    points: Points, real: Callable[..., Coroutine[Any, Any, Any]], before: Point | None, amid: Point | None,
    after: Point | None,
) -> Callable[..., Coroutine[Any, Any, Any]]:  # fmt: skip
    """Put points before, in the middle of and after a coroutine function."""

    @functools.wraps(real)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        if before is not None:
            points.reach(before)
        doing = real(*arguments, **named)
        result = await (doing if amid is None else points.amid(amid, doing))
        if after is not None:
            points.reach(after)
        return result

    return wrapped


def break_promise(sabotage: Sabotage) -> None:
    """Break one of the engine's promises, so that a run can show that the suite detects it.

    ``fencing``: every owner of a partition has its own transactional id, so no owner fences another. A process also
    continues after its group has given its partitions to others. ``apart``: the position is committed before outputs
    and state, in a separate transaction. ``dedup``: no duplicate is recognized by its ``messageId``. ``suppression``:
    no address is found in the suppression list.
    """
    if sabotage == "fencing":
        _wrap(TransactionalCommitter, "__init__", _owning_alone)
        _wrap(Lanes, "group_lost", lambda _: lambda self: None)
    elif sabotage == "apart":
        _wrap(TransactionalCommitter, "commit", _committing_apart)
    elif sabotage == "suppression":
        _wrap(SuppressionList, "stops", lambda _: lambda self, channel, address, category: None)
    else:
        _wrap(event_fold, "decode_event", _never_seen)


def _owning_alone(real: Callable[..., None]) -> Callable[..., None]:
    def init(self: TransactionalCommitter, connection: Any, own: Any) -> None:
        real(self, connection, dataclasses.replace(own, transactional_id=f"{own.transactional_id}-{os.getpid()}"))

    return init


def _committing_apart(real: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    async def commit(self: TransactionalCommitter, whole: Commit, checkpoint: Checkpoint) -> None:
        await real(self, Commit(), checkpoint)
        await real(self, whole, checkpoint)

    return commit


def _never_seen(real: Callable[[bytes], Event]) -> Callable[[bytes], Event]:
    numbers = itertools.count()

    def decode(value: bytes) -> Event:
        event = real(value)
        return msgspec.structs.replace(event, id=f"{event.id}-{os.getpid()}-{next(numbers)}")

    return decode
