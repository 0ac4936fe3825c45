"""Statements about purposes, in a folded log."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.configuration.compiled import ConsentSettings, encode
from models.configuration.parsing import parse
from models.delivery.notices import AddressReport, Withdrawal
from models.events import Event
from models.levels import FIRST, NEWEST
from models.log import Use
from models.profile import statements
from models.profile.consents import proof_of
from models.profile.state import UNKNOWN_TIME
from models.units import DAY
from tests.support.event_logs import START
from tests.support.statement_logs import StatementLog, event, given, taken, traits

NEWS = {"purposes": ["news", "tips"]}
KNOWN = traits(START, email="ada@example.org")


def agreed(at: int, purpose: str, channel: Any = "email", **said: Any) -> Event:
    """Make a grant of another purpose than marketing, as the router writes it."""
    return event("consent", at, purpose=purpose, channel=channel, **said)


def folded(*log: Event, **more: Any) -> StatementLog:
    return StatementLog(*log, **({"consent": NEWS} | more))


def test_a_grant_without_a_purpose_is_for_marketing_and_nothing_else() -> None:
    assert folded(given(START, "email")).granted == {"email": True}
    assert folded(agreed(START, "news")).granted == {"news@email": True}
    assert folded(agreed(START, "news", None)).granted == {"news@email": True, "news@sms": True}


@pytest.mark.parametrize(
    "withdrawal",
    [
        taken(START + 9, "email"),
        taken(START + 9),
        taken(START + 9, "email", complaint=True, purpose="news"),
        taken(START + 9, "email", purpose="never_listed"),
        traits(START + 9, email_opt_out=True),
    ],
)
def test_a_withdrawal_without_a_known_purpose_ends_all_purposes_also_those_without_a_record(withdrawal: Event) -> None:
    before = (given(START + 1, "email"), agreed(START + 1, "news"))

    after = folded(*before, withdrawal, agreed(START + 8, "tips"))

    assert not any(state.granted for key, state in after.facts.consent.items() if key.endswith("email"))
    assert after.facts.consent["tips@email"].newest_grant == START + 8
    assert folded(*before, withdrawal, agreed(START + 10, "tips")).granted["tips@email"]


def test_a_withdrawal_of_one_purpose_leaves_the_others() -> None:
    before = (given(START + 1, "email"), agreed(START + 1, "news"))

    assert folded(*before, taken(START + 9, "email", purpose="news")).granted == {"email": True, "news@email": False}
    one = folded(*before, taken(START + 9, "email", purpose="marketing"))
    assert one.granted == {"email": False, "news@email": True}
    assert folded(taken(START + 9, "email", purpose="marketing"), agreed(START + 1, "news")).granted["news@email"]


def test_an_event_with_an_opt_out_trait_beside_a_purpose_withdraws_everything() -> None:
    both = taken(START + 9, "email", purpose="news", traits={"sms_opt_out": True})

    assert not any(folded(given(START), both).granted.values())


def test_each_rule_asks_for_the_consent_to_its_own_purpose_and_the_decision_names_it() -> None:
    start = event("custom", START + 5, name="Trial Started")

    found = folded(KNOWN, agreed(START + 1, "news"), start).decisions

    assert found["news"][0] == "sent"
    assert found["tips"] == ("no_consent", "for the purpose tips")
    assert found["welcome"] == ("no_consent", "")


def test_delivery_stops_only_the_messages_of_the_purpose() -> None:
    before = (KNOWN, given(START + 1, "email"), agreed(START + 1, "news"))

    (one,) = folded(*before, taken(START + 9, "email", purpose="news")).notices()
    (every,) = folded(*before, taken(START + 9, "email")).notices()

    assert isinstance(one, Withdrawal)
    assert isinstance(every, Withdrawal)
    assert (one.purpose, every.purpose) == ("news", "")


@pytest.mark.parametrize(
    ("grant", "consent", "level", "says"),
    [
        (
            agreed(START, "deals"),
            NEWS,
            NEWEST,
            "marketing, news, tips: `consent.purposes` in perennial.yaml lists them",
        ),
        (agreed(START, "news"), {}, FIRST, "others need format level 2"),
        (agreed(START, "marketing", basis="existing_customer"), {}, FIRST, "others need format level 2"),
    ],
)
def test_a_grant_that_cannot_count_is_a_dead_letter_and_grants_nothing(
    grant: Event, consent: dict[str, Any], level: int, says: str
) -> None:
    log = folded(grant, consent=consent, level=level)

    assert log.granted == {}
    (letter,) = log.rejected
    assert letter.reason == "unknown_purpose"
    assert says in letter.allowed
    assert log.counted("event_warnings", "unknown_purpose") == 1


def test_a_grant_beyond_sixteen_purposes_is_a_dead_letter_and_a_withdrawal_never_is() -> None:
    first = {"purposes": [f"p{number}" for number in range(15)]}
    log = [agreed(START + number, f"p{number}") for number in range(15)]
    full = StatementLog(*log, consent=first, level=NEWEST)
    assert sum(full.granted.values()) == 15
    facts = full.facts

    other = ConsentSettings(purposes=("other",))
    refused = statements.grant(facts, agreed(START + 20, "other"), other)
    assert refused is not None
    assert (refused.reason, refused.found) == ("state_full", "other")
    withdrawal = taken(START + 21, "email", purpose="other")
    stated = statements.statement_of(facts, withdrawal, other)
    assert stated is not None
    statements.withdraw(facts, stated, withdrawal)
    assert not any(state.granted for state in facts.consent.values())


def test_delivery_stops_all_purposes_if_there_is_no_room_for_the_one_that_is_withdrawn() -> None:
    first = {"purposes": [f"p{number}" for number in range(15)]}
    log = [agreed(START + number, f"p{number}") for number in range(15)]
    content = encode(parse({"consent": {"purposes": ["other"]}}, {}))
    use = Use(name="configuration", version=2, content=msgspec.Raw(content))

    full = StatementLog(*log, use, taken(START + 21, "email", purpose="other"), consent=first)

    assert not any(full.granted.values())
    assert [one.purpose for one in full.notices() if isinstance(one, Withdrawal)] == [""]


def test_at_the_first_level_delivery_stops_all_purposes() -> None:
    log = folded(given(START, "email"), taken(START + 9, "email", purpose="marketing"), consent={}, level=FIRST)

    assert [one.purpose for one in log.notices() if isinstance(one, Withdrawal)] == [""]


def test_the_first_level_stores_neither_other_purposes_nor_the_time_of_a_withdrawal_of_everything() -> None:
    log = folded(given(START), taken(START + 9, "email", purpose="marketing"), consent={}, level=FIRST)

    assert log.granted == {"email": False, "sms": True}
    assert {state.everything for state in log.facts.consent.values()} == {UNKNOWN_TIME}


def test_a_confirmed_grant_of_any_purpose_is_reported_and_one_that_does_not_count_is_not() -> None:
    def reports(*log: Event) -> list[str]:
        return [one.kind for one in folded(KNOWN, *log, clock="wall").notices() if isinstance(one, AddressReport)]

    assert reports(agreed(START + 1, "news", confirmed=True)) == ["confirmed_grant"]
    assert reports(agreed(START + 1, "deals", confirmed=True)) == []


def test_a_browser_key_grants_no_purpose() -> None:
    assert folded(agreed(START, "news", trust="public")).granted == {}


def test_the_proof_has_the_version_of_the_text() -> None:
    state = folded(agreed(START, "news", text="footer 3", reason="checkout")).facts.consent["news@email"]

    assert proof_of(state)[:3] == ("checkout", agreed(START, "news", text="footer 3", reason="checkout").id, "consent")
    assert proof_of(state).text == "footer 3"


def test_a_segment_reads_the_consent_to_a_purpose_also_after_a_withdrawal_of_everything() -> None:
    segments = [
        {"name": name, "when": {"consent": {"purpose": "news", "channel": "email"}, "is": name}}
        for name in ("granted", "withdrawn")
    ]

    def members(*log: Event) -> list[str]:
        found = folded(KNOWN, *log, segments=segments).records("signals")
        signals = [msgspec.json.decode(value) for value in found]
        return [f"{one['kind']} {one['name']}" for one in signals if one["kind"].startswith("segment")]

    assert members(agreed(START + 1, "news")) == ["segment_entered granted"]
    assert members(given(START + 1, "email")) == []
    assert members(taken(START + 1, "email")) == ["segment_entered withdrawn"]
    assert members(agreed(START + 1, "news"), taken(START + DAY // 2)) == [
        "segment_entered granted",
        "segment_left granted",
        "segment_entered withdrawn",
    ]
