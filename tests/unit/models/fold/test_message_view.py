"""All decisions about messages to a user are described once, from the topic and from the profile."""

from __future__ import annotations

import itertools
from typing import Any

from models.batch import Restored
from models.engage.decisions import Decision, decode_decision
from models.events import Event
from models.fold.memo import read_memo
from models.fold.message_view import describe_messages
from models.fold.moments import moment
from models.log import opening
from models.profile.codec import unpack
from models.units import DAY, HOUR
from tests.support.event_logs import START, fold_log, written
from tests.unit.models.fold.test_partition_journeys import TRIAL, configuration, consent, custom, known, tick

ONE = {**TRIAL, "steps": [{"id": "first", "send": "hello"}]}
NIGHT = {"from": "20:00", "to": "08:00"}


def folded(*contents: Any, size: int = 1_000) -> tuple[Restored, list[Decision]]:
    state, given = fold_log(written([opening("feeder"), *contents]), itertools.repeat(size))
    records = [record for outputs in given for record in outputs.commit.records]
    return state, [decode_decision(one.value) for one in records if one.topic == "decisions" and one.value]


def story() -> tuple[Restored, list[Decision]]:
    """Return a user who gets a message after quiet hours, and none after a withdrawal; another one waits."""
    start = custom("u1", 21 * HOUR, "Trial Started", workspace="w1", plan="pro")
    second = custom("u1", 5 * DAY, "Trial Started", workspace="w2", plan="pro")
    third = custom("u1", 5 * DAY + 21 * HOUR, "Trial Started", workspace="w3", plan="pro")
    return folded(
        *(configuration(1, ONE, quiet_hours=NIGHT), tick(0), known("u1"), consent("u1"), tick(21 * HOUR), start),
        *(tick(34 * HOUR), delivered("u1", 35 * HOUR), tick(4 * DAY), consent("u1", 4 * DAY, granted=False)),
        *(tick(5 * DAY), second, tick(5 * DAY + HOUR), consent("u1", 5 * DAY + HOUR), tick(5 * DAY + 21 * HOUR), third),
    )


def delivered(user: str, at: int) -> Event:
    """Return the report of a provider about the first message of a user."""
    (message, *_) = unpack(folded(*OPENED)[0].records[user.encode()]).ledger.sent
    return Event(
        id=f"d-{user}", user=user, type="message_delivered", at=START + at, origin="simulate", message=message.id
    )


OPENED = (
    *(configuration(1, ONE, quiet_hours=NIGHT), tick(0), known("u1"), consent("u1"), tick(21 * HOUR)),
    *(custom("u1", 21 * HOUR, "Trial Started", workspace="w1", plan="pro"), tick(34 * HOUR)),
)


def described(state: Restored, decisions: list[Decision], since: int = 0) -> dict[str, Any]:
    return describe_messages("u1", unpack(state.records[b"u1"]), read_memo(state).now, decisions, since)


def test_each_decision_of_the_topic_is_there_once_with_what_delivery_has_reported() -> None:
    state, decisions = story()

    answer = described(state, decisions, START)

    rows = answer["messages"]
    assert [(one["outcome"], one["reason"], one["kept_in"]) for one in rows] == [
        (one.outcome, one.reason or None, "decisions") for one in decisions
    ]
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    (sent,) = [row for row in rows if row["outcome"] == "sent"]
    assert sent["delivery"] == {"outcome": "delivered", "because": None, "detail": None}
    assert (sent["subject"], sent["why"]) == ("hello pro", decisions[1].why)
    assert {row["reason"] for row in rows if row["outcome"] == "dropped"} == {"no_consent"}
    assert answer["decisions_since"] == moment(START)


def test_only_the_newest_deferral_of_a_message_that_still_waits_says_so() -> None:
    state, decisions = story()

    deferred = [row for row in described(state, decisions)["messages"] if row["outcome"] == "deferred"]

    assert [row["waits"] for row in deferred] == [False, True]
    assert deferred[1]["until"] == moment(START + 6 * DAY + 10 * HOUR)  # the zone is a guess: two hours longer


def test_without_the_topic_the_profile_tells_what_it_keeps() -> None:
    state, _ = story()

    answer = described(state, [])

    assert answer["decisions_since"] is None
    assert {row["kept_in"] for row in answer["messages"]} == {"profile"}
    assert [(row["outcome"], row["reason"], row["waits"]) for row in answer["messages"]] == [
        *(("sent", None, False), ("dropped", "no_consent", False), ("deferred", "quiet_hours", True)),
    ]


def test_what_the_topic_has_forgotten_is_taken_from_the_profile() -> None:
    state, decisions = story()

    rows = described(state, decisions[-1:])["messages"]

    assert [(row["outcome"], row["kept_in"]) for row in rows] == [
        *(("sent", "profile"), ("dropped", "profile"), ("deferred", "decisions"))
    ]
    assert rows[0]["id"] == decisions[1].id
    assert rows[-1]["waits"]


def test_the_names_of_a_row_do_not_depend_on_where_it_is_kept() -> None:
    state, decisions = story()

    names = {tuple(row) for told in ([], decisions) for row in described(state, told)["messages"]}

    assert len(names) == 1
