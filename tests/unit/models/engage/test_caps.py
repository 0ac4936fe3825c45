"""Caps: over all messages, by channel, by category and by journey; a message that was given up makes room."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.configuration.compiled import Cap, Rule
from models.configuration.parsing import parse
from models.engage.caps import MIN_KEPT, in_words, trimmed
from models.engage.decisions import Decision
from models.engage.outcomes import record_outcome
from models.engage.planner import Planner
from models.engage.recipient import Recipient
from models.errors import InvalidConfiguration
from models.events import Event
from models.profile.ledger import SentMessage
from models.units import DAY, HOUR, MINUTE
from tests.support.people import NOW, configuration, customer, rule, signal

RULES = (
    rule("tips"),
    rule("trial/hello"),
    rule("trial/tips", channels=("sms", "email")),
    rule("trials/hello"),
    rule("return/parcel", category="transactional"),
    rule("receipt", category="transactional", channels=("sms",)),
)
JOURNEY = {
    "name": "trial",
    "enter": {"on": {"event": "Trial Started"}},
    "exit": [{"after": "30d", "as": "timed_out"}],
    "steps": [{"id": "rest", "wait": "1d"}],
}
some_caps = st.lists(
    st.builds(
        Cap,
        messages=st.integers(0, 4),
        within=st.integers(1, 40).map(lambda hours: hours * HOUR),
        channel=st.sampled_from([None, None, "email", "sms"]),
        category=st.sampled_from(["marketing", "transactional"]),
        journey=st.sampled_from(["", "trial", "return"]),
    ),
    max_size=4,
).map(tuple)
steps = st.lists(
    st.tuples(
        st.integers(0, 12 * 60).map(lambda minutes: minutes * MINUTE),
        st.sampled_from(["", "", "message_sent", "message_unknown", "message_failed", "message_suppressed"]),
    ),
    min_size=1,
    max_size=60,
)


@given(steps=steps, caps=some_caps, order=st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_no_window_has_more_than_its_cap_and_a_message_that_was_given_up_makes_room(
    steps: list[tuple[int, str]], caps: tuple[Cap, ...], order: Random
) -> None:
    using, who, now = configuration(*RULES, caps=caps), customer(), NOW
    standing = list[Decision]()
    for i, (gap, end) in enumerate(steps):
        now += gap
        if end and standing:
            ended = order.choice(standing)
            record_outcome(who.ledger, Event(id=f"e{i}", user="u1", type=end, at=now, message=ended.id))  # type: ignore[arg-type]
            if end in ("message_failed", "message_suppressed"):
                standing.remove(ended)
        one = order.choice(RULES)
        triggered = msgspec.structs.replace(signal(now, f"m{i}"), kind="event")
        decision = Planner(using, 1).plan(one, triggered, Recipient("u1", who, now))
        open_channels = [channel for channel in one.channels if not _is_full(caps, standing, one, channel, now)]
        assert (decision.outcome, decision.reason) == (("sent", "") if open_channels else ("dropped", "capped"))
        if open_channels:
            assert decision.channel == open_channels[0]
            standing.append(decision)


def _is_full(caps: Sequence[Cap], standing: Sequence[Decision], one: Rule, channel: str, now: int) -> bool:
    """Count naively over all messages that were ever decided and not given up."""
    for cap in caps:
        if (cap.category, cap.channel or channel, cap.journey or _journey(one.name)) != (
            one.category,
            channel,
            _journey(one.name),
        ):
            continue
        same = [
            other
            for other in standing
            if now - cap.within < other.at <= now
            and other.category == cap.category
            and (cap.channel or other.channel) == other.channel
            and (cap.journey or _journey(other.rule)) == _journey(other.rule)
        ]
        if len(same) >= cap.messages:
            return True
    return False


def _journey(name: str) -> str:
    return name.split("/")[0] if "/" in name else ""


def test_messages_are_kept_for_the_longest_cap_of_their_category() -> None:
    using = configuration(caps=(Cap(9, 2 * DAY), Cap(9, 5 * DAY, category="transactional")))
    sent = [
        SentMessage(f"{i}{category}", "r", "sms", category, NOW + i * HOUR)
        for i in range(200)
        for category in ("marketing", "transactional")
    ]

    kept = trimmed(using, sent, NOW + 199 * HOUR)

    assert sum(one.category == "transactional" for one in kept) == 5 * 24
    assert sum(one.category == "marketing" for one in kept) == 2 * 24
    assert len(trimmed(configuration(), sent, NOW + 199 * HOUR)) == MIN_KEPT


def test_a_cap_of_a_journey_has_the_category_of_the_journey() -> None:
    receipts = {**JOURNEY, "name": "returns", "category": "transactional"}
    caps = [
        {"messages": 2, "within": "1d", "journey": "trial", "channel": "sms"},
        {"messages": 1, "within": "7d", "journey": "returns"},
        {"messages": 20, "within": "1d", "category": "transactional"},
    ]

    found = parse({"journeys": [JOURNEY, receipts], "caps": caps}, {}).caps

    assert found == (
        Cap(2, DAY, "sms", "marketing", "trial"),
        Cap(1, 7 * DAY, None, "transactional", "returns"),
        Cap(20, DAY, None, "transactional"),
    )
    assert [in_words(cap) for cap in found] == [
        "2 in 1d over sms, journey trial",
        "1 in 7d over all channels, transactional, journey returns",
        "20 in 1d over all channels, transactional",
    ]


@pytest.mark.parametrize(
    ("cap", "path", "allowed"),
    [
        ({"journey": "trail"}, r"caps\[0\].journey", "trial"),
        ({"journey": "trial", "category": "transactional"}, r"caps\[0\].category", "marketing, which is the category"),
        ({"category": "news"}, r"caps\[0\].category", "marketing"),
    ],
)
def test_a_cap_that_could_never_be_reached_is_refused(cap: dict[str, str], path: str, allowed: str) -> None:
    with pytest.raises(InvalidConfiguration, match=f"{path}: .*{allowed}"):
        parse({"journeys": [JOURNEY], "caps": [{"messages": 1, "within": "1d", **cap}]}, {})
