"""A rebuild computes again what visitors have handed over to known users, on Apache Kafka."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path

import pytest

from models.events import Event, LoginNotice, MergeRecord
from models.fold import step
from models.fold.handovers import merges_in
from models.fold.recomputed_merges import MissingPayload
from models.identity import linking
from models.identity.payload import unpack_payload
from models.identity.split_plan import plan_split
from models.identity.splitting import PairOfIds
from models.levels import NEWEST
from models.log import Clock, encode_control
from models.profile.links import IdentityOwner, ProfileIdentity
from models.profile.state import Customer
from models.units import now_ms
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.engine.state import restore
from stream.log.event_log import EventLog
from stream.log.levels import raise_level
from stream.processes.programs import Program
from stream.processes.supervisor import Supervisor
from stream.rebuild import answers, process, shadow_topic
from stream.rebuild.process import Rebuild
from stream.rebuild.shadow import code_in_use
from stream.rebuild.splitting import SplitProfiles
from stream.rebuild.switch import LinksDiffer, NotSwitched
from tests.chaos.reference import Reference, committed
from tests.support.brokers import Cluster
from tests.support.folding_worker import wrong
from tests.support.merging_shop import TestRouter, Visiting, fold_all, in_use, log_of, reference, settle
from tests.support.rebuilding import POINTS, NoListener
from tests.support.two_passes import customers

PARTITIONS = 3
CODE = code_in_use()

pytestmark = pytest.mark.kafka


@pytest.fixture
async def log(kafka: Cluster) -> AsyncIterator[EventLog]:
    """The open log of an installation with visitors."""
    await asyncio.to_thread(topics.create, kafka.connection, PARTITIONS, 1)
    await asyncio.to_thread(shadow_topic.make, kafka.connection, PARTITIONS, 1)
    async with EventLog(kafka.connection, PARTITIONS) as opened:
        await opened.ensure_clock("wall")
        yield opened


def rebuild(connection: Connection) -> Rebuild:
    return Rebuild(connection, PARTITIONS, CODE, NoListener())


async def fold_wrongly(connection: Connection, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> TestRouter:
    """Write events of visitors who log in, and fold all of them with code that has a mistake."""
    router, visiting = TestRouter(connection, PARTITIONS), Visiting(1)
    with monkeypatch.context() as patch:
        patch.setattr(step, "reduce_facts", wrong)
        for _ in range(3):
            await log.append(visiting.events(120))
            await settle(connection, PARTITIONS, router, log)
    return router


async def users(connection: Connection) -> dict[str, Customer]:
    return customers(await in_use(connection, PARTITIONS))


async def assert_as_folded_by_this_code(connection: Connection) -> None:
    found, wanted = await users(connection), customers(await reference(connection, PARTITIONS))
    assert found.keys() == wanted.keys()
    assert [user for user in wanted if found[user].facts != wanted[user].facts] == []
    assert [user for user in wanted if numbers(found[user]) != numbers(wanted[user])] == []


def numbers(customer: Customer) -> dict[str, tuple[int, int]]:
    """Return how many events were merged and forwarded, by visitor."""
    links = {} if customer.identity is None else customer.identity.links
    return {visitor: (link.events, link.forwarded) for visitor, link in links.items()}


def without_numbers(customer: Customer) -> ProfileIdentity | None:
    """Return the links of a profile without these numbers."""
    identity = deepcopy(customer.identity)
    for link in [] if identity is None else identity.links.values():
        link.events = link.forwarded = 0
    return identity


async def merged_users(connection: Connection) -> set[str]:
    """Return the known users who have got the profile of a visitor."""
    found = [merge for records in await log_of(connection, PARTITIONS) for _, merge in merges_in(records)]
    return {one.user for one in found if isinstance(one.identity, MergeRecord) and one.identity.payload}


async def test_facts_of_merged_users_become_those_of_the_new_code_and_their_links_and_ledgers_stay(
    kafka: Cluster, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = kafka.connection
    await fold_wrongly(connection, log, monkeypatch)
    before, merged = await users(connection), await merged_users(connection)
    assert len(merged) > 10

    compared = await rebuild(connection).run(compare_only=True)
    assert await users(connection) == before
    done = await rebuild(connection).run()

    after = await users(connection)
    await assert_as_folded_by_this_code(connection)
    assert [one.changed for one in compared] == [one.changed for one in done]
    assert sum(before[user].facts != after[user].facts for user in merged) > 10
    for user, customer in after.items():
        assert (customer.ledger, without_numbers(customer)) == (before[user].ledger, without_numbers(before[user]))
    assert {one.outcome for one in await rebuild(connection).run()} == {"was switched"}
    again = await rebuild(connection).run(anew=True)
    assert [(one.outcome, one.changed) for one in again] == [("equal", 0)] * PARTITIONS


async def test_facts_of_profiles_that_were_split_become_those_of_the_new_code(
    kafka: Cluster, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = kafka.connection
    router = await fold_wrongly(connection, log, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(step, "reduce_facts", wrong)
        pairs = await split_visitors(connection, log, 3)
        await log.append(Visiting(4, first=1_000).events(60))
        await settle(connection, PARTITIONS, router, log)
    before = await users(connection)

    await rebuild(connection).run()

    after = await users(connection)
    await assert_as_folded_by_this_code(connection)
    for user, customer in after.items():
        assert (customer.ledger, without_numbers(customer)) == (before[user].ledger, without_numbers(before[user]))
    changed = {user for user in after if before[user].facts != after[user].facts}
    assert changed & {pair.anonymous for pair in pairs}
    assert changed & {pair.known for pair in pairs}


async def split_visitors(connection: Connection, log: EventLog, count: int) -> list[PairOfIds]:
    """Split this many visitors from their users, as the command does."""
    pairs: list[PairOfIds] = []
    for number in range(count):
        found = await users(connection)
        owners = {user: one.identity.owner for user, one in found.items() if one.identity is not None}
        pair = next(PairOfIds(owner.user, visitor) for visitor, owner in owners.items() if owner is not None)
        known, visitor = found[pair.known].identity, found[pair.anonymous].identity
        plan = plan_split(pair, known, visitor, now_ms(), f"s{number}")
        profiles = SplitProfiles(connection, PARTITIONS, plan, NoListener())
        await profiles.fold()
        for user in plan.remaining:
            await profiles.write(user, log)
            await fold_all(connection, PARTITIONS)
        pairs.append(pair)
    return pairs


async def test_the_log_is_folded_once_if_visitors_hand_over_the_same_as_before(
    kafka: Cluster, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, router = kafka.connection, TestRouter(kafka.connection, PARTITIONS)
    await log.append(Visiting(1).events(200))
    await settle(connection, PARTITIONS, router, log)
    planned: list[int] = []
    monkeypatch.setattr(NoListener, "planned", lambda _, records: planned.append(records))

    done = await rebuild(connection).run()

    assert len(await merged_users(connection)) > 3
    assert [(one.outcome, one.changed) for one in done] == [("equal", 0)] * PARTITIONS
    assert len(planned) == 1


async def test_a_merge_record_on_its_way_is_awaited_because_it_has_facts_of_the_earlier_code(
    kafka: Cluster, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = kafka.connection
    router = await fold_wrongly(connection, log, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(step, "reduce_facts", wrong)
        late = Visiting(2, "late")
        await log.append(late.events(150))
        await fold_all(connection, PARTITIONS)
        await router.move(log)  # the notices
        await fold_all(connection, PARTITIONS)
    before = len(await merged_users(connection))
    monkeypatch.setattr(process, "MERGES_WITHIN_S", 0.0)
    with pytest.raises(NotSwitched, match=r"merge records \(anonymous:late-a\d+ for late-u\d+.*the same command"):
        await rebuild(connection).run()
    monkeypatch.undo()

    running = asyncio.create_task(rebuild(connection).run())
    await settle(connection, PARTITIONS, router, log)
    await running

    assert len(await merged_users(connection)) > before
    await settle(connection, PARTITIONS, router, log)
    await assert_as_folded_by_this_code(connection)


async def test_a_missing_payload_stops_the_rebuild_and_says_which_one(
    kafka: Cluster, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = kafka.connection
    await fold_wrongly(connection, log, monkeypatch)
    before, read = await users(connection), answers.read_answers

    async def without_one(connection: Connection, partition: int, code: str) -> dict[str, Event]:
        found = await read(connection, partition, code)
        del found[next(name for name, one in found.items() if _has_payload(one))]
        return found

    with monkeypatch.context() as patch:
        patch.setattr(process, "read_answers", without_one)
        with pytest.raises(MissingPayload, match=r"partition 0 of events has at offset \d+ what anonymous:m-a\d+ has"):
            await rebuild(connection).run()
    stopped = await users(connection)
    assert [user for user in before if user.startswith("m-u") and stopped[user] != before[user]] == []
    await rebuild(connection).run()
    await assert_as_folded_by_this_code(connection)


async def test_the_level_may_be_raised_between_the_passes(kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, router, visiting = kafka.connection, TestRouter(kafka.connection, PARTITIONS), Visiting(1)
    await asyncio.to_thread(topics.create, connection, PARTITIONS, 1)
    await asyncio.to_thread(shadow_topic.make, connection, PARTITIONS, 1)
    async with EventLog(connection, PARTITIONS) as log:
        await log.broadcast(*encode_control(Clock("wall")))  # the first level, which links nothing
        with monkeypatch.context() as patch:
            patch.setattr(step, "reduce_facts", wrong)
            await log.append(visiting.events(150))
            await settle(connection, PARTITIONS, router, log)

        async def raised(connection: Connection, partition: int, code: str) -> dict[str, Event]:
            if partition == 0:
                await raise_level(connection, NEWEST)
                await log.append(visiting.events(100))
                await settle(connection, PARTITIONS, router, log)
            return await answers.read_answers(connection, partition, code)

        monkeypatch.setattr(process, "read_answers", raised)
        await rebuild(connection).run()
    assert len(await merged_users(connection)) > 5
    await assert_as_folded_by_this_code(connection)


def _has_payload(merge: Event) -> bool:
    return isinstance(merge.identity, MergeRecord) and bool(merge.identity.payload)


async def test_code_that_links_in_another_way_is_refused_before_facts_of_its_partition_change(
    kafka: Cluster, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, router = kafka.connection, TestRouter(kafka.connection, PARTITIONS)
    with monkeypatch.context() as patch:
        patch.setattr("models.fold.identity_fold.linking.is_newer", lambda *_: False)
        await log.append(Visiting(1).events(200))
        await settle(connection, PARTITIONS, router, log)
    before = await users(connection)

    with pytest.raises(LinksDiffer, match=r"handed its profile over to no user, and this code .* to m-u\d+ \(merge"):
        await rebuild(connection).run()

    assert await users(connection) == before


def linking_all_but(person: str) -> Callable[[LoginNotice, IdentityOwner | None], bool]:
    """Return code that does not link one known user."""
    known = linking.is_newer
    return lambda notice, owner: notice.known != person and known(notice, owner)


@pytest.mark.parametrize("is_compared", [False, True])
async def test_links_that_this_code_would_not_make_can_stay_as_the_log_has_them(
    kafka: Cluster, log: EventLog, monkeypatch: pytest.MonkeyPatch, is_compared: bool
) -> None:
    connection = kafka.connection
    await fold_wrongly(connection, log, monkeypatch)
    before, merged = await users(connection), await merged_users(connection)
    user = min(merged)
    visitor = user.replace("m-u", "anonymous:m-a")
    wanted = customers(await reference(connection, PARTITIONS))
    monkeypatch.setattr("models.fold.identity_fold.linking.is_newer", linking_all_but(user))
    if not is_compared:
        with pytest.raises(LinksDiffer, match="`perennial rebuild --keep-differing` keeps such links as the log has"):
            await rebuild(connection).run()

    work = rebuild(connection)
    done = await work.run(keep_differing=True, compare_only=is_compared)

    (kept,) = work.kept
    assert (kept.visitor, kept.user, kept.other) == (visitor, user, "")
    ((_, merge),) = merges_in([(await log_of(connection, PARTITIONS))[kept.partition][kept.offset]])
    assert (merge.user, merge.anonymous) == (user, visitor)
    assert [one.partition for one in done if work.kept_in(one)] == [partition_of(visitor.encode(), PARTITIONS)]
    after = await users(connection)
    if is_compared:
        assert after == before
        return
    assert after[visitor] == before[visitor]
    assert isinstance(merge.identity, MergeRecord)
    brought = unpack_payload(merge.identity.payload).facts.events["cart_add"]  # twice the right number
    assert after[user].facts.events["cart_add"] == wanted[user].facts.events["cart_add"] + brought // 2
    assert [one for one in wanted if one not in (user, visitor) and after[one].facts != wanted[one].facts] == []
    assert {one.outcome for one in await rebuild(connection).run()} == {"was switched"}


async def test_links_that_only_this_code_would_make_can_be_left_out_as_in_the_log(
    kafka: Cluster, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, router = kafka.connection, TestRouter(kafka.connection, PARTITIONS)
    with monkeypatch.context() as patch:
        patch.setattr("models.fold.identity_fold.linking.is_newer", linking_all_but("m-u7"))
        await log.append(Visiting(1).events(200))
        await settle(connection, PARTITIONS, router, log)
    before = await users(connection)

    work = rebuild(connection)
    await work.run(keep_differing=True)

    assert [(one.visitor, one.user, one.other, one.offset) for one in work.kept] == [("anonymous:m-a7", "", "m-u7", -1)]
    assert await users(connection) == before


@pytest.mark.slow
async def test_a_rebuild_that_was_killed_in_either_pass_is_finished_by_the_next_one_while_visitors_log_in(
    kafka: Cluster, log: EventLog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connection = kafka.connection
    await fold_wrongly(connection, log, monkeypatch)
    command, worker = (
        [sys.executable, "-m", f"tests.support.{program}", connection.servers, connection.prefix, *more]
        for program, *more in (("rebuilding", str(PARTITIONS)), ("folding_worker", "yes", "6"))
    )
    points = [*POINTS, "second pass", *POINTS[1:]]  # a rebuild switches twice: to the facts of visitors, and of all

    with Supervisor([Program("fold", worker, log=tmp_path / "fold.log")]):
        async with shopping(log):
            deaths = [await asyncio.to_thread(subprocess.run, [*command, point], check=False) for point in points]
            last = await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True, text=True)
        await settled(connection)

    assert [death.returncode for death in deaths] == [-signal.SIGKILL] * len(points), points
    assert last.returncode == 0, (last.stdout, last.stderr)
    assert last.stdout.splitlines().count("was switched") == 1
    await assert_as_folded_by_this_code(connection)


@asynccontextmanager
async def shopping(log: EventLog) -> AsyncIterator[None]:
    """Send events of visitors who log in, until the block ends."""
    is_over = asyncio.Event()

    async def shop() -> None:
        visiting = Visiting(3, "n")
        while not is_over.is_set():
            await log.append(visiting.events(20))
            await asyncio.sleep(0.2)

    going = asyncio.create_task(shop())
    try:
        yield
    finally:
        is_over.set()
        await going


async def settled(connection: Connection, within_s: float = 60) -> None:
    """Wait until the whole log is folded, and all records between profiles are in it."""
    async with asyncio.timeout(within_s), Reference(connection, PARTITIONS) as quiet:
        while True:
            await quiet.catch_up()
            states = [await restore(connection, "profiles", number, in_use=True) for number in range(PARTITIONS)]
            if [state.position for state in states] == quiet.positions and not await on_the_way(connection):
                return
            await asyncio.sleep(0.2)  # poll: a state topic sends no notification


async def on_the_way(connection: Connection) -> int:
    """Return the number of records between profiles that the router has not moved."""
    moved = {(one.key, one.value) for records in await log_of(connection, PARTITIONS) for one in records}
    written = {(one.key, one.value) for one in await committed(connection, "outcomes", PARTITIONS)}
    return len(written - moved)
