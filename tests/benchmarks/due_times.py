"""Cost of the queue of timers alone, with a million timers that are due within 90 days, a day, an hour or one instant.

    python -m tests.benchmarks.due_times [TIMERS]

For each spread it prints the bytes of a timer while it waits, and the most while all timers fire. It also prints the
time to add a timer, to fire one, and to move one while the others wait. The last column is the longest time that one
call takes.
"""

from __future__ import annotations

import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

from models.fold.due_times import DueTimes
from models.profile import codec
from models.profile.state import Customer
from models.profile.timers import set_timer
from models.units import DAY, HOUR, MINUTE

START = 20_454 * DAY
SPREADS = {"90 days": 90 * DAY, "a day": DAY, "an hour": HOUR, "a minute": MINUTE, "an instant": 1}
MOVES = 200_000
RUNS = 3


class QueueCost(NamedTuple):
    """Cost of a queue.

    Attributes
    ----------
    waiting, firing
        Bytes per timer: while all timers wait, and the most while they fire.
    add, fire, move
        Nanoseconds per timer.
    longest
        Longest time of a call while all timers fire, milliseconds.
    """

    waiting: float = 0.0
    firing: float = 0.0
    add: float = 0.0
    fire: float = 0.0
    move: float = 0.0
    longest: float = 0.0


class QueuedUsers:
    """Users with one timer each, stored as the fold stores them.

    Parameters
    ----------
    timers
        Number of users.
    spread
        Length of the time in which the timers are due, milliseconds.
    """

    def __init__(self, timers: int, spread: int) -> None:
        draw = random.Random(timers).randrange
        customer = Customer(seen=1)
        self.stored: dict[bytes, bytes] = {}
        self.dues: list[tuple[int, bytes]] = []
        for number in range(timers):
            key, due = b"user-%08d" % number, START + HOUR + draw(spread)
            set_timer(customer, "assess", due)
            self.stored[key] = codec.pack(customer)
            self.dues.append((due, key))
        random.Random(1).shuffle(self.dues)
        self._head = self.stored[self.dues[0][1]]

    def queue(self) -> DueTimes:
        """Return an empty queue for these users."""
        stored, header = self.stored, codec.header
        return DueTimes(lambda key: [header(stored[key])[1]])


def _filled(crowd: QueuedUsers) -> DueTimes:
    queue = crowd.queue()
    for due, key in crowd.dues:
        queue.add(due, key)
    return queue


def _drain(queue: DueTimes) -> float:
    """Fire all timers, and return the longest time of a call, seconds."""
    longest, clock = 0.0, time.thread_time
    before = clock()
    while queue.first() is not None:
        queue.pop()
        now = clock()
        longest = max(longest, now - before)
        before = now
    return longest


def _timed(job: Callable[[], object]) -> float:
    began = time.thread_time()
    job()
    return time.thread_time() - began


def _move(queue: DueTimes, crowd: QueuedUsers) -> None:
    """Add timers of users to a queue whose next timer is looked up before each event, as the fold does."""
    moved = crowd.dues[:MOVES]
    for due, key in moved:
        queue.may_be_due(START)
        queue.add(due + 7 * MINUTE, key)


def measure(timers: int, spread: int) -> QueueCost:
    """Measure one spread: the fastest of some runs, because other programs only slow a run down."""
    crowd = QueuedUsers(timers, spread)
    tracemalloc.start()
    queue = _filled(crowd)
    waiting, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    _drain(queue)
    _, firing = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    found = []
    for _ in range(RUNS):
        added = _timed(lambda: _filled(crowd))
        queue = _filled(crowd)
        queue.first()
        moved = _timed(lambda: _move(queue, crowd))  # noqa: B023 - it is called at once
        queue = _filled(crowd)
        began = time.thread_time()
        longest = _drain(queue)
        fired = time.thread_time() - began
        found.append((added / timers, fired / timers, moved / min(MOVES, timers), longest))
    add, fire, move, longest = (min(one) for one in zip(*found, strict=True))
    return QueueCost(waiting / timers, firing / timers, add * 1e9, fire * 1e9, move * 1e9, longest * 1e3)


def main() -> None:
    """Measure, and print a line for each spread."""
    timers = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"{timers:,} timers, fastest of {RUNS} runs")
    print(f"{'due within':<12}{'waiting':>10}{'firing':>10}{'add':>10}{'fire':>10}{'move':>10}{'longest':>12}")
    print(f"{'':<12}{'bytes':>10}{'bytes':>10}{'ns':>10}{'ns':>10}{'ns':>10}{'ms':>12}")
    for name, spread in SPREADS.items():
        cost = measure(timers, spread)
        numbers = "".join(f"{value:>10.1f}" for value in (cost.waiting, cost.firing))
        times = "".join(f"{value:>10.0f}" for value in (cost.add, cost.fire, cost.move))
        print(f"{name:<12}{numbers}{times}{cost.longest:>12.1f}", flush=True)


if __name__ == "__main__":
    main()
