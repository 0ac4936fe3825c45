"""A partition with very many users who wait for the end of an absence, made from a sample that is really folded."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from models.batch import Batch, Outputs, Restored
from models.conditions.parsing import parse_segments
from models.events import Event, encode_event
from models.fold.partition import PartitionFold
from models.log import Tick, encode_control, is_control, opening
from models.profile.codec import pack, unpack
from models.units import DAY, HOUR, MINUTE
from tests.support.event_logs import PartitionRecord
from tests.support.segment_folds import segments_version

ABSENCE = 3 * DAY
SEGMENT = "gone quiet"
TICK_MS = 100
"""Time between two ticks, milliseconds."""
_BATCH = 2_000


@dataclass(frozen=True)
class AbsencePlan:
    """Numbers of users, and the time in which some of their absences end.

    Attributes
    ----------
    users
        Number of users.
    due
        Number of users whose absence ends in the window.
    moved
        Number of users whose absence would have ended in the window, but who have come back since.
    sample
        Number of other users who are folded; all others are copies of them.
    window
        Length of the window, milliseconds.
    seed
        Seed of all times.
    """

    users: int = 1_000_000
    due: int = 3_000
    moved: int = 500
    sample: int = 20_000
    window: int = MINUTE
    seed: int = 1


class AbsentUsers(NamedTuple):
    """The partition just before the window.

    Attributes
    ----------
    state
        The committed state.
    now
        The partition's clock, milliseconds.
    instants
        The end of each absence that ends in the window, by its user, milliseconds.
    """

    state: Restored
    now: int
    instants: dict[str, int]


def absent_users(plan: AbsencePlan, opens: int, now: int) -> AbsentUsers:
    """Fold a sample of users up to ``now``, and copy them.

    Parameters
    ----------
    plan
        The numbers.
    opens
        Begin of the window, milliseconds.
    now
        The last time that is folded; before ``opens``, milliseconds.
    """
    draw = random.Random(plan.seed).randrange
    begin, instants, events = opens - ABSENCE, dict[str, int](), list[Event]()
    for number in range(plan.due):
        at = begin + draw(plan.window)
        events.append(_purchase(f"due-{number}", at))
        instants[f"due-{number}"] = at + ABSENCE
    for number in range(plan.moved):
        at = begin + draw(plan.window)
        events += (_purchase(f"moved-{number}", at), _purchase(f"moved-{number}", at + HOUR + draw(DAY)))
    for number in range(plan.sample):
        first, last = begin + plan.window + MINUTE, begin + HOUR
        if number % 3:
            first, last = last, now - MINUTE
        events.append(_purchase(f"other-{number}", first + draw(last - first)))
    state = Restored()
    fold = PartitionFold(state)
    for _ in fold_all(fold, state, _batches(_log(events, begin - MINUTE, now))):
        pass
    _copy(state, plan)
    return AbsentUsers(state, fold.now, instants)


def fold_all(fold: PartitionFold, state: Restored, batches: Iterable[Batch]) -> Iterator[Outputs]:
    """Fold batches as a lane does, and yield the outputs."""
    for batch in batches:
        for outputs in fold.slices(batch):
            state.apply(outputs.commit)
            yield outputs


def tick(at: int) -> Batch:
    """Return a batch with a record that moves the clock."""
    return Batch("events", 0, [PartitionRecord(0, at, *encode_control(Tick(at=at)))])


def _purchase(user: str, at: int) -> Event:
    return Event(id=f"{user}-{at}", user=user, type="purchase", at=at, amount=20_000_000, currency="EUR")


def _log(events: list[Event], begin: int, now: int) -> Iterator[PartitionRecord]:
    """Yield the records of the partition in the order of time: settings, events, and a tick every ten minutes."""
    rules = parse_segments([{"name": SEGMENT, "when": {"absent": "purchase", "for": "3d"}}])
    yield PartitionRecord(0, begin, *encode_control(opening("wall")))
    yield PartitionRecord(1, begin, *encode_control(segments_version(rules)))
    ticks = [(at, *encode_control(Tick(at=at))) for at in (*range(begin, now, 10 * MINUTE), now)]
    moments = [*ticks, *((event.at, event.user.encode(), encode_event(event)) for event in events)]
    for offset, (at, key, value) in enumerate(sorted(moments), 2):
        yield PartitionRecord(offset, at, key, value)


def _batches(records: Iterator[PartitionRecord]) -> Iterator[Batch]:
    waiting: list[PartitionRecord] = []
    for record in records:
        waiting.append(record)
        if len(waiting) == _BATCH:
            yield Batch("events", 0, waiting)
            waiting = []
    if waiting:
        yield Batch("events", 0, waiting)


def _copy(state: Restored, plan: AbsencePlan) -> None:
    """Let the log that follows begin at offset 0, and copy the users of the sample."""
    for key, packed in state.records.items():
        if not is_control(key):
            customer = unpack(packed)
            customer.seen = -1
            state.records[key] = pack(customer)
    sample = [state.records[b"other-%d" % number] for number in range(plan.sample)]
    for number in range(plan.sample, plan.users - plan.due - plan.moved):
        state.records[b"other-%d" % number] = sample[number % plan.sample]


class WatchedRecords(dict[bytes, bytes]):
    """The stored users of a partition, and whose state was looked up.

    Attributes
    ----------
    looked_up
        Keys of these users.
    """

    def __init__(self, records: dict[bytes, bytes]) -> None:
        super().__init__(records)
        self.looked_up: set[bytes] = set()

    def get(self, key: bytes, default: Any = None) -> Any:
        """Return the state of a user, and note the user."""
        self.looked_up.add(key)
        return super().get(key, default)
