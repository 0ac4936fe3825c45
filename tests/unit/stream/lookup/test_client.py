from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from aiohttp import web
from yarl import URL

from models.batch import Batch, Restored
from models.events import Event
from models.fold.partition import PartitionFold
from models.profile.codec import unpack
from models.profile.recent_items import RecentItem
from stream.cluster.partitioner import partition_of
from stream.lookup.client import LookupFailed, UnknownUser, ask, ask_json
from stream.lookup.owners import Owners
from stream.lookup.server import LookupServer
from stream.processes.worker_report import LaneHealth
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_addresses, worker_urls
from stream.worker.health import worker_health
from tests.support.event_logs import START, written

PARTITIONS = 4


class FakeRecentItemsRecommender:
    def recommend(self, recent: Sequence[RecentItem], now: int, k: int, user: str = "") -> Mapping[str, Any]:
        return {"version": 3, "items": [touch.item for touch in recent][:k]}


class FoldingWorker:
    """A worker that folds events in memory, and answers lookups."""

    def __init__(self, owned: set[int], identity: str = "ours/perennial.") -> None:
        self.states = {partition: Restored(partition=partition) for partition in owned}
        self.open = set(owned)
        self.lag: int | None = 0
        self.waiting_s = 0.0
        self.server = LookupServer(
            restored=lambda partition: self.states.get(partition) if partition in self.open else None,
            owns=self.states.__contains__,
            standing=self.standing,
            partitions=PARTITIONS,
            recommends=FakeRecentItemsRecommender(),
            identity=identity,
        )

    def standing(self) -> dict[str, Any]:
        """Return the health of the worker, in the form in which the lookup server sends it."""
        lanes = [
            LaneHealth(
                topic="events",
                partition=partition,
                open=partition in self.open,
                position=1,
                lag=self.lag,
                idle_s=0.0,
                waiting_s=self.waiting_s,
                failures=0,
            )
            for partition in self.states
        ]
        health: dict[str, Any] = msgspec.to_builtins(worker_health(lanes, assigned=True, held={}))
        return health

    def fold(self, event: Event) -> None:
        state = self.states[partition_of(event.user.encode(), PARTITIONS)]
        state.apply(PartitionFold(state).fold(Batch("events", state.partition, written([event]))).commit)


@pytest.fixture
async def workers() -> AsyncIterator[tuple[list[FoldingWorker], list[str]]]:
    pair = [FoldingWorker({0, 1}), FoldingWorker({2, 3})]
    addresses = [f"http://127.0.0.1:{await worker.server.start('127.0.0.1', 0)}" for worker in pair]
    yield pair, addresses
    for worker in pair:
        await worker.server.stop()


def click(user: str) -> Event:
    return Event(id="m1", user=user, type="click", at=START, item="sku1")


async def test_the_owner_of_a_user_answers_even_if_another_worker_is_asked_first(
    workers: tuple[list[FoldingWorker], list[str]],
) -> None:
    pair, addresses = workers
    for user in ("u1", "u2", "ü/3", "{u4}", "..", "a%2Fb"):
        owner = next(w for w in pair if partition_of(user.encode(), PARTITIONS) in w.states)
        owner.fold(click(user))
        for order in (addresses, addresses[::-1]):
            answer = await ask_json(order, f"/v1/users/{quote(user, safe='')}")

            assert (answer["user"], answer["profile"]["recent"]) == (user, ["sku1"])


async def test_the_stored_state_is_answered_unchanged(workers: tuple[list[FoldingWorker], list[str]]) -> None:
    pair, addresses = workers
    owner = next(w for w in pair if partition_of(b"u1", PARTITIONS) in w.states)
    owner.fold(click("u1"))

    packed = await ask(addresses, "/v1/users/u1/state")

    assert list(unpack(packed).facts.recent) == [RecentItem("sku1", 1.0, START)]


async def test_recommendations_are_for_known_and_for_unknown_users(
    workers: tuple[list[FoldingWorker], list[str]],
) -> None:
    pair, addresses = workers
    next(w for w in pair if partition_of(b"u1", PARTITIONS) in w.states).fold(click("u1"))

    known = await ask_json(addresses, "/v1/users/u1/recommendations?k=5")
    stranger = await ask_json(addresses, "/v1/users/unknown/recommendations")

    assert known == {"user": "u1", "known": True, "version": 3, "items": ["sku1"]}
    assert stranger == {"user": "unknown", "known": False, "version": 3, "items": []}


async def test_every_refusal_gives_its_reason(workers: tuple[list[FoldingWorker], list[str]]) -> None:
    pair, addresses = workers
    with pytest.raises(UnknownUser, match="no user 'unknown'"):
        await ask(addresses, "/v1/users/unknown")
    with pytest.raises(LookupFailed, match="allowed: 1 to 100"):
        await ask(addresses, "/v1/users/u1/recommendations?k=many")
    with pytest.raises(LookupFailed, match=r"no worker answers at http://127\.0\.0\.1:9; start one"):
        await ask(["http://127.0.0.1:9"], "/v1/users/u1")

    stranger = next(a for w, a in zip(pair, addresses, strict=True) if partition_of(b"u1", PARTITIONS) not in w.states)
    with pytest.raises(LookupFailed, match="belongs to another worker"):
        await ask([stranger], "/v1/users/u1")
    for worker in pair:
        worker.open.clear()
    with pytest.raises(LookupFailed, match="being restored"):
        await ask(addresses, "/v1/users/u1")


@pytest.mark.parametrize("rest", ["", "/state", "/recommendations"])
async def test_the_records_of_the_lane_itself_are_not_users(
    workers: tuple[list[FoldingWorker], list[str]], rest: str
) -> None:
    pair, addresses = workers
    for worker in pair:
        for state in worker.states.values():
            state.records[b"\x00clock"] = b"of the lane"

    with pytest.raises(UnknownUser, match=r"no user '\\x00clock'"):
        await ask(addresses, f"/v1/users/%00clock{rest}")


async def test_the_message_about_many_absent_workers_names_the_first_and_the_last() -> None:
    with pytest.raises(
        LookupFailed, match=r"answers at http://127\.0\.0\.1:1 to http://127\.0\.0\.1:9 \(9 addresses\);"
    ):
        await ask([f"http://127.0.0.1:{port}" for port in range(1, 10)], "/v1/users/u1")


async def test_a_program_that_is_not_an_http_server_is_not_a_worker(
    workers: tuple[list[FoldingWorker], list[str]],
) -> None:
    """The ports above the worker's port may belong to any program, such as one that sends back what it receives."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as other:
        address = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
        with pytest.raises(LookupFailed, match="no worker answers"):
            await ask([address], "/ready")
        assert (await ask_json([address, workers[1][0]], "/ready"))["ready"]


async def test_a_worker_is_healthy_only_while_it_makes_progress(workers: tuple[list[FoldingWorker], list[str]]) -> None:
    (worker, _), addresses = workers
    assert (await ask_json(addresses[:1], "/health"))["healthy"]
    assert (await ask_json(addresses[:1], "/ready"))["ready"]

    worker.lag, worker.waiting_s = 10, 60.0
    with pytest.raises(LookupFailed, match="healthy"):
        await ask(addresses[:1], "/health")
    worker.open.clear()
    with pytest.raises(LookupFailed, match="ready"):
        await ask(addresses[:1], "/ready")


async def test_only_workers_of_the_clients_installation_count() -> None:
    """Two installations run on one machine, with adjacent ports. Each of them has a worker that owns the user."""
    other, ours = FoldingWorker({0, 1, 2, 3}, "theirs/perennial."), FoldingWorker({0, 1, 2, 3})
    other.fold(Event(id="m1", user="u1", type="click", at=START, item="theirs"))
    addresses = [f"http://127.0.0.1:{await worker.server.start('127.0.0.1', 0)}" for worker in (other, ours)]
    own = functools.partial(str, "ours/perennial.")
    try:
        with pytest.raises(UnknownUser):
            await ask(addresses, "/v1/users/u1", own)
        ours.fold(click("u1"))
        assert (await ask_json(addresses, "/v1/users/u1", own))["profile"]["recent"] == ["sku1"]
        for refused in ("/v1/users/u1", "/v1/users/unknown", "/v1/users/u1/recommendations?k=many"):
            with pytest.raises(LookupFailed, match="a worker of another installation answers at http") as caught:
                await ask(addresses[:1], refused, own)
            assert not isinstance(caught.value, UnknownUser)
    finally:
        await other.server.stop()
        await ours.server.stop()


async def test_another_web_server_is_not_a_worker_whatever_it_answers(
    workers: tuple[list[FoldingWorker], list[str]],
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        status = int(request.query["status"])
        if status == 302:
            raise web.HTTPFound(f"{workers[1][0]}/ready")
        if status == 200:
            endless = web.StreamResponse()
            await endless.prepare(request)
            with contextlib.suppress(ConnectionError):
                while True:
                    await endless.write(b"x" * 65_536)
        return web.json_response({"error": "of another program"}, status=status)

    app = web.Application()
    app.router.add_get("/ready", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        for status in (200, 302, 404, 500):
            with pytest.raises(LookupFailed, match="no worker answers at") as caught:
                await ask([address], f"/ready?status={status}")
            assert not isinstance(caught.value, UnknownUser)
            assert f"what answers at {address} is another program, or a worker of an older release" in str(caught.value)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("host", "place"), [("::1", "[::1]:8391"), ("[::1]", "[::1]:8391"), ("10.0.0.7", "10.0.0.7:8391")]
)
def test_the_address_of_a_worker_can_be_used_in_a_url(host: str, place: str, tmp_path: Path) -> None:
    file = tmp_path / "perennial.yaml"
    file.write_text(f"version: 1\nworker: {{host: '{host}'}}\n")
    settings = load(file)

    assert worker_urls(settings.sections.worker)[0] == f"http://{place}"
    assert URL(worker_urls(settings.sections.worker)[0]).port == 8391
    assert worker_addresses(settings.sections.http, settings.sections.worker)[0] == place


async def test_a_worker_on_the_ipv6_loopback_is_found() -> None:
    worker = FoldingWorker({0, 1, 2, 3})
    port = await worker.server.start("::1", 0)
    owners = Owners([f"[::1]:{port}"], PARTITIONS)
    try:
        assert b'"user":"ada"' in await owners.ask("ada", "/recommendations?k=1")
    finally:
        await owners.close()
        await worker.server.stop()
