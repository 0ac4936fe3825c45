"""Outcomes of messages, and the notices to delivery about withdrawals, pauses and unknown outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, repeat

import msgspec
import pytest

from models.configuration.compiled import Cap, encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.delivery.notices import (
    HOLD_KEY,
    AddressReport,
    ChannelPaused,
    Notice,
    Resolution,
    Withdrawal,
    decode_notice,
    encode_notice,
)
from models.engage import caps, outcomes
from models.events import Channel, Event, EventType
from models.log import Instruction, Use, opening
from models.profile.ledger import Ledger, SentMessage
from models.wire.withdrawals import channels_of
from tests.support.event_logs import START, fold_log, written
from tests.support.people import rule

MESSAGE = "0" * 32


def _ledger(**changed: str) -> Ledger:
    return Ledger(
        sent=[msgspec.structs.replace(SentMessage(MESSAGE, "win_back", "sms", "marketing", START), **changed)]
    )


def _reported(kind: EventType) -> Event:
    return Event(id=kind, user="u1", type=kind, at=START, channel="sms", message=MESSAGE)


def _withdrawal(channel: Channel | None = "sms") -> Event:
    return Event(id="c", user="u1", type="consent", at=START, channel=channel, granted=False, reason="unsubscribe link")


def _notices(ledger: Ledger, withdrawal: Event, granted: Sequence[Channel] = ()) -> list[tuple[Channel, Notice]]:
    return outcomes.notices_of_withdrawal(ledger, withdrawal, channels_of(withdrawal.channel), granted)


@pytest.mark.parametrize(
    ("kinds", "outcome"),
    [
        (["message_sent"], "sent"),
        (["message_unknown"], "unknown"),
        (["message_sent", "message_delivered", "message_opened"], "opened"),
        (["message_opened", "message_delivered"], "opened"),
        (["message_delivered", "message_bounced"], "bounced"),
    ],
)
def test_the_most_certain_outcome_is_kept(kinds: list[EventType], outcome: str) -> None:
    ledger = _ledger()

    for kind in kinds:
        outcomes.record_outcome(ledger, _reported(kind))

    assert ledger.sent[0].outcome == outcome


@pytest.mark.parametrize("kinds", list(permutations(["message_unknown", "message_bounced"])))
def test_delivery_is_notified_when_an_unknown_outcome_becomes_known_in_either_order(kinds: list[EventType]) -> None:
    ledger = _ledger()

    first, second = (outcomes.record_outcome(ledger, _reported(kind)) for kind in kinds)

    assert first == []
    assert second == [("sms", Resolution(MESSAGE, "sms", "rejected"))]
    assert ledger.sent[0].outcome == "bounced"


def test_an_outcome_of_a_message_that_is_not_in_the_ledger_has_no_effect() -> None:
    ledger = _ledger(id="f" * 32)

    assert outcomes.record_outcome(ledger, _reported("message_sent")) == []
    assert ledger.sent[0].outcome == ""


@pytest.mark.parametrize("channel", ["sms", None])
def test_delivery_is_notified_of_a_withdrawal_while_marketing_may_wait_there(channel: Channel | None) -> None:
    assert _notices(_ledger(), _withdrawal(channel)) == [("sms", Withdrawal("u1", START, "unsubscribe link"))]
    assert _notices(_ledger(outcome="unknown"), _withdrawal(channel)) == _notices(_ledger(), _withdrawal(channel))


def test_delivery_is_notified_of_a_withdrawn_grant_even_if_the_ledger_has_no_messages() -> None:
    assert _notices(Ledger(), _withdrawal("email"), granted=["email"]) == [
        ("email", Withdrawal("u1", START, "unsubscribe link"))
    ]


@pytest.mark.parametrize(
    ("changed", "channel"),
    [
        ({"outcome": "sent"}, "sms"),
        ({"category": "transactional"}, "sms"),
        ({}, "email"),
        ({"channel": "email"}, "sms"),
    ],
)
def test_delivery_is_not_notified_if_no_message_can_wait(changed: dict[str, str], channel: Channel) -> None:
    assert _notices(_ledger(**changed), _withdrawal(channel)) == []


@pytest.mark.parametrize(
    "notice",
    [
        Withdrawal("u1", START, "x"),
        Resolution(MESSAGE, "sms", "delivered"),
        ChannelPaused(paused=False),
        AddressReport(user="u1", address="ada@example.com", kind="complaint", at=START, source="spam"),
    ],
)
def test_a_decoded_notice_equals_the_encoded_one_and_other_records_are_not_notices(
    notice: Withdrawal | Resolution | ChannelPaused | AddressReport,
) -> None:
    assert decode_notice(encode_notice(notice)) == notice
    assert decode_notice(b'{"id":"x"}') is None


class TestThroughTheFold:
    """Notices in ``messages.email``, through the whole fold."""

    def _log(self, *more: Event | Instruction) -> list[bytes]:
        content = encode(
            parse(
                {"rules": [{"name": "welcome", "when": {"event": "Trial Started"}}]},
                {"welcome": Template("Welcome", "Hello.")},
            )
        )
        use = Use(name="configuration", version=1, content=msgspec.Raw(content))
        before = [
            Event(id="m1", user="u1", type="identify", at=START, traits={"email": "ada@example.com"}),
            Event(id="m2", user="u1", type="consent", at=START, channel="email", granted=True),
            Event(id="m3", user="u1", type="custom", name="Trial Started", at=START),
        ]
        _, given = fold_log(written([opening("wall"), use, *before, *more]), repeat(100))
        return [
            record.value or b""
            for outputs in given
            for record in outputs.commit.records
            if record.topic == "messages.email"
        ]

    def test_an_unsubscription_follows_the_message_that_may_wait(self) -> None:
        message, notice = self._log(_withdrawal("email"))

        assert b'"rule":"welcome"' in message
        assert decode_notice(notice) == Withdrawal("u1", START, "unsubscribe link")

    def test_a_pause_follows_in_the_same_topic(self) -> None:
        _, paused, resumed = self._log(Instruction("pause", "email"), Instruction("resume", "email"))

        assert [decode_notice(value) for value in (paused, resumed)] == [
            ChannelPaused(paused=True),
            ChannelPaused(paused=False),
        ]

    def test_a_pause_of_an_unknown_name_gives_no_notice(self) -> None:
        assert len(self._log(Instruction("pause", "carrier pigeons"), Instruction("dance", "email"))) == 1

    def test_no_user_can_have_the_key_of_a_paused_channel(self) -> None:
        assert HOLD_KEY.startswith(b"\x00")


def _suppressed(message: str) -> Event:
    return msgspec.structs.replace(_reported("message_suppressed"), message=message, reason="suppressed: bounce (all)")


def _sent(number: int, at: int, **changed: str) -> SentMessage:
    return msgspec.structs.replace(SentMessage(f"{number:032x}", "win_back", "sms", "marketing", at), **changed)


def test_a_suppressed_message_keeps_its_reason_and_does_not_count_towards_a_cap() -> None:
    ledger = Ledger(sent=[_sent(1, START), _sent(2, START + 1)], fired={"win_back": START + 1})
    cap = [Cap(2, 1_000)]
    assert caps.reached(cap, ledger.sent, rule(), "sms", START + 2) is not None

    assert outcomes.record_outcome(ledger, _suppressed(ledger.sent[1].id)) == []

    assert (ledger.sent[1].outcome, ledger.sent[1].because) == ("suppressed", "bounce (all)")
    assert caps.reached(cap, ledger.sent, rule(), "sms", START + 2) is None


@pytest.mark.parametrize("reason", ["rejected: no such number", "expired: not handed over", "withdrawn: unsubscribed"])
def test_a_message_that_delivery_gave_up_gives_its_place_under_the_cap_back(reason: str) -> None:
    ledger = Ledger(sent=[_sent(1, START), _sent(2, START + 1)], fired={"win_back": START + 1})
    failed = msgspec.structs.replace(_reported("message_failed"), message=ledger.sent[1].id, reason=reason)

    outcomes.record_outcome(ledger, failed)

    assert caps.reached([Cap(2, 1_000)], ledger.sent, rule(), "sms", START + 2) is None
    assert ledger.fired == {"win_back": START}


@pytest.mark.parametrize(
    ("before", "fired"),
    [
        ([], {}),
        ([_sent(1, START - 5)], {"win_back": START - 5}),
        ([_sent(1, START - 5, outcome="suppressed")], {}),
        ([_sent(1, START - 5, rule="other")], {}),
    ],
)
def test_a_suppressed_message_starts_no_cooldown(before: list[SentMessage], fired: dict[str, int]) -> None:
    ledger = Ledger(sent=[*before, _sent(2, START)], fired={"win_back": START, "hello": 7})

    for _ in range(2):
        outcomes.record_outcome(ledger, _suppressed(ledger.sent[-1].id))

    assert ledger.fired == {"hello": 7} | fired


def test_a_later_message_keeps_its_cooldown_when_an_earlier_one_was_suppressed() -> None:
    ledger = Ledger(sent=[_sent(1, START), _sent(2, START + 9)], fired={"win_back": START + 9})

    outcomes.record_outcome(ledger, _suppressed(ledger.sent[0].id))

    assert ledger.fired == {"win_back": START + 9}
