"""The figures of logins are counted from the records of the topics, in any order."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from models.engage.decisions import Decision, encode_decision
from models.events import Event, Forwarding, LoginNotice, MergeRecord, encode_event
from models.identity.payload import pack_payload
from models.profile.codec import SCHEMA
from models.profile.ledger import Ledger
from models.profile.state import CartLine, Facts
from models.units import HOUR, MINUTE
from stream.demo.logins import LoginExample
from stream.demo.tally import Tally

START = 1_767_571_200_000
VISITOR, USER = "anonymous:visitor-0017", "shopper-0017"


class TopicRecord(NamedTuple):
    key: bytes | None
    value: bytes | None
    offset: int = 0
    timestamp: int = START


def happens(user: str, type_: Any, at: int, **more: Any) -> TopicRecord:
    event = Event(id=f"{user}-{type_}-{at}", user=user, type=type_, at=START + at, origin="simulate", **more)
    return TopicRecord(user.encode(), encode_event(event))


def login(at: int) -> TopicRecord:
    return happens(USER, "identify", at, anonymous=VISITOR)


def merge(outcome: Any, *items: str, at: int = 10 * MINUTE, filled_at: int = MINUTE) -> TopicRecord:
    facts = Facts(events={"cart_add": 2}, cart={item: CartLine(1, 5) for item in items}, cart_at=START + filled_at)
    payload = pack_payload(facts, Ledger(), SCHEMA) if outcome == "merged" else b""
    record = MergeRecord(outcome, "m1", START + at, 0, payload)
    return happens(USER, "identity_merge", at, anonymous=VISITOR, identity=record)


def reminder(at: int, *items: str, outcome: str = "sent", kind: str = "cart_left") -> TopicRecord:
    made = msgspec.convert(
        {
            "id": "0" * 32, "user": USER, "rule": "cart_reminder", "category": "marketing", "outcome": outcome,
            "channel": "email", "why": "because", "configuration": 1, "at": START + at,
            "signal": {"kind": kind, "user": USER, "at": START + at, "cause": "m1", "items": items},
        },
        Decision,
    )  # fmt: skip
    return TopicRecord(USER.encode(), encode_decision(made))


def tallied(*events: TopicRecord, decisions: tuple[TopicRecord, ...] = ()) -> Tally:
    tally = Tally()
    for one in decisions:
        tally.add("decisions", one)
    for one in events:
        tally.add("events", one)
    return tally


def test_a_shopper_who_logged_in_counts_once_and_records_between_profiles_are_no_events() -> None:
    notice = LoginNotice(USER, "m1", START, "simulate", awaits=True)
    tally = tallied(
        happens(VISITOR, "cart_add", 0, item="tea-003"),
        login(10 * MINUTE),
        happens(VISITOR, "identity_notice", 10 * MINUTE, anonymous=VISITOR, identity=notice),
        merge("merged", "tea-003"),
        happens(VISITOR, "click", 11 * MINUTE, item="tea-003"),
        happens(USER, "click", 11 * MINUTE, item="tea-003", anonymous=VISITOR, identity=Forwarding(1)),
    )

    assert (tally.events, tally.shoppers) == (3, 1)
    figures = tally.logins.figures()
    assert (figures.known, figures.merged, figures.merged_events, figures.forwarded) == (1, 1, 2, 1)
    assert figures.example is None


def test_a_visitor_without_a_profile_becomes_known_but_is_not_merged() -> None:
    figures = tallied(login(0), merge("empty")).logins.figures()

    assert (figures.known, figures.merged) == (1, 0)


def test_a_visitor_of_another_user_does_not_count() -> None:
    assert tallied(login(0), merge("newer_login")).logins.figures().known == 0


def test_the_example_is_a_reminder_of_a_cart_that_was_filled_before_the_login() -> None:
    events = (login(10 * MINUTE), merge("merged", "tea-003", "rugs-001"))
    found = tallied(*events, decisions=(reminder(HOUR, "tea-003"),)).logins.figures().example

    assert found == LoginExample(
        visitor=VISITOR, user=USER, items=("tea-003",), filled_at=START + MINUTE, login_at=START + 10 * MINUTE,
        reminded_at=START + HOUR, rule="cart_reminder", channel="email",
    )  # fmt: skip


def test_no_other_reminder_is_an_example() -> None:
    events = (login(10 * MINUTE), merge("merged", "tea-003"))
    for wrong in (
        reminder(HOUR, "tea-003", outcome="dropped"),
        reminder(HOUR, "tea-003", kind="event"),
        reminder(HOUR, "tea-003", "toys-001"),
        reminder(5 * MINUTE, "tea-003"),
    ):
        assert tallied(*events, decisions=(wrong,)).logins.figures().example is None
    changed = happens(USER, "cart_add", 20 * MINUTE, item="tea-003")
    forwarded = happens(USER, "cart_add", 20 * MINUTE, item="tea-003", anonymous=VISITOR, identity=Forwarding(1))
    for later in (changed, forwarded):
        tally = tallied(*events, later, decisions=(reminder(HOUR, "tea-003"),))
        assert tally.logins.figures().example is None
