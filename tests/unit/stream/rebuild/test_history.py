"""The history of new clauses: users are in the segments in which they would be if these had always been there."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from models.batch import Batch, Restored
from models.configuration.compiled import decode, encode
from models.configuration.parsing import parse
from models.events import Event
from models.fold.partition import PartitionFold
from models.fold.prospects import ConditionsPlan
from models.log import BringHistory, HistoryComplete, Tick, Use, encode_control, is_control, opening
from models.profile.codec import unpack
from models.units import DAY, HOUR
from stream.rebuild.partition_history import PartitionHistory
from tests.support.event_logs import START, PartitionRecord, shoppers, written
from tests.support.lifecycles import purchase

SEGMENTS: list[dict[str, Any]] = [
    {"name": "viewers", "when": {"event": "product_view", "times": {"at_least": 3}, "within": "20d"}},
    {
        "name": "spenders",
        "when": {"event": "purchase", "sum": "amount", "currency": "USD", "at_least": 100, "within": "30d"},
    },
    {"name": "silent", "when": {"absent": "click", "for": "9d"}},
    {"name": "varied", "when": {"event": "product_view", "distinct": "category", "at_least": 4, "within": "30d"}},
    {
        "name": "bought_after_cart",
        "when": {"sequence": [{"event": "cart_add"}, {"event": "purchase"}], "within": "15d"},
    },
    {"name": "few", "when": {"event": "page_view", "times": {"at_most": 1}, "within": "25d"}},
    {"name": "both", "when": {"all": [{"segment": "viewers"}, {"not": {"segment": "silent"}}]}},
]


class Live:
    """A running fold of one partition, whose log grows."""

    def __init__(self) -> None:
        self.log: list[PartitionRecord] = []
        self.state = Restored()
        self.fold = PartitionFold(self.state)
        self.outputs: list[tuple[str, bytes | None]] = []

    def append(self, contents: list[Any]) -> list[PartitionRecord]:
        records = [one._replace(offset=len(self.log) + one.offset) for one in written(contents)]
        self.log += records
        for outputs in self.fold.slices(Batch("events", 0, records)):
            self.state.apply(outputs.commit, records[-1].offset + 1)
            self.outputs += [(one.topic, one.value) for one in outputs.commit.records]
        return records

    def members(self) -> dict[str, tuple[int, ...]]:
        """Return the numbers of the segments of each user."""
        found = {}
        for key, packed in self.state.records.items():
            if not is_control(key):
                memberships = unpack(packed).ledger.memberships
                found[key.decode()] = tuple(sorted(memberships.since)) if memberships else ()
        return found


def configuration() -> Use:
    return Use("configuration", 1, msgspec.Raw(encode(parse({"segments": SEGMENTS}, {}))))


def plan(use: Use) -> ConditionsPlan:
    return ConditionsPlan(decode(bytes(use.content)), None)


@pytest.mark.parametrize("seed", range(6))
def test_the_history_gives_what_a_fold_with_the_segments_from_the_start_has(seed: int) -> None:
    chance, contents = random.Random(seed), shoppers(seed, users=25, days=40)
    place = chance.randrange(len(contents) // 2, len(contents) - 60)
    history, clauses = PartitionHistory(0, plan(configuration())), plan(configuration()).clauses
    live, reference = Live(), Live()
    reference.append([contents[0], configuration()])

    history.fold(live.append(contents[:place]))
    history.fold(live.append([configuration(), BringHistory(tuple(sorted(clauses)))]))
    waiting, stale, written_records = history.users(), 0, 0
    while waiting or not history.is_taken:
        carried = history.records_of(waiting[:4])
        step = chance.randrange(0, 6)  # events that come between the fold of the history and its records
        between, place = contents[place : place + step], place + step
        records = live.append([*between, *((key, value) for _, key, value in carried)])
        again = history.fold(records) if records else []
        waiting, stale, written_records = waiting[4:] + again, stale + len(again), written_records + len(carried)
    assert not any(live.members().values())
    assert all(segment not in repr(live.outputs) for segment in ("segment_entered", "segment_left"))
    live.append([HistoryComplete(tuple(sorted(clauses)))])
    reference.append(contents[1:place])
    for begin in range(place, len(contents), 20):
        for one in (live, reference):
            one.append(contents[begin : begin + 20])
        assert live.members() == reference.members() or begin == place  # users come to the clauses within seconds
    for day in range(40, 80):
        for one in (live, reference):
            one.append([Tick(START + day * DAY)])
        assert live.members() == reference.members()
    assert written_records >= stale > 0 or seed != 0


def test_a_user_in_a_segment_at_the_place_of_the_history_becomes_a_member_silently() -> None:
    live = Live()
    history = PartitionHistory(0, plan(configuration()))
    contents = shoppers(3, users=10, days=20)
    history.fold(live.append(contents))
    history.fold(live.append([configuration(), BringHistory(tuple(plan(configuration()).clauses))]))
    live.append([(key, value) for _, key, value in history.records_of(history.users())])
    live.append([HistoryComplete(tuple(plan(configuration()).clauses)), Tick(START + 20 * DAY + HOUR)])

    counts = {name: number for name, number in history.prospects(0).members.items() if number}
    assert counts
    assert sum(map(len, live.members().values())) == sum(counts.values())
    assert not any(topic == "signals" and b"clauses" in (value or b"") for topic, value in live.outputs)


def test_a_record_of_a_history_that_is_not_awaited_changes_nothing() -> None:
    one, other = Live(), Live()
    contents = shoppers(5, users=5, days=10)
    history = PartitionHistory(0, plan(configuration()))
    history.fold(one.append([contents[0], configuration(), *contents[1:]]))
    other.append([contents[0], configuration(), *contents[1:]])

    one.append([(key, value) for _, key, value in history.records_of(history.users())])
    one.append([encode_control(HistoryComplete((1, 2, 3)))])

    assert one.members() == other.members()
    assert dict(one.state.records) == dict(other.state.records)


def lifecycle_in_use() -> Use:
    risky = {"name": "risky", "when": {"lifecycle": ["at_risk", "churned"]}}
    return Use("configuration", 1, msgspec.Raw(encode(parse({"lifecycle": {}, "segments": [risky]}, {}))))


def stages(live: Live) -> dict[str, str]:
    users = {key.decode(): unpack(packed) for key, packed in live.state.records.items() if not is_control(key)}
    return {name: user.ledger.stage.name for name, user in users.items() if user.ledger.stage is not None}


def customers() -> list[Any]:
    """Return a log of customers who have bought last more than a year ago, some months ago, and lately."""
    bought = [("gone", (0, 20)), ("silent", (290,)), ("kept", (300, 340, 380, 399)), ("late", (398,))]
    events = [purchase(number, START + day * DAY, user) for user, days in bought for number, day in enumerate(days)]
    events += [Event(id="v", user="viewer", type="product_view", at=START + 5 * DAY, item="s1")]
    contents: list[Any] = [opening("feeder")]
    for event in sorted(events, key=lambda one: one.at):
        contents += [Tick(event.at), msgspec.structs.replace(event, id=f"{event.user}{event.at}", origin="simulate")]
    return [*contents, Tick(START + 400 * DAY)]


def test_former_customers_do_not_begin_as_visitors_and_their_moves_are_silent() -> None:
    wanted, live = plan(lifecycle_in_use()), Live()
    history, clauses = PartitionHistory(0, wanted), wanted.clauses

    history.fold(live.append(customers()))
    live.append([lifecycle_in_use(), BringHistory(tuple(clauses))])
    live.append(
        [Tick(START + 400 * DAY + HOUR), *((key, value) for _, key, value in history.records_of(history.users()))]
    )
    assert stages(live) == {}, "no one moves while the moves are unknown"
    live.append([HistoryComplete(tuple(clauses)), Tick(START + 400 * DAY + 2 * HOUR)])

    assert stages(live) == {"gone": "churned", "silent": "at_risk", "kept": "loyal", "late": "activated"}
    members = {name for name, found in live.members().items() if found}
    assert members == {"gone", "silent"}
    assert not any(topic == "signals" and b"lifecycle" in (value or b"") for topic, value in live.outputs)


def test_without_their_history_former_customers_begin_as_visitors() -> None:
    live = Live()
    live.append([*customers(), lifecycle_in_use(), Tick(START + 400 * DAY + HOUR)])

    assert stages(live) == {}


def test_a_purchase_behind_the_announced_history_is_not_the_first_one_of_an_old_customer() -> None:
    clauses, live = plan(lifecycle_in_use()).clauses, Live()
    again = msgspec.structs.replace(purchase(9, START + 400 * DAY, "gone"), id="again", origin="simulate")

    live.append([*customers(), lifecycle_in_use(), BringHistory(tuple(clauses)), again])

    assert not any(topic == "signals" and b"lifecycle" in (value or b"") for topic, value in live.outputs)
