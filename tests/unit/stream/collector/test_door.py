from __future__ import annotations

import asyncio
import base64
import gzip
import io
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from stream.cluster.connection import Connection
from tests.support.brokers import Cluster
from tests.support.doors import CLICK, NOW, PAGE, Client, DoorParts, counted, door, events, rejected


async def test_an_event_that_is_answered_with_200_is_in_kafka(cluster: Cluster) -> None:
    cluster.create(events=1, events_rejected=1)

    async with door(cluster.connection) as client:
        answer = await client.post("/v1/track", json=CLICK)
        assert answer.status == 200
        assert await answer.json() == {"success": True, "id": "m1", "partition": 0, "offset": 0}

    (event,) = await events(cluster.connection, 1)
    assert (event.id, event.item, event.at, event.origin) == ("m1", "sku1", NOW, "live")


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("track", {"userId": "u1", "event": "Product Clicked", "properties": {"product_id": "a"}}, "click"),
        ("identify", {"userId": "u1", "traits": {"email": "a@b.example"}}, "identify"),
        ("page", {"anonymousId": "x"}, "page_view"),
        ("screen", {"userId": "u1", "name": "Home"}, "page_view"),
        ("group", {"userId": "u1", "groupId": "g"}, "custom"),
        ("alias", {"userId": "u1", "previousId": "x"}, "custom"),
    ],
)
async def test_each_call_has_its_address(embedded: Cluster, path: str, body: dict[str, Any], kind: str) -> None:
    embedded.create(events=1)

    async with door(embedded.connection) as client:
        assert (await client.post(f"/v1/{path}", json=body)).status == 200

    assert (await events(embedded.connection, 1))[0].type == kind


async def test_a_batch_is_answered_event_by_event(cluster: Cluster) -> None:
    cluster.create(events=1, events_rejected=1)

    async with door(cluster.connection) as client:
        answer = await client.post("/v1/batch", json={"batch": [CLICK, {"type": "page"}, PAGE]})
        said = await answer.json()

    assert answer.status == 200
    assert (said["success"], said["accepted"], said["rejected"]) == (False, 2, 1)
    assert [result["status"] for result in said["results"]] == ["accepted", "rejected", "accepted"]
    assert (said["results"][1]["reason"], said["results"][1]["field"]) == ("missing_user", "userId")
    assert [event.id for event in await events(cluster.connection, 2)] == ["m1", "m2"]
    assert [one.reason for one in await rejected(cluster.connection, 1)] == ["missing_user"]


async def test_an_event_that_is_nested_too_deep_affects_no_other_event_of_its_batch(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    deep = b'{"userId":"u2","properties":' + b"[" * 300 + b"]" * 300 + b"}"
    body = b'{"writeKey":"s3cret","batch":[%s,%s]}' % (orjson.dumps(CLICK), deep)

    async with door(embedded.connection, write_keys=["s3cret"]) as client:
        batch = await client.post("/v1/batch", data=body)
        single = await client.post("/v1/page", data=b'{"writeKey":"s3cret",' + deep[1:])
        said = (await batch.json())["results"]

    assert (batch.status, single.status) == (200, 400)
    assert [result.get("reason", "") for result in said] == ["", "too_deep"]
    assert [event.id for event in await events(embedded.connection, 1)] == ["m1"]
    letters = await rejected(embedded.connection, 2)
    assert [letter.reason for letter in letters] == ["too_deep"] * 2
    assert letters[0].value == body.replace(b"s3cret", b"")
    assert not any(b"s3cret" in letter.value for letter in letters)


BAD: list[tuple[str, bytes, int, str]] = [
    ("track", b"\x00\xffgarbage", 400, "bad_json"),
    ("track", b'{"event":"x"}', 400, "missing_user"),
    ("track", b'{"userId":true,"event":"x"}', 400, "wrong_type"),
    ("track", b'{"userId":"u1","event":"x","timestamp":"9999-12-31T23:59:59Z"}', 400, "time_in_future"),
    ("track", b'{"user":"u1","type":"message_opened"}', 400, "reserved_type"),
    ("page", b'{"userId":"u1","type":"track","event":"x"}', 400, "bad_type"),
    ("batch", b'{"batch":{}}', 400, "missing_field"),
    ("batch", b"[]", 400, "not_an_object"),
]


async def test_bad_input_is_refused_kept_and_counted_and_affects_nothing_else(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    before = {reason: counted("events_rejected", reason=reason) for _, _, _, reason in BAD}
    accepted = counted("events_accepted", door="http")

    async with door(embedded.connection) as client:
        for path, body, status, reason in BAD:
            answer = await client.post(f"/v1/{path}", data=body)
            said = await answer.json()
            assert (answer.status, said["error"]["reason"]) == (status, reason)
            assert said["error"]["allowed"]
            assert (await client.post("/v1/track", json=CLICK)).status == 200

    found = await rejected(embedded.connection, len(BAD))
    assert sorted(one.reason for one in found) == sorted(reason for _, _, _, reason in BAD)
    assert len(await events(embedded.connection, len(BAD))) == len(BAD)
    assert counted("events_accepted", door="http") - accepted == len(BAD)
    for reason, count in before.items():
        assert counted("events_rejected", reason=reason) > count


@pytest.mark.parametrize(
    ("path", "size", "limit"),
    [("track", 5_000_000, "at most 32,768 bytes an event"), ("batch", 5_000_000, "4,194,304")],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused_with_the_limit_kept_in_part_and_counted(
    embedded: Cluster, path: str, size: int, limit: str, chunked: bool
) -> None:
    embedded.create(events=1, events_rejected=1)
    before = counted("events_rejected", reason="too_large")

    async with door(embedded.connection) as client:
        body = b"x" * size
        answer = await client.post(f"/v1/{path}", data=_chunks(body) if chunked else io.BytesIO(body))
        assert answer.status == 413
        assert limit in (await answer.json())["error"]["allowed"]

    (letter,) = await rejected(embedded.connection, 1)
    assert (letter.reason, letter.value) == ("too_large", b"x" * min(size, 65_536))
    # In a chunked request, the length of the part that was not read is unknown.
    assert letter.length == size if not chunked else min(size, 65_536) <= letter.length <= size
    assert counted("events_rejected", reason="too_large") == before + 1


async def test_an_event_of_more_than_32_kb_is_413_and_the_others_of_its_batch_are_accepted(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    large = {**PAGE, "context": {"x": "y" * 33_000}}

    async with door(embedded.connection) as client:
        single = await client.post("/v1/page", json=large)
        batch = await client.post("/v1/batch", json={"batch": [large, CLICK]})
        said, results = await single.json(), (await batch.json())["results"]

    assert (single.status, said["code"], batch.status) == (413, "too_large", 200)
    assert "32,768" in said["message"]
    assert [result.get("code") for result in results] == ["too_large", None]


def _order(lines: int, kind: str) -> dict[str, Any]:
    """Return an order as a shop sends it: each line with all fields that the Segment spec names."""
    line = {
        "sku": "45790-32-blue",
        "name": "Monopoly: 3rd Edition, the collector's box",
        "category": "Games > Board games > Family",
        "brand": "Hasbro",
        "variant": "200 pieces",
        "price": 19.5,
        "quantity": 2,
        "url": "https://www.shop.example/product/path/monopoly-3rd-edition",
        "image_url": "https://www.shop.example/product/path/monopoly-3rd-edition.jpg",
    }
    if kind == "short":
        short = {"price": 19.5, "quantity": 2, "category": line["category"]}
        made = [{"item": f"507f1f77bcf86cd79943{i:04}", **short} for i in range(lines)]
        return {"type": "purchase", "user": "u1", "order": "o1", "lines": made}
    products = [{"product_id": f"507f1f77bcf86cd79943{i:04}", "position": i, **line} for i in range(lines)]
    properties = {"order_id": "o1", "currency": "EUR", "products": products}
    return {"type": "track", "userId": "u1", "event": "Order Completed", "properties": properties}


@pytest.mark.parametrize("kind", ["short", "segment"])
@pytest.mark.parametrize("path", ["track", "batch"])
async def test_an_order_of_500_ordinary_lines_is_accepted(embedded: Cluster, kind: str, path: str) -> None:
    embedded.create(events=1, events_rejected=1)
    order = _order(500, kind)
    assert len(orjson.dumps(order)) > 32_768

    async with door(embedded.connection) as client:
        answer = await client.post(f"/v1/{path}", json={"batch": [order]} if path == "batch" else order)
        assert (answer.status, (await answer.json())["success"]) == (200, True)

    (event,) = await events(embedded.connection, 1)
    assert (len(event.lines), event.amount) == (500, 500 * 39_000_000)


async def test_only_the_lines_of_an_order_may_be_large(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    crowded, listed, huge = _order(500, "segment"), _order(500, "segment"), _order(500, "segment")
    crowded["properties"]["note"] = "x" * 33_000
    listed["event"] = "Product List Viewed"
    huge["properties"]["products"][0]["name"] = "x" * 262_144

    async with door(embedded.connection) as client:
        answer = await client.post("/v1/batch", json={"batch": [crowded, listed, huge]})
        results = (await answer.json())["results"]

    assert [(one["code"], one["field"]) for one in results] == [
        ("too_large", "properties"),
        ("too_large", "properties"),
        ("too_large", ""),
    ]


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_a_batch_of_4_mb_is_accepted(embedded: Cluster, encoding: str | None) -> None:
    embedded.create(events=4, events_rejected=4)
    item = {"type": "track", "event": "Saved", "properties": {"note": "x" * 30_000}}
    batch = [{**item, "userId": f"u{i}", "messageId": f"m{i}"} for i in range(138)]
    body = orjson.dumps({"batch": batch})
    assert 4_100_000 < len(body) < 4_194_304

    async with door(embedded.connection, partitions=4) as client:
        sent = io.BytesIO(gzip.compress(body) if encoding else body)
        answer = await client.post("/v1/batch", data=sent, headers={"Content-Encoding": encoding} if encoding else {})
        said = await answer.json()
        assert (answer.status, said["accepted"], said["rejected"]) == (200, 138, 0)

        over = io.BytesIO(orjson.dumps({"batch": batch, "context": "x" * 100_000}))
        refused = await client.post("/v1/batch", data=over)
        assert (refused.status, (await refused.json())["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["batch", "b", "import"])
async def test_an_empty_batch_is_accepted(path: str) -> None:
    async with door(Connection("127.0.0.1:1"), timeout_s=0.2) as client:
        answer = await client.post(f"/v1/{path}", json={"batch": []})

        assert answer.status == 200
        assert await answer.json() == {"success": True, "accepted": 0, "rejected": 0, "results": []}


async def test_every_error_has_a_code_and_a_message_at_the_top(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)

    async with door(embedded.connection, write_keys=["k"], timeout_s=2) as client:
        key = {"writeKey": "k"}
        answers = {
            "bad_write_key": (401, await client.post("/v1/track", json=CLICK)),
            "missing_user": (400, await client.post("/v1/track", json={"event": "x"} | key)),
            "bad_json": (400, await client.post("/v1/batch?writeKey=k", data=b"{")),
            "missing_field": (400, await client.post("/v1/batch", json=key)),
            "too_large": (413, await client.post("/v1/track?writeKey=k", data=b"x" * 300_000)),
            "bad_address": (404, await client.post("/v1/merge", json={})),
            "bad_body": (400, await client.post("/v1/track", data=b"x", headers={"Content-Encoding": "gzip"})),
        }
        for code, (status, answer) in answers.items():
            said = await answer.json()
            assert (answer.status, said["code"], said["success"]) == (status, code, False)
            assert said["message"]
            assert said["error"]["reason"] == code
        wrong_method = await client.delete("/v1/track")
        assert (await wrong_method.json())["code"] == "bad_address"
        mixed = await (await client.post("/v1/batch", json={"batch": [5]} | key)).json()

    assert (wrong_method.status, wrong_method.headers["Allow"]) == (405, "POST")
    assert (mixed["results"][0]["code"], bool(mixed["results"][0]["message"])) == ("not_an_object", True)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for first in range(0, len(body), 10_000):
        yield body[first : first + 10_000]


async def test_a_refusal_without_a_body_to_keep_is_counted(embedded: Cluster) -> None:
    embedded.create(events=1)  # without a topic for dead letters, so that writing a dead letter fails
    over = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await over.wait()

    reasons = ("too_slow", "bad_body", "bad_write_key", "too_large")
    before = [counted("events_rejected", reason=reason) for reason in reasons]
    async with door(
        embedded.connection, write_keys=["key"], timeout_s=1, parts=DoorParts(read_within_s=0.05)
    ) as client:
        slow = await client.post("/v1/track", data=endless())
        over.set()
        damaged = await client.post("/v1/track", data=b"no gzip", headers={"Content-Encoding": "gzip"})
        stranger = await client.post("/v1/track", json=CLICK)
        large = await client.post("/v1/track", data=b"x" * 300_000)

    assert [answer.status for answer in (slow, damaged, stranger, large)] == [408, 400, 401, 413]
    assert [counted("events_rejected", reason=reason) for reason in reasons] == [count + 1 for count in before]


async def test_a_compressed_body_is_read_and_counts_by_its_true_size(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)

    async with door(embedded.connection) as client:
        headers = {"Content-Encoding": "gzip"}
        small = await client.post("/v1/track", data=gzip.compress(orjson.dumps(CLICK)), headers=headers)
        bomb = await client.post("/v1/batch", data=gzip.compress(b" " * 50_000_000), headers=headers)
        damaged = await client.post("/v1/track", data=b"no gzip", headers=headers)

    assert (small.status, bomb.status, damaged.status) == (200, 413, 400)


async def test_the_answer_is_503_and_says_when_to_repeat_the_request_while_the_broker_is_away() -> None:
    async with door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await client.post("/v1/track", json=CLICK)
        said = await answer.text()
        ready = await client.get("/ready")
        health = await client.get("/health")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert "127.0.0.1" not in said, "pages learn the addresses of brokers"
    assert (ready.status, health.status) == (503, 200)


async def test_the_door_is_ready_when_kafka_answers(embedded: Cluster) -> None:
    embedded.create(events=1)

    async with door(embedded.connection) as client:
        assert (await client.get("/ready")).status == 200


@pytest.mark.parametrize("in_body", [True, False])
async def test_a_write_key_is_required_if_keys_are_set(embedded: Cluster, in_body: bool) -> None:
    embedded.create(events=1)

    async def send(client: Client, key: str | None) -> int:
        body = PAGE | {"writeKey": key} if in_body and key else PAGE
        basic = base64.b64encode(f"{key}:".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"} if key and not in_body else {}
        return int((await client.post("/v1/page", json=body, headers=headers)).status)

    async with door(embedded.connection, write_keys=["old", "new"]) as client:
        assert [await send(client, key) for key in ("old", "new", "other", None)] == [200, 200, 401, 401]


async def test_garbage_without_a_key_does_not_become_a_dead_letter(embedded: Cluster) -> None:
    embedded.create(events=1)  # without a topic for dead letters, so that writing a dead letter fails

    async with door(embedded.connection, write_keys=["key"], timeout_s=1) as client:
        assert (await client.post("/v1/track", data=b"{")).status == 401


async def test_a_header_makes_an_event_less_live(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)

    async with door(embedded.connection) as client:
        assert (await client.post("/v1/track", json=CLICK, headers={"X-Perennial-Origin": "test"})).status == 200
        assert (await client.post("/v1/track", json=CLICK, headers={"X-Perennial-Origin": "moon"})).status == 400

    assert (await events(embedded.connection, 1))[0].origin == "test"
    (letter,) = await rejected(embedded.connection, 1)
    assert (letter.reason, letter.field, orjson.loads(letter.value)) == ("bad_origin", "X-Perennial-Origin", CLICK)


async def test_an_unknown_path_does_not_become_a_label() -> None:
    async with door(Connection("127.0.0.1:1")) as client:
        answer = await client.get("/wp-admin/42")
        assert answer.status == 404
        assert (await answer.json())["error"]["found"] == "GET /wp-admin/42"
        assert (await client.get("/v1/track")).status == 405

    assert counted("http_requests", path="other", status="404") >= 1
    assert counted("http_requests", path="/wp-admin/42", status="404") == 0


LENIENT: list[dict[str, Any]] = [
    {"type": "track", "event": "Product Viewed", "userId": 7, "properties": {"product_id": 632910392, "price": "$9"}},
    {"type": "track", "event": "Product Reviewed", "userId": "", "anonymousId": "x", "properties": {"rating": "5"}},
    {"type": "identify", "userId": 7, "context": {"traits": {"email": "ada@fass\u2764.de", "plan": "pro"}}},
    {
        "type": "track",
        "event": "Completed Order",
        "userId": 7,
        "properties": {"orderId": 42, "total": "4.50", "currency": "ZZZ", "products": {"id": 1, "quantity": "2"}},
    },
]


async def test_events_as_libraries_really_send_them_are_accepted_with_warnings(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    before = counted("event_warnings", reason="bad_email")

    async with door(embedded.connection) as client:
        answer = await client.post("/v1/batch", data=b"\xef\xbb\xbf" + orjson.dumps({"batch": LENIENT}))
        said = await answer.json()

    assert (answer.status, said["accepted"], said["rejected"]) == (200, 4, 0)
    left_out = [[one["field"] for one in result.get("warnings", ())] for result in said["results"]]
    assert left_out == [["properties.price"], [], ["context.traits.email"], ["properties.currency"]]
    viewed, reviewed, identified, bought = await events(embedded.connection, 4)
    assert (viewed.user, viewed.item, viewed.properties) == ("7", "632910392", {"price": "$9"})
    assert (reviewed.user, reviewed.rating) == ("anonymous:x", 5.0)
    assert identified.traits == {"plan": "pro"}
    assert (bought.order, bought.amount, bought.currency, bought.order_form) == ("42", 4_500_000, "XXX", "whole")
    assert (bought.lines[0].item, bought.lines[0].quantity) == ("1", 2)
    (letter,) = await rejected(embedded.connection, 1)
    assert (letter.reason, letter.field, letter.accepted) == ("bad_email", "context.traits.email", True)
    assert counted("event_warnings", reason="bad_email") - before == 1
