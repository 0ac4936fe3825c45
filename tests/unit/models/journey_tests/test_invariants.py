"""Each invariant fails for what it forbids, and holds otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.compiled import Configuration
from models.configuration.parsing import parse
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.engage.decisions import Decision
from models.events import Event
from models.journey_tests.invariants import Invariants
from models.journey_tests.memory import MemoryInstallation
from models.journey_tests.timeline import TimelineEntry
from models.journey_tests.written import INVARIANTS, Invariant
from models.profile.signals import Signal
from models.units import DAY, HOUR
from tests.support.event_logs import START

SETTINGS = {
    "caps": [{"messages": 2, "within": "1d"}, {"messages": 1, "within": "1d", "channel": "sms"}],
    "quiet_hours": {"from": "21:00", "to": "08:00"},
}
NOON = START + 12 * HOUR


def invariants(*wanted: Invariant, consent: bool = True) -> Invariants:
    configuration: Configuration = parse(SETTINGS, {})
    installation = MemoryInstallation(configuration, START, lambda _: Result("delivered"), lambda _: None)
    traits = {"email": "ada@example.org", "timezone": "UTC"}
    installation.fold(Event(id="i", user="ada", type="identify", at=START, traits=traits))
    installation.fold(Event(id="c", user="ada", type="consent", at=START, channel="email", granted=consent))
    return Invariants(configuration, installation, wanted or INVARIANTS)


def decided(at: int, channel: Any = "email", category: Any = "marketing") -> TimelineEntry:
    decision = Decision(
        id="0" * 32,
        user="ada",
        rule="r",
        category=category,
        outcome="sent",
        channel=channel,
        why="",
        signal=Signal(kind="event", user="ada", at=at, cause="m"),
        configuration=1,
        at=at,
    )
    return TimelineEntry(at, "ada", "sent", "r", decision=decision)


def accepted(at: int, number: int = 1, channel: Any = "email", category: Any = "marketing") -> TimelineEntry:
    message = Message(
        id=f"{number:032x}",
        user="ada",
        rule="r",
        category=category,
        channel=channel,
        to="ada@example.org",
        text="t",
        why="",
        at=at,
        expires=at + DAY,
        origin="live",
    )
    return TimelineEntry(at, "ada", "message", "r", message=message)


def broken(found: Invariants, *entries: TimelineEntry) -> list[str]:
    for entry in entries:
        found.look_at(entry)
    return [one.invariant for one in found.violations]


def test_marketing_needs_consent_and_other_messages_do_not() -> None:
    assert broken(invariants(), accepted(NOON)) == []
    assert broken(invariants(consent=False), accepted(NOON)) == ["never_without_consent"]
    assert broken(invariants(), accepted(NOON, channel="sms")) == ["never_without_consent"]
    assert broken(invariants(consent=False), accepted(NOON, category="transactional")) == []


def test_caps_count_the_decisions_within_their_window() -> None:
    assert broken(invariants(), decided(NOON), decided(NOON + 1), decided(NOON + DAY)) == []
    assert broken(invariants(), decided(NOON), decided(NOON + 1), decided(NOON + DAY - 1)) == ["never_above_caps"]
    assert broken(invariants(), decided(NOON, "sms"), decided(NOON + 1, "sms")) == ["never_above_caps"]
    transactional = [decided(NOON + i, category="transactional") for i in range(3)]
    assert broken(invariants(), *transactional) == []
    given_up = TimelineEntry(NOON, "ada", "dropped", "r", reason="rejected", given_up="0" * 32)
    assert broken(invariants(), decided(NOON, "sms"), given_up, decided(NOON + 1, "sms")) == []


def test_quiet_hours_are_those_of_the_zone_of_the_user() -> None:
    assert broken(invariants(), accepted(START + 21 * HOUR - 1), accepted(START + 32 * HOUR, 2)) == []
    assert broken(invariants(), accepted(START + 21 * HOUR)) == ["never_in_quiet_hours"]
    assert broken(invariants(), accepted(START + 22 * HOUR, category="transactional")) == []


def test_a_message_is_handed_over_once() -> None:
    assert broken(invariants(), accepted(NOON, 1), accepted(NOON, 2)) == []
    assert broken(invariants(), accepted(NOON, 1), accepted(NOON + 1, 1)) == ["never_twice"]


@pytest.mark.parametrize("kind", ["dropped", "deferred"])
def test_a_message_that_is_not_sent_has_a_reason(kind: Any) -> None:
    entry = TimelineEntry(NOON, "ada", kind, "r")

    assert broken(invariants(), entry._replace(reason="capped")) == []
    assert broken(invariants(), entry) == ["every_drop_has_a_reason"]


def test_only_the_wanted_invariants_are_looked_at() -> None:
    assert broken(invariants("never_twice"), TimelineEntry(NOON, "ada", "dropped", "r")) == []
