"""Sizes and members of segments by rule come from the workers of all partitions together."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from models.batch import Restored
from models.fold import segment_view
from models.fold.buyer_counts import BUYERS_KEY, ScoredBuyers
from models.fold.stages import STAGES_KEY, StageCount, StagesInUse
from models.learning.population import decode
from models.units import HOUR
from stream.cluster.partitioner import partition_of
from stream.lookup.client import LookupFailed, ask_json
from stream.lookup.segments import SegmentLookups, UnknownSegmentName
from stream.lookup.server import LookupServer
from tests.support.configured_versions import population_version
from tests.support.event_logs import START
from tests.support.segment_logs import VIEWERS, folded, segments_in_use, tick, viewed

PARTITIONS = 3
MEMBERS = [f"ü{number}" for number in range(40)]


def partition_state(partition: int, *, version: int = 1, clock: int = HOUR) -> Restored:
    views = [
        viewed(user, at) for user in MEMBERS if partition_of(user.encode(), PARTITIONS) == partition for at in (0, HOUR)
    ]
    state = folded(segments_in_use(version, VIEWERS), tick(0), tick(HOUR), *views, tick(clock))
    state.partition = partition
    return state


def server_of(*states: Restored, identity: str = "ours") -> LookupServer:
    known = {state.partition: state for state in states}
    return LookupServer(
        restored=known.get, owns=known.__contains__, standing=dict, partitions=PARTITIONS, identity=identity
    )


class Workers:
    """The servers of a test, and their addresses."""

    def __init__(self) -> None:
        self.servers: list[LookupServer] = []
        self.addresses: list[str] = ["http://127.0.0.1:9"]

    async def start(self, server: LookupServer) -> None:
        self.servers.append(server)
        self.addresses.append(f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}")

    def ask(self) -> SegmentLookups:
        return SegmentLookups(self.addresses, PARTITIONS, lambda: "ours")


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    found = Workers()
    yield found
    for server in found.servers:
        await server.stop()


async def test_sizes_and_newest_members_are_added_up_over_the_workers(workers: Workers) -> None:
    await workers.start(server_of(partition_state(0), partition_state(2, clock=2 * HOUR)))
    await workers.start(server_of(partition_state(1)))

    sizes, members = await workers.ask().sizes(), await workers.ask().members("viewers")

    assert (sizes.now, sizes.configuration, sizes.adopts_until) == (START + HOUR, 1, None)
    assert (sizes.of("viewers").members, sizes.of("viewers").entered, sizes.of("viewers").left) == (40, 40, 0)
    assert (members.number, len(members.newest), [one.entered for one in members.days]) == (40, 20, [40])


async def test_all_members_are_listed_in_slices(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_view.slice_of, "__defaults__", (4,))
    await workers.start(server_of(*map(partition_state, range(PARTITIONS))))

    found = [member.user async for member in workers.ask().walk("viewers")]

    assert sorted(found) == sorted(MEMBERS)
    assert found == sorted(MEMBERS, key=lambda user: (partition_of(user.encode(), PARTITIONS), user))


async def test_a_partition_without_a_worker_is_named(workers: Workers) -> None:
    await workers.start(server_of(partition_state(1)))
    await workers.start(server_of(*map(partition_state, range(PARTITIONS)), identity="another"))

    with pytest.raises(LookupFailed, match="has partition 0, 2 of 3"):
        await workers.ask().sizes()


async def test_of_two_workers_with_a_partition_the_one_that_is_ahead_counts(workers: Workers) -> None:
    await workers.start(server_of(*map(partition_state, range(PARTITIONS))))
    await workers.start(server_of(partition_state(0, clock=4 * HOUR)))

    assert (await workers.ask().members("viewers")).number == 40 - sum(
        partition_of(user.encode(), PARTITIONS) == 0 for user in MEMBERS
    )


async def test_mistakes_are_refused_with_what_is_allowed(workers: Workers) -> None:
    with pytest.raises(LookupFailed, match=r"no worker answers at http://127\.0\.0\.1:9; start one"):
        await workers.ask().sizes()
    await workers.start(server_of(*map(partition_state, range(PARTITIONS))))

    with pytest.raises(
        UnknownSegmentName, match=r"'viewrs' \(did you mean viewers\?\); the segments by rule are: view"
    ):
        (await workers.ask().sizes()).of("viewrs")
    with pytest.raises(LookupFailed, match="partition: found 'x'; allowed: the number of a partition"):
        await ask_json(workers.addresses[1:], "/v1/segments/viewers/members?partition=x")
    with pytest.raises(LookupFailed, match="partition 7 belongs to another worker"):
        await ask_json(workers.addresses[1:], "/v1/segments/viewers/members?partition=7")


async def test_the_stages_of_the_lifecycle_are_added_up_over_the_workers(workers: Workers) -> None:
    states = [partition_state(partition) for partition in range(PARTITIONS)]
    for number, state in enumerate(states):
        counted = StagesInUse()
        counted.count(StageCount("", "visitor", START, False))
        counted.count(StageCount("visitor", "new", START + number, False))
        state.records[STAGES_KEY] = msgspec.msgpack.encode(counted)
    await workers.start(server_of(*states))

    found = await workers.ask().stages()

    assert found.names == []  # this configuration has no lifecycle
    assert found.stages.users == {"new": PARTITIONS}
    assert [day.moves for day in found.stages.days] == [{">visitor": PARTITIONS, "visitor>new": PARTITIONS}]


async def test_buyers_are_added_up_and_the_newest_cut_points_of_a_partition_count(workers: Workers) -> None:
    states = [folded(tick(0), population_version(version), tick(HOUR)) for version in (3, 4, 3)]
    for number, state in enumerate(states):
        state.partition = number
        state.records[BUYERS_KEY] = msgspec.msgpack.encode(ScoredBuyers([(1, 5), (3 + number % 2, 10)]))
    await workers.start(server_of(*states))

    found = await workers.ask().buyers()

    assert found.buyers.by_version == [(1, 15), (3, 20), (4, 10)]
    assert (found.version, found.buyers.number, found.outdated) == (4, 45, 35)
    assert found.population == decode(bytes(population_version(4).content))
