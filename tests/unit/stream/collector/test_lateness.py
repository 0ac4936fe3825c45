from __future__ import annotations

from typing import Any

import orjson
import pytest

from models.batch import Batch, Restored
from models.configuration.compiled import Configuration, EventSettings
from models.errors import InvalidEvent
from models.events import Event
from models.fold.partition import PartitionFold
from models.units import DAY, HOUR, MINUTE
from stream.collector import lateness
from stream.collector.intake import Acceptance, Arrival, Intake, Refusal
from tests.support.brokers import Cluster
from tests.support.doors import NOW, DoorParts, door, events, rejected
from tests.support.event_logs import written

DEFAULT = Configuration()


def days(horizon: int) -> Configuration:
    return Configuration(events=EventSettings(horizon=horizon * DAY))


def judged(event: Event, configuration: Configuration | None = DEFAULT) -> str:
    try:
        lateness.check(event, NOW, lambda: configuration)
    except InvalidEvent as error:
        return error.reason
    return ""


def click(age: int, **more: Any) -> Event:
    return Event(id="m1", user="u1", at=NOW - age, **({"type": "click", "item": "a"} | more))


@pytest.mark.parametrize(
    ("age", "configuration", "reason"),
    [
        (9 * DAY, DEFAULT, "too_late"),
        (2 * DAY + 16 * MINUTE, DEFAULT, "too_late"),
        (2 * DAY + 14 * MINUTE, DEFAULT, ""),
        (HOUR, DEFAULT, ""),
        (-HOUR, DEFAULT, ""),
        (9 * DAY, days(10), ""),
        (11 * DAY, days(10), "too_late"),
        (300 * DAY, None, ""),
    ],
)
def test_an_event_is_too_late_beyond_the_horizon_of_the_log_and_a_margin(
    age: int, configuration: Configuration | None, reason: str
) -> None:
    assert judged(click(age), configuration) == reason


@pytest.mark.parametrize(
    "said",
    [
        {"type": "consent", "granted": False},
        {"type": "consent", "granted": False, "channel": "sms", "complaint": True},
        {"type": "identify", "traits": {"unsubscribed": True}},
        {"type": "identify", "traits": {"plan": "pro", "email_opt_out": True}},
        {"type": "custom", "name": "Email Bounced", "properties": {"type": "hard", "email": "a@b.example"}},
    ],
)
def test_an_event_that_states_a_withdrawal_is_never_too_late(said: dict[str, Any]) -> None:
    assert judged(click(300 * DAY, item=None, **said)) == ""


@pytest.mark.parametrize(
    "said",
    [{"type": "consent", "granted": True, "channel": "email"}, {"type": "identify", "traits": {"plan": "pro"}}],
)
def test_a_grant_and_other_traits_can_be_too_late(said: dict[str, Any]) -> None:
    assert judged(click(300 * DAY, item=None, **said)) == "too_late"


def test_the_fold_also_refuses_an_event_that_the_door_refuses() -> None:
    fold = PartitionFold(Restored(partition=0))
    old = click(2 * DAY + 16 * MINUTE)

    outputs = fold.fold(Batch("events", 0, written([old], stamp=NOW)))

    assert judged(old) == "too_late"
    assert [
        orjson.loads(one.value or b"")["reason"] for one in outputs.commit.records if one.topic == "events.rejected"
    ] == ["too_late"]


def test_only_the_late_event_of_a_batch_is_refused() -> None:
    intake = Intake("d1", in_use=lambda: DEFAULT)
    page = {"type": "page", "userId": "u1"}
    old = page | {"timestamp": NOW - 9 * DAY}

    late, fresh, withdrawn = intake.batch(
        {"batch": [old, page, old | {"type": "track", "event": "Unsubscribed"}]}, Arrival(b"", NOW)
    )

    assert isinstance(late, Refusal)
    assert (late.error.reason, late.error.field) == ("too_late", "at")
    assert "48 h" in late.error.allowed
    assert late.error.found == "2026-04-22T12:00:00.250Z"
    assert isinstance(fresh, Acceptance)
    assert isinstance(withdrawn, Acceptance)


async def test_the_sender_of_a_late_event_gets_the_reason(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    intake = Intake("d1", in_use=lambda: DEFAULT)

    async with door(embedded.connection, parts=DoorParts(intake)) as client:
        old = {"userId": "u1", "event": "Saved", "timestamp": NOW - 9 * DAY}
        answer = await client.post("/v1/track", json=old)
        said = await answer.json()
        no = await client.post("/v1/track", json=old | {"event": "Unsubscribed"})

    assert (answer.status, said["code"], no.status) == (400, "too_late", 200)
    assert [letter.reason for letter in await rejected(embedded.connection, 1)] == ["too_late"]
    assert [event.granted for event in await events(embedded.connection, 1)] == [False]
