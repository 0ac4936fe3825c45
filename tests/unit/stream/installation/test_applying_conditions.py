"""New conditions are put into use with the numbers that were shown, and users enter with a signal only if accepted."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from models.batch import Batch, Restored
from models.conditions.program import segment_key
from models.configuration.parsing import parse
from models.events import Event
from models.fold.partition import PartitionFold
from models.fold.prospects import MIN_DIFFERENT_USERS, ConditionsPlan, ProspectiveCounts
from models.log import BringHistory, HistoryComplete, Tick, Use, decode_control, encode_control, is_control
from models.profile.codec import unpack
from models.units import DAY, HOUR
from stream.cli import run
from stream.cluster import topics
from stream.installation.applying import (
    ApplyOptions,
    EntriesNotAccepted,
    NumbersDiffer,
    apply_plan,
    publish_in_use,
    read_plan,
)
from stream.log.event_log import EventLog
from stream.log.pending_history import note_pending, read_pending
from stream.log.versions import publish
from stream.rebuild.history import History
from stream.rebuild.reading import read_log
from stream.settings.loading import Settings, load
from tests.support.brokers import Cluster

PARTITIONS = 2
NOW = time.time_ns() // 1_000_000
VIEWERS = {"name": "viewers", "when": {"event": "product_view", "times": {"at_least": 2}, "within": "30d"}}
PLAN = {"name": "plan_a", "when": {"trait": "plan", "is": "a"}}
USERS = 60


class UnfoldedShop:
    """An installation whose log has users, and which no process folds.

    Attributes
    ----------
    settings
        Its settings.
    counts
        The numbers that were shown last.
    on_counted
        Called when they are shown.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connection = settings.connection()
        self.counts: ProspectiveCounts | None = None
        self.on_counted: Callable[[], None] = lambda: None
        self._number, self._now = 0, NOW

    def planned(self, records: int) -> None: ...

    def folded(self, partition: int, position: int, now: int) -> None: ...

    def brought(self, records: int) -> None: ...

    def counted(self, counts: ProspectiveCounts) -> None:
        self.counts = counts
        self.on_counted()

    def write(self, events: Iterable[Event | Tick]) -> None:
        async def append() -> None:
            async with EventLog(self.connection, PARTITIONS) as log:
                await log.ensure_clock("feeder")
                for one in events:
                    if isinstance(one, Tick):
                        await log.broadcast(*encode_control(one))
                    else:
                        await log.append([one])

        writing = threading.Thread(target=lambda: asyncio.run(append()))  # a loop may run in this thread already
        writing.start()
        writing.join()

    def views(self, users: Iterable[int]) -> None:
        """Let users view two products each."""
        events = []
        for user in users:
            for _ in range(2):
                self._number += 1
                events.append(
                    Event(
                        id=f"v{self._number}", user=f"u{user}", type="product_view", at=NOW, item="s1", origin="replay"
                    )
                )
        self.write(events)

    def pass_days(self, number: int) -> int:
        """Move the clock, and return its time."""
        self._now += number * DAY
        self.write([Tick(self._now)])
        return self._now

    def apply(
        self,
        *segments: dict[str, Any],
        journeys: Iterable[dict[str, Any]] = (),
        reads_log: bool = True,
        may_enter: bool = False,
    ) -> None:
        async def put() -> None:
            wanted = parse({"segments": list(segments), "journeys": list(journeys)}, {})
            plan = await read_plan(self.connection, wanted)
            await apply_plan(self.settings, plan, ApplyOptions("wall", reads_log, may_enter), self)

        asyncio.run(put())

    def folds(self) -> tuple[set[str], dict[str, list[str]], list[str]]:
        """Fold the log, and return the names of control records, members by segment, and the entries with a signal."""
        controls, entered = set[str](), list[str]()
        members: dict[str, list[str]] = {"viewers": [], "plan_a": []}

        async def fold() -> None:
            for partition in range(PARTITIONS):
                state = Restored(partition=partition)
                folding = PartitionFold(state)
                async for records in read_log(self.connection, partition, 0):
                    outputs = folding.fold(Batch("events", partition, records))
                    state.apply(outputs.commit, records[-1].offset + 1)
                    found = [json.loads(one.value or b"") for one in outputs.commit.records if one.topic == "signals"]
                    entered.extend(one["user"] for one in found if one["kind"] == "segment_entered")
                    read = [decode_control(one.value or b"") for one in records if is_control(one.key)]
                    controls.update(type(one).__name__ for one in read)
                for key, packed in state.records.items():
                    held = None if is_control(key) else unpack(packed).ledger.memberships
                    for name, users in members.items():
                        if held is not None and segment_key(name) in held.since:
                            users.append(key.decode())

        self._now += HOUR
        self.write([Tick(self._now)])
        asyncio.run(fold())
        return controls, members, entered

    def runs(self, journey: str) -> list[str]:
        """Fold the log, and return the users who have a run of a journey."""
        users: list[str] = []

        async def fold() -> None:
            for partition in range(PARTITIONS):
                state = Restored(partition=partition)
                folding = PartitionFold(state)
                async for records in read_log(self.connection, partition, 0):
                    state.apply(folding.fold(Batch("events", partition, records)).commit, records[-1].offset + 1)
                for key, packed in state.records.items():
                    runs = None if is_control(key) else unpack(packed).ledger.runs
                    if runs is not None and any(run.journey == journey for run in runs.active):
                        users.append(key.decode())

        self._now += HOUR
        self.write([Tick(self._now)])
        asyncio.run(fold())
        return users


@pytest.fixture
def shop(tmp_path: Path, embedded: Cluster) -> UnfoldedShop:
    (tmp_path / "perennial.yaml").write_text("version: 1\n")
    reached = embedded.connection
    flags: dict[str, Any] = {"kafka.servers": reached.servers, "kafka.embedded": True, "kafka.prefix": reached.prefix}
    settings = load(tmp_path / "perennial.yaml", {**flags, "kafka.partitions": PARTITIONS}, {})
    topics.create(settings.connection(), settings.partitions)
    made = UnfoldedShop(settings)
    traits = [{"plan": "ab"[user % 2]} for user in range(USERS)]
    made.write([Tick(NOW)])
    made.write(
        Event(id=f"i{user}", user=f"u{user}", type="identify", at=NOW, traits=one, origin="replay")
        for user, one in enumerate(traits)
    )
    made.views(range(30))
    return made


def entering(segment: dict[str, Any]) -> dict[str, Any]:
    return {**segment, "on_apply": "enter"}


def test_members_are_silent_by_default_and_their_number_is_shown(shop: UnfoldedShop) -> None:
    shop.apply(VIEWERS, PLAN)

    assert shop.counts is not None
    assert (shop.counts.users, dict(shop.counts.members)) == (USERS, {"viewers": 30, "plan_a": 30})
    controls, members, entered = shop.folds()
    assert "HistoryComplete" in controls
    assert {name: len(users) for name, users in members.items()} == {"viewers": 30, "plan_a": 30}
    assert entered == []
    assert asyncio.run(read_pending(shop.connection)) == frozenset()


@pytest.mark.parametrize(
    ("segment", "reads_log", "reached"), [(VIEWERS, True, 30), (PLAN, True, 30), (PLAN, False, 30)]
)
def test_users_enter_with_a_signal_only_if_that_is_accepted(
    shop: UnfoldedShop, segment: dict[str, Any], reads_log: bool, reached: int
) -> None:
    with pytest.raises(EntriesNotAccepted, match=rf"\({reached} into {segment['name']}\).*perennial apply --yes"):
        shop.apply(entering(segment), reads_log=reads_log)
    controls, members, entered = shop.folds()
    assert controls == {"Clock", "Tick"}, "nothing was applied"

    shop.apply(entering(segment), reads_log=reads_log, may_enter=True)

    _, members, entered = shop.folds()
    assert len(members[segment["name"]]) == reached
    assert sorted(entered) == sorted(members[segment["name"]])
    shop.apply(entering(segment), reads_log=reads_log)  # it is in use, so no one would enter any more


@pytest.mark.parametrize(("segment", "is_new"), [(PLAN, True), (PLAN, False), (VIEWERS, True), (VIEWERS, False)])
def test_members_enter_a_journey_that_is_applied_only_if_that_is_accepted(
    shop: UnfoldedShop, segment: dict[str, Any], is_new: bool
) -> None:
    name = segment["name"]
    journey = {
        "name": "welcome",
        "enter": {"on": {"segment": name}, "existing": "enter", "if": {"not": {"trait": "plan", "is": "b"}}},
        "exit": [{"after": "30d", "as": "over"}],
        "steps": [{"id": "rest", "wait": "1d"}],
    }
    if not is_new:
        shop.apply(segment)
    number = 30 if segment is PLAN else 15
    with pytest.raises(EntriesNotAccepted, match=rf"\({number} into welcome\).*`existing: enter`.*apply --yes"):
        shop.apply(segment, journeys=[journey])

    shop.apply(segment, journeys=[journey], may_enter=True)

    assert shop.counts is not None
    assert dict(shop.counts.taken) == {"welcome": number}
    assert len(shop.runs("welcome")) == number
    shop.apply(segment, journeys=[journey])  # it is in use, so no one would enter any more


def test_a_segment_that_no_one_matches_now_needs_no_acceptance(shop: UnfoldedShop) -> None:
    shop.apply(entering(VIEWERS), reads_log=False)

    assert shop.counts is not None
    assert (dict(shop.counts.members), dict(shop.counts.entering)) == ({"viewers": 0}, {"viewers": 0})
    assert shop.folds()[1]["viewers"] == []


def test_numbers_that_have_changed_too_much_stop_before_anyone_enters_and_the_next_run_completes(
    shop: UnfoldedShop,
) -> None:
    shop.on_counted = lambda: shop.views(range(30, 30 + MIN_DIFFERENT_USERS + 1))

    with pytest.raises(
        NumbersDiffer, match=r"segment 'viewers' had 30 users, and has 41 now.*run `perennial apply` aga"
    ):
        shop.apply(entering(VIEWERS), may_enter=True)

    controls, members, entered = shop.folds()
    assert {"Use", "BringHistory", "UserHistory"} <= controls
    assert "HistoryComplete" not in controls
    assert (members["viewers"], entered) == ([], [])
    assert len(asyncio.run(read_pending(shop.connection))) == 1

    shop.on_counted = lambda: None
    with pytest.raises(EntriesNotAccepted, match="41 into viewers"):
        shop.apply(entering(VIEWERS))
    shop.apply(entering(VIEWERS), may_enter=True)
    _, members, entered = shop.folds()
    assert (len(members["viewers"]), len(entered)) == (41, 41)
    assert asyncio.run(read_pending(shop.connection)) == frozenset()


def test_a_small_difference_does_not_stop(shop: UnfoldedShop) -> None:
    shop.on_counted = lambda: shop.views(range(30, 30 + MIN_DIFFERENT_USERS))

    shop.apply(VIEWERS)

    assert len(shop.folds()[1]["viewers"]) == 40


def test_clauses_that_wait_for_their_history_can_be_released_without_it(shop: UnfoldedShop) -> None:
    shop.on_counted = lambda: shop.views(range(30, USERS))
    with pytest.raises(NumbersDiffer):
        shop.apply(VIEWERS)

    shop.on_counted = lambda: None
    shop.apply(VIEWERS, reads_log=False)

    later = shop.pass_days(40)
    shop.write(
        Event(id=f"late{user}{i}", user=f"u{user}", type="product_view", at=later, item="s", origin="replay")
        for user in range(3)
        for i in range(2)
    )
    assert sorted(shop.folds()[1]["viewers"]) == ["u0", "u1", "u2"]
    assert asyncio.run(read_pending(shop.connection)) == frozenset()


def test_a_command_that_was_stopped_after_the_announcement_is_completed_by_the_next_one(shop: UnfoldedShop) -> None:
    wanted = parse({"segments": [VIEWERS]}, {})
    plan = ConditionsPlan(wanted, None)

    async def stopped() -> None:
        history = History(shop.connection, PARTITIONS, plan, shop)
        await note_pending(shop.connection, plan.clauses)
        await publish(shop.connection, wanted, [history.announcement])

    asyncio.run(stopped())
    assert shop.folds()[1]["viewers"] == []

    shop.apply(VIEWERS)

    assert len(shop.folds()[1]["viewers"]) == 30


def test_a_start_does_not_let_users_enter_unasked(shop: UnfoldedShop) -> None:
    wanted = parse({"segments": [entering(PLAN)]}, {})

    with pytest.raises(EntriesNotAccepted, match=r"\(plan_a\).*`perennial apply` shows how many"):
        asyncio.run(publish_in_use(shop.connection, PARTITIONS, wanted))

    shop.apply(entering(PLAN), may_enter=True)
    assert not asyncio.run(publish_in_use(shop.connection, PARTITIONS, wanted)).changed


def test_a_start_with_an_empty_log_needs_no_acceptance(tmp_path: Path, embedded: Cluster) -> None:
    topics.create(embedded.connection, PARTITIONS)
    wanted = parse({"segments": [entering(PLAN)]}, {})

    assert asyncio.run(publish_in_use(embedded.connection, PARTITIONS, wanted)).changed


def test_the_announcement_directly_follows_the_configuration(shop: UnfoldedShop) -> None:
    shop.apply(VIEWERS)

    async def controls() -> list[list[Any]]:
        return [
            [
                decode_control(record.value or b"") if is_control(record.key) else None
                async for records in read_log(shop.connection, partition, 0)
                for record in records
            ]
            for partition in range(PARTITIONS)
        ]

    for partition in asyncio.run(controls()):
        place = next(i for i, one in enumerate(partition) if isinstance(one, Use))
        assert isinstance(partition[place + 1], BringHistory)
        assert isinstance(partition[-1], HistoryComplete)


def test_the_command_shows_the_numbers_and_refuses(shop: UnfoldedShop, capsys: pytest.CaptureFixture[str]) -> None:
    file = shop.settings.file
    assert file is not None
    reached = shop.connection
    kafka = f"{{servers: '{reached.servers}', embedded: true, prefix: {reached.prefix}, partitions: {PARTITIONS}}}"
    segments = json.dumps([entering(VIEWERS), PLAN])
    file.write_text(f"version: 1\nkafka: {kafka}\nsegments: {segments}\n")

    assert run(["apply", "--config", str(file)]) == 2
    shown = capsys.readouterr()
    assert "30 into viewers" in shown.err
    assert f"of {USERS} users, when the configuration takes effect" in shown.out
    assert run(["apply", "--config", str(file), "--yes", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["members"], said["entering"]) == ({"viewers": 30, "plan_a": 30}, {"viewers": 30})
    assert (said["users"], said["changed"]) == (USERS, True)
