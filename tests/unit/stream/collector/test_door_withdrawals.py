"""A withdrawal counts even if the door refuses its request, for any reason except a missing or unknown write key."""

from __future__ import annotations

from typing import Any

import pytest

from stream.collector.intake import MAX_BATCH_EVENTS
from tests.support.brokers import Cluster
from tests.support.doors import PAGE, counted, door, events, rejected

NO = {"type": "track", "userId": "u1", "event": "Unsubscribed", "messageId": "w1"}
DEEP = b"[" * 1_000 + b"]" * 1_000


def deep(no: bytes) -> bytes:
    return b'{"type":"track","userId":"u1","event":"Unsubscribed","messageId":"w1","context":%s}' % no


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("track", NO | {"properties": {"note": "x" * 40_000}}, {}, 413),
        ("batch", {"batch": [NO | {"properties": {"note": "x" * 40_000}}]}, {}, 200),
        ("batch", {"batch": [PAGE] * MAX_BATCH_EVENTS + [NO]}, {}, 400),
        ("batch", {"batch": [PAGE, NO]}, {"X-Perennial-Origin": "moon"}, 400),
        ("track", NO, {"X-Perennial-Origin": "moon"}, 400),
        ("track", {k: v for k, v in NO.items() if k != "type"}, {"X-Perennial-Origin": "moon"}, 400),
        ("page", NO, {}, 400),
        ("track", deep(DEEP), {}, 400),
        ("batch", b'{"batch":[%s]}' % deep(DEEP), {}, 200),
    ],
)
async def test_a_withdrawal_in_a_refused_request_counts(
    embedded: Cluster, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    embedded.create(events=1, events_rejected=1)

    async with door(embedded.connection) as client:
        sent = {"data": body} if isinstance(body, bytes) else {"json": body}
        answer = await client.post(f"/v1/{path}", headers=headers, **sent)
        said = await answer.json()

    assert answer.status == status
    (event,) = await events(embedded.connection, 1)
    assert (event.user, event.type, event.granted) == ("u1", "consent", False)
    refused = said["results"][-1] if "results" in said else said["error"]
    assert refused["withdrawal"] == "applied"
    assert (await rejected(embedded.connection, 1))[0].withdrawal


async def test_every_withdrawal_of_a_refused_batch_counts(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    batch = [NO | {"userId": f"u{i}", "messageId": f"w{i}"} for i in range(3)]
    before = counted("withdrawals_salvaged", reason="bad_origin")

    async with door(embedded.connection) as client:
        answer = await client.post("/v1/batch", json={"batch": [*batch, PAGE]}, headers={"X-Perennial-Origin": "moon"})

    assert answer.status == 400
    assert [event.user for event in await events(embedded.connection, 3)] == ["u0", "u1", "u2"]
    assert counted("withdrawals_salvaged", reason="bad_origin") == before + 3


async def test_a_withdrawal_without_a_known_key_does_not_count(embedded: Cluster) -> None:
    embedded.create(events=1)  # without a topic for dead letters, so that writing a dead letter fails

    async with door(embedded.connection, write_keys=["k"], timeout_s=1) as client:
        assert (await client.post("/v1/page", json=NO)).status == 401


async def test_the_origin_and_trust_of_a_refused_event_are_kept(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    bad = {"type": "track", "userId": "u1"}

    async with door(embedded.connection, write_keys=["s"], browser_keys=["web"]) as client:
        await client.post("/v1/track", json=bad | {"writeKey": "web"})
        await client.post("/v1/track", json=bad | {"writeKey": "s"}, headers={"X-Perennial-Origin": "test"})
        await client.post("/v1/batch", json={"batch": [bad | {"writeKey": "web"}], "writeKey": "s"})

    found = [(letter.origin, letter.trust) for letter in await rejected(embedded.connection, 3)]
    assert found == [("live", "public"), ("test", "server"), ("live", "public")]
