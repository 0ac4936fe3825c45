"""The door gives the recommendations of the worker that owns the user, to everyone who may read the user's data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientSession
from yarl import URL

from models.batch import Restored
from models.profile.recent_items import RecentItem
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.collector.configured import user_tokens
from stream.collector.readers import Readers
from stream.collector.recommendations import Recommendations
from stream.collector.user_tokens import UserTokens
from stream.installation.running import Installation, await_folding, own_ports, running
from stream.lookup.client import ask_json
from stream.lookup.owners import Owners
from stream.lookup.server import LookupServer
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls
from tests.support.doors import NOW, Client, DoorParts, door

PARTITIONS = 4
TOKENS = UserTokens([b"u" * 32])
SERVER = {"Authorization": "Bearer a-server-token-of-some-length"}
ORIGIN = {"Origin": "https://shop.example"}


class FakeRecommender:
    """A recommender that returns as many items as it is asked for, and counts its calls."""

    def __init__(self) -> None:
        self.asked = 0

    def recommend(self, recent: Sequence[RecentItem], now: int, k: int, user: str = "") -> Mapping[str, Any]:
        del recent, now, user
        self.asked += 1
        return {"version": 3, "items": [{"item": f"sku{i}", "score": 0.5, "why": "popular"} for i in range(k)]}


class FakeWorker:
    """The lookup server of a worker that owns some partitions."""

    def __init__(self, owned: set[int]) -> None:
        self.owned = owned
        self.open = True
        self.recommender = FakeRecommender()
        self.requests = 0
        self.server = LookupServer(
            restored=lambda partition: Restored(partition=partition) if self.open else None,
            owns=self._owns,
            standing=dict,
            partitions=PARTITIONS,
            recommends=self.recommender,
        )

    def _owns(self, partition: int) -> bool:
        self.requests += 1
        return partition in self.owned


@asynccontextmanager
async def serving(
    *workers: FakeWorker, write_keys: Sequence[str] = (), browser_keys: Sequence[str] = ()
) -> AsyncIterator[Client]:
    places = [f"127.0.0.1:{await worker.server.start('127.0.0.1', 0)}" for worker in workers]
    owners = Owners(places or ["127.0.0.1:1"], PARTITIONS)
    readers = Readers(TOKENS, [b"another-token", b"a-server-token-of-some-length"], lambda: NOW)
    try:
        parts = DoorParts(more=lambda _: [Recommendations(readers, owners)])
        nowhere = Connection("127.0.0.1:1")
        async with door(nowhere, write_keys=write_keys, browser_keys=browser_keys, parts=parts) as client:
            yield client
    finally:
        await owners.close()
        for worker in workers:
            await worker.server.stop()


def address(user: str, query: str = "") -> URL:
    return URL(f"/v1/users/{quote(user, safe='')}/recommendations{query}", encoded=True)


def bearer(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS.sign(user, NOW, 60)}"}


USERS = [
    *("ada", "a/b", "a b", "a%2Fb", "%", "100%25", "ü", "👩‍👩‍👧", "a?b#c", "a+b;c", "{x}", '"\\', "anonymous:3f2a"),
    *("..", "."),
]


@pytest.mark.parametrize("user", [user for user in USERS if user not in (".", "..")])
async def test_the_owner_answers_for_any_spelling_of_an_id(user: str) -> None:
    async with serving(FakeWorker({0, 1}), FakeWorker({2, 3})) as client:
        for headers in (SERVER, bearer(user)):
            answer = await client.get(address(user, "?k=2"), headers=headers | ORIGIN)
            said = await answer.json()
            assert (answer.status, said["user"], said["known"], said["version"]) == (200, user, False, 3)
            assert [each["item"] for each in said["items"]] == ["sku0", "sku1"]
            assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("user", USERS)
async def test_the_door_reaches_the_owner_for_any_spelling_of_an_id(user: str) -> None:
    worker = FakeWorker({0, 1, 2, 3})
    owners = Owners([f"127.0.0.1:{await worker.server.start('127.0.0.1', 0)}"], PARTITIONS)
    try:
        assert b'"known":false' in await owners.ask(user, "/recommendations?k=1")
    finally:
        await owners.close()
        await worker.server.stop()


async def test_the_owner_is_asked_first_after_it_was_found_and_a_new_owner_is_found() -> None:
    first, second = FakeWorker(set()), FakeWorker({0, 1, 2, 3})
    async with serving(first, second) as client:
        for _ in range(5):
            assert (await client.get(address("ada"), headers=SERVER)).status == 200
        assert (first.requests, second.recommender.asked) == (1, 5)

        first.owned, second.owned = second.owned, first.owned
        assert (await client.get(address("ada"), headers=SERVER)).status == 200
        assert first.recommender.asked == 1


async def test_ten_items_are_recommended_without_k() -> None:
    async with serving(FakeWorker({0, 1, 2, 3})) as client:
        said = await (await client.get(address("ada"), headers=SERVER)).json()

    assert len(said["items"]) == 10


@pytest.mark.parametrize("k", ["0", "101", "many", "-1", "1.5", "", "²", "9" * 5_000])
async def test_any_other_value_of_k_is_400(k: str) -> None:
    worker = FakeWorker({0, 1, 2, 3})
    async with serving(worker) as client:
        answer = await client.get(address("ada", f"?k={quote(k)}"), headers=SERVER)
        said = await answer.json()

    assert (answer.status, said["code"], said["error"]["field"], worker.requests) == (400, "bad_number", "k", 0)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "bad_token"),
        ({"Authorization": "Bearer"}, 401, "bad_token"),
        ({"Authorization": "Bearer a-server-token-of-some-lengti"}, 401, "bad_token"),
        ({"Authorization": "Basic YS1zZXJ2ZXItdG9rZW4tb2Ytc29tZS1sZW5ndGg6"}, 401, "bad_token"),
        ({"Authorization": f"Bearer {UserTokens([b'x' * 32]).sign('ada', NOW, 60)}"}, 401, "bad_token"),
        ({"Authorization": f"Bearer {TOKENS.sign('ada', NOW - 200_000, 60)}"}, 401, "bad_token"),
        (bearer("bob"), 403, "other_user"),
        (bearer("Ada"), 403, "other_user"),
        (bearer("ada "), 403, "other_user"),
    ],
)
async def test_a_request_without_a_token_of_the_user_or_of_a_server_is_refused(
    headers: dict[str, str], status: int, code: str
) -> None:
    worker = FakeWorker({0, 1, 2, 3})
    async with serving(worker, write_keys=["wk"], browser_keys=["web"]) as client:
        answer = await client.get(address("ada", "?writeKey=wk"), headers=headers | ORIGIN)
        said = await answer.json()

    assert (answer.status, said["code"], worker.requests) == (status, code, 0)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_the_answer_is_503_and_says_when_to_repeat_the_request_while_no_worker_can_answer() -> None:
    restoring = FakeWorker({0, 1, 2, 3})
    restoring.open = False
    for workers in ((), (FakeWorker(set()),), (restoring,)):
        async with serving(*workers) as client:
            answer = await client.get(address("ada"), headers=SERVER | ORIGIN)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            said = await answer.json()
            assert said["code"] == "unavailable"
            assert "127.0.0.1" not in str(said), "pages learn the addresses of workers"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_all_addresses_of_a_host_are_asked() -> None:
    worker = FakeWorker({0, 1, 2, 3})
    port = await worker.server.start("127.0.0.1", 0)
    owners = Owners(["no-such-host.invalid:1", f"localhost:{port}"], PARTITIONS)
    try:
        assert partition_of(b"ada", PARTITIONS) in worker.owned
        assert b'"user":"ada"' in await owners.ask("ada", "/recommendations?k=1")
    finally:
        await owners.close()
        await worker.server.stop()


async def test_the_address_of_recommendations_does_not_exist_without_workers() -> None:
    async with door(Connection("127.0.0.1:1")) as client:
        assert (await client.get("/v1/users/ada/recommendations")).status == 404


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "perennial.yaml").write_text("version: 1\nhttp: {server_tokens: [{file: token}]}\n")
    (tmp_path / "token").write_text("a-server-token-of-some-length")
    with running(load(tmp_path / "perennial.yaml", own_ports()), ("worker", "collector")) as installation:
        await_folding(installation)
        yield installation


async def known(worker: list[str], path: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            answer = await ask_json(worker, path)
            if answer["known"]:
                return answer
            await asyncio.sleep(0.05)  # no signal says that the fold has read the event


async def test_the_door_of_an_installation_gives_the_answer_of_its_worker(installation: Installation) -> None:
    settings, user = installation.settings, "ü/1 {x}"
    own = {"Authorization": f"Bearer {user_tokens(settings).sign(user, now_ms(), 60)}"}
    path = address(user, "?k=3")

    async with ClientSession(f"http://127.0.0.1:{settings.sections.http.port}") as session:
        click = {"type": "click", "user": user, "item": "mug"}
        assert (await session.post("/v1/track", json=click)).status == 200
        told = await known(worker_urls(settings.sections.worker)[:1], str(path))
        for headers in (own, SERVER):
            answer = await session.get(path, headers=headers)
            assert (answer.status, await answer.json()) == (200, told)
        assert (await session.get(address("other"), headers=own)).status == 403
