"""Each kind of clause names the event that decided it, or says why there is none."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from models.batch import Restored
from models.conditions.entries import mark_of
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event
from models.fold.deciding_events import WITHOUT_EVENT, DecidingEvents
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.fold.moments import moment
from models.log import Control, Use, opening
from models.profile.codec import unpack
from models.units import DAY, HOUR
from tests.support.configured_versions import churn_version, population_version, segments_version
from tests.support.event_logs import START, PartitionRecord, fold_log, written
from tests.support.lifecycles import purchase
from tests.support.persons import Persons
from tests.support.segment_logs import VIEWERS, identified, segments_in_use, tick, viewed

TEMPLATES = {"hello": Template(subject="Hello", text="Hello. {{ unsubscribe_url }}", fallback="Subject: H\n\nT.")}
TRIAL: dict[str, Any] = {
    "name": "trial",
    "enter": {"on": {"event": "Trial"}, "again": "always"},
    "exit": [{"after": "30d", "as": "out"}],
    "steps": [{"set": {"level": 1}}, {"id": "pause", "wait": "1h"}, {"set": {"late": True}}],
}


def custom(number: int, at: int, name: str, **properties: Any) -> Event:
    return Event(
        id=f"c{number}", user="u", type="custom", at=START + at, origin="simulate", name=name, properties=properties
    )


def asks(when: dict[str, Any]) -> Use:
    """Return a configuration with one segment, a journey, and the default lifecycle."""
    segments = [{"name": "asked", "when": when}, VIEWERS]
    content = encode(parse({"segments": segments, "journeys": [TRIAL], "lifecycle": {}}, TEMPLATES))
    return Use(name="configuration", version=1, content=msgspec.Raw(content))


def answered(
    records: list[PartitionRecord], *, segment: str = "asked", begin: int = 0, state: Restored | None = None
) -> dict[str, Any]:
    """Return the answer with the deciding events, from the records that the log still has."""
    if state is None:
        state, _ = fold_log(records, itertools.repeat(7))
    memo = read_memo(state)
    answer = why("u", unpack(state.records[b"u"]), memo.now, versions_in_use(state, memo), segment)
    search = DecidingEvents(answer, 0, begin)
    for place in range(begin, len(records), 5):
        search.take(records[place : place + 5])
    return search.finish()


def history(when: dict[str, Any]) -> list[PartitionRecord]:
    """Return a log in which every kind of clause has an event that decided it, among events that did not."""
    days: list[tuple[Event | Control, ...]] = [
        (identified("u", 0, plan="free", ends="2026-02-01T00:00Z"), viewed("other", 0)),
        (viewed("u", DAY), custom(1, DAY, "Trial")),
        (purchase(1, START + 2 * DAY),),
        (identified("u", 3 * DAY, plan="pro", address={"city": "Oslo"}), identified("other", 3 * DAY, plan="free")),
        (
            Event(
                id="yes", user="u", type="consent", at=START + 4 * DAY, origin="simulate", granted=True, channel="email"
            ),
        ),
        (custom(2, 5 * DAY, "Read", topic="a"), custom(3, 5 * DAY, "Read", topic="b")),
        (identified("u", 6 * DAY, plan="pro"), custom(4, 6 * DAY, "Read", topic="b")),
        (viewed("u", 7 * DAY),),
        (custom(5, 8 * DAY, "Done"), viewed("u", 8 * DAY)),
    ]
    contents: list[Event | Control] = [opening("feeder"), asks(when), population_version(7), churn_version(1)]
    for number, day in enumerate(days):
        contents += [tick(number * DAY), *day]
    return written([*contents, segments_version(1), tick(9 * DAY), viewed("u", 9 * DAY), tick(9 * DAY + HOUR)])


@pytest.mark.parametrize(
    ("when", "event"),
    [
        # values of the user
        ({"trait": "plan", "is": "pro"}, f"u-{3 * DAY}-i"),
        ({"trait": "plan", "is": "free"}, f"u-{3 * DAY}-i"),
        ({"trait": "address.city", "is": "Oslo"}, f"u-{3 * DAY}-i"),
        ({"trait": "ends", "passed_since": "1d"}, "u-0-i"),
        ({"consent": {"purpose": "marketing", "channel": "email"}, "is": "granted"}, "yes"),
        ({"mark": "level", "is": 1}, "c1"),
        ({"feature": "orders", "at_least": 0.5}, "m1"),
        ({"feature": "spend_30d", "at_least": 5}, "m1"),
        ({"feature": "purchases_30d", "at_least": 1, "until_below": 0.5}, "m1"),
        ({"feature": "days_since_last", "at_least": 5}, f"u-{9 * DAY}"),
        ({"score": "recency", "at_least": 4}, "m1"),
        ({"score": "frequency", "at_least": 4}, "m1"),
        ({"score": "monetary", "at_least": 4}, "m1"),
        # events
        ({"event": "Read", "times": {"at_least": 2}, "within": "7d"}, "c3"),
        ({"event": "purchase", "sum": "amount", "currency": "EUR", "at_least": 10, "within": "20d"}, "m1"),
        ({"event": "purchase", "largest": "amount", "currency": "EUR", "at_least": 10, "within": "20d"}, "m1"),
        ({"event": "Read", "distinct": "topic", "at_least": 2, "within": "20d"}, "c4"),
        ({"event": "Read", "last": {"at_most": "20d"}}, "c4"),
        ({"event": "Read", "first": {"at_most": "20d"}}, "c2"),
        ({"sequence": [{"event": "Read"}, {"event": "Done"}], "within": "9d"}, "c5"),
        ({"absent": "purchase", "for": "5d"}, "m1"),
        ({"absent": "refund", "for": "5d"}, "u-0-i"),
    ],
)
def test_a_clause_names_its_event(when: dict[str, Any], event: str) -> None:
    clause = answered(history(when))["tree"]

    assert (clause["event"] and clause["event"]["id"], clause["no_event"]) == (event, None)
    assert clause["decided_at"] is not None
    if clause["decided_by"] is not None:
        assert clause["decided_by"] == f"{mark_of(event):08x}"


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ({"bucket": "a", "below": "50%"}, "fixed"),
        ({"trait": "colour", "set": True}, "none"),
        ({"mark": "colour", "set": True}, "none"),
        ({"mark": "late", "is": True}, "time"),
        ({"consent": {"purpose": "marketing", "channel": "sms"}, "is": "granted"}, "none"),
        ({"event": "Read", "times": {"at_least": 2}, "within": "1d"}, "none"),
        ({"event": "Sold", "sum": "n", "at_least": 1, "within": "1d"}, "none"),
        ({"sequence": [{"event": "Sold"}, {"event": "Done"}], "within": "9d"}, "none"),
        ({"segment": "viewers"}, "none"),
    ],
)
def test_a_clause_without_an_event_says_why(when: dict[str, Any], reason: str) -> None:
    clause = answered(history(when))["tree"]

    assert (clause["event"], clause["no_event"]) == (None, reason)
    assert reason in WITHOUT_EVENT


def test_what_is_known_of_an_event_is_its_id_its_type_its_name_and_its_time() -> None:
    clause = answered(history({"event": "Read", "last": {"at_most": "20d"}}))["tree"]

    assert clause["event"] == {"id": "c4", "type": "custom", "name": "Read", "at": moment(START + 6 * DAY)}


def test_membership_names_the_event_that_entered_or_the_time_that_left() -> None:
    nested = {"name": "nested", "when": {"segment": "viewers"}}
    contents: list[Event | Control] = [opening("feeder"), segments_in_use(1, VIEWERS, nested), tick(0), viewed("u", 0)]
    contents += [tick(1), viewed("u", 1)]

    entered = answered(written([*contents, tick(HOUR)]), segment="nested")["tree"]
    left = answered(written([*contents, tick(DAY)]), segment="nested")["tree"]

    assert (entered["truth"], entered["event"]["id"], entered["decided_at"]) == (True, "u-1", moment(START + 1))
    assert (left["truth"], left["event"], left["no_event"]) == (False, None, "time")
    assert left["decided_at"] == moment(START + 3 * HOUR)


def test_a_stage_names_the_purchase_that_moved_the_user_or_says_that_time_did() -> None:
    bought: list[Event | Control] = [
        opening("feeder"),
        asks({"lifecycle": "at_risk"}),
        tick(0),
        purchase(1, START),
        tick(DAY),
    ]
    bought += [purchase(2, START + DAY), tick(2 * DAY)]
    later = [*bought, tick(100 * DAY), viewed("other", 100 * DAY)]

    moved, clause = (answered(written(contents))["tree"] for contents in (bought, later))

    assert (moved["value"], moved["event"]["id"], moved["decided_at"]) == ("engaged", "m2", moment(START + DAY))
    assert (clause["truth"], clause["event"], clause["no_event"]) == (True, None, "time")
    assert clause["decided_at"] == moment(START + 91 * DAY)


def test_a_silent_member_came_with_the_configuration() -> None:
    nested = {"name": "nested", "when": {"segment": "old"}}
    old = {"name": "old", "when": {"trait": "plan", "is": "pro"}}
    contents: list[Event | Control] = [
        opening("feeder"),
        tick(0),
        identified("u", 0, plan="pro"),
        tick(HOUR),
        segments_in_use(1, old, nested),
    ]

    clause = answered(written([*contents, tick(2 * DAY)]), segment="nested")["tree"]

    assert (clause["truth"], clause["event"]) == (True, None)
    assert clause["no_event"] in ("time", "configuration")


def test_an_event_of_the_other_id_of_a_person_is_not_in_this_part_of_the_log() -> None:
    persons = Persons(1)
    persons.control(segments_in_use(1, VIEWERS, {"name": "asked", "when": {"trait": "plan", "is": "pro"}}))
    persons.tell(
        msgspec.structs.replace(identified("anonymous:a1", 0, plan="pro"), origin="live"),
        viewed("anonymous:a1", 1),
        viewed("u", 2),
    )
    login = msgspec.structs.replace(identified("u", 3, email="ada@example.org"), anonymous="anonymous:a1")
    persons.tell(login)
    persons.settle()

    state, log = persons.states[0], persons.logs[0]
    viewers = answered(log, segment="viewers", state=state)["tree"]

    assert (viewers["decided_by"], viewers["no_event"]) == (f"{mark_of('anonymous:a1-1'):08x}", "other_id")


def test_what_the_retained_log_has_no_longer_is_said() -> None:
    trait, times = {"trait": "plan", "is": "pro"}, {"event": "Read", "last": {"at_most": "20d"}}
    records = history({"all": [trait, times, {"absent": "purchase", "for": "5d"}, {"bucket": "a", "below": "50%"}]})
    state, _ = fold_log(records, itertools.repeat(7))
    begin = next(record.offset for record in records if b'"c2"' in (record.value or b""))

    found = answered(records, begin=begin, state=state)["tree"]["of"]

    assert [one["no_event"] for one in found] == ["not_in_log", None, "not_in_log", "fixed"]
    assert found[1]["event"]["id"] == "c4"


def test_a_value_that_the_log_does_not_give_has_no_event() -> None:
    records = history({"trait": "plan", "is": "pro"})
    state, _ = fold_log(records, itertools.repeat(7))
    memo = read_memo(state)
    customer = unpack(state.records[b"u"])
    customer.facts.traits = {"plan": "corrected"}
    answer = why("u", customer, memo.now, versions_in_use(state, memo), "asked")
    search = DecidingEvents(answer, 0)
    search.take(records)

    assert search.finish()["tree"]["no_event"] == "other_value"


def test_the_answer_that_was_given_stays_as_it_was() -> None:
    records = history({"trait": "plan", "is": "pro"})
    state, _ = fold_log(records, itertools.repeat(7))
    memo = read_memo(state)
    answer = why("u", unpack(state.records[b"u"]), memo.now, versions_in_use(state, memo), "asked")
    search = DecidingEvents(answer, 0)
    search.take(records)
    found = search.finish()

    assert (answer["tree"]["event"], answer["tree"]["no_event"]) == (None, "not_read")
    assert {name: value for name, value in found.items() if name != "tree"} == {
        name: value for name, value in answer.items() if name != "tree"
    }
