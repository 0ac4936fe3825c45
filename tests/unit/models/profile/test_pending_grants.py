"""Double opt-in in a folded log: what is asked, and which click counts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import CONFIRM, CONFIRM_PLACEHOLDER
from models.delivery.messages import Message, decode_message
from models.delivery.notices import is_notice
from models.events import Event
from models.identity import joining
from models.log import Control, Instruction, Tick, Use
from models.profile import pending_grants
from models.profile.consents import proof_of
from models.profile.reducers import NO_CUTOFFS
from models.profile.state import Consent, Facts, PendingGrant
from models.units import DAY, MINUTE
from tests.support.event_logs import START
from tests.support.statement_logs import StatementLog, event, given, taken, traits

CONFIRMED = {"confirm": ["email"], "purposes": ["news"]}
KNOWN = traits(START, email="ada@example.org")


def folded(*log: Event | Control) -> StatementLog:
    return StatementLog(*log, consent=CONFIRMED)


def asked(log: StatementLog) -> list[Message]:
    """Return the e-mails that ask for a confirmation."""
    found = [decode_message(value) for value in log.records("messages.email") if not is_notice(value)]
    return [message for message in found if message.rule == CONFIRM]


def click(at: int, message: str = "m", purpose: str | None = None, **said: Any) -> Event:
    """Make the event of a click on a link, as the door writes it."""
    granted = True if purpose is None else None
    more = {"granted": granted, "purpose": purpose, "channel": "email", "confirmed": True, "message": message}
    return event("consent", at, **(more | said))


@pytest.mark.parametrize("trust", ["server", "public"])
def test_a_grant_waits_and_one_e_mail_without_promotion_asks(trust: Any) -> None:
    log = folded(KNOWN, given(START + 1, "email", trust=trust, text="footer 2"))

    assert log.granted == {}
    (message,) = asked(log)
    assert (message.to, message.category, message.confirms, message.wording) == (
        "ada@example.org",
        "transactional",
        "marketing",
        "footer 2",
    )
    assert CONFIRM_PLACEHOLDER in message.text
    (pending,) = log.facts.pending.values()
    assert (pending.at, pending.asked, pending.is_due) == (START + 1, 1, False)


def test_the_e_mail_contains_nothing_that_a_sender_with_a_browser_key_can_choose() -> None:
    bait = "You have won! http://evil.example"
    said = {"email": "ada@example.org", "firstName": bait, "first_name": bait, "timezone": "Asia/Tokyo"}
    known = event("identify", START, trust="public", traits=said, user=bait)
    grant = given(START + 1, "email", trust="public", text=bait, reason=bait, user=bait)
    content = encode(parse({"consent": CONFIRMED, "timezone": "UTC"}, {}))
    built_in = Use(name="configuration", version=2, content=msgspec.Raw(content))

    log = folded(built_in, known, grant)

    (message,) = asked(log)
    assert CONFIRM_PLACEHOLDER in message.text
    assert not any("won" in part or "evil" in part for part in (message.subject, message.text, message.html or ""))
    assert message.text.startswith("Hello,\n")


def test_only_the_click_grants_and_the_proof_is_that_of_the_click() -> None:
    grant = event("consent", START + 1, purpose="news", channel="email")
    before = (KNOWN, grant)

    log = folded(*before, click(START + DAY, purpose="news", text="footer 2", reason="confirmation link"))

    assert log.granted == {"news@email": True}
    state = log.facts.consent["news@email"]
    assert (state.at, state.confirmed, proof_of(state).text) == (START + DAY, True, "footer 2")
    assert log.facts.pending == {}


def test_a_link_counts_once_also_after_a_withdrawal() -> None:
    grant, first = given(START + 1, "email"), click(START + 10)
    again = click(START + 30, id="another id")

    log = folded(KNOWN, grant, first, taken(START + 20, "email"), again)

    assert log.granted == {"email": False}
    assert [letter.reason for letter in log.rejected] == ["link_used"]
    assert folded(KNOWN, grant, first, again).granted == {"email": True}
    assert folded(KNOWN, again).granted == {}


def test_a_link_to_an_earlier_address_does_not_confirm_the_present_one() -> None:
    moved = traits(START + 5, email="eve@example.org")

    assert folded(KNOWN, given(START + 1, "email"), moved, click(START + 10)).granted == {}


def test_an_e_mail_is_sent_again_at_most_once_and_only_after_a_new_grant() -> None:
    grants = [given(START + n * MINUTE * 10, "email", id=f"g{n}") for n in range(6)]

    assert len(asked(folded(KNOWN, *grants[:1], event("click", START + DAY, item="i")))) == 1
    assert len(asked(folded(KNOWN, *grants[:2]))) == 2
    assert len(asked(folded(KNOWN, *grants))) == 2
    assert len(asked(folded(KNOWN, given(START + 1, "email"), given(START + 2, "email", id="double")))) == 1
    alternating = [one for n, grant in enumerate(grants) for one in (grant, taken(grant.at + 1, "email", id=f"t{n}"))]
    assert len(asked(folded(KNOWN, *alternating))) == 2


EVERYTHING: Any = None


@pytest.mark.parametrize("complaint", [False, True])
@pytest.mark.parametrize("channel", [EVERYTHING, "email"])
def test_a_withdrawal_ends_a_pending_grant_that_is_not_newer_in_any_order(channel: Any, complaint: bool) -> None:
    late = traits(START + 50, email="ada@example.org")
    withdrawal = taken(START + 20, channel, complaint=complaint)

    for at in (START + 10, START + 20):
        grant = given(at, "email")
        assert folded(grant, withdrawal).facts.pending == folded(withdrawal, grant).facts.pending == {}
        assert asked(folded(grant, withdrawal, late)) == asked(folded(withdrawal, grant, late)) == []
    newer = given(START + 21, "email")
    assert len(asked(folded(newer, withdrawal, late))) == len(asked(folded(withdrawal, newer, late))) == 1


def test_a_withdrawal_of_one_purpose_ends_only_what_waits_for_it() -> None:
    both = (given(START + 1, "email"), event("consent", START + 2, purpose="news", channel="email"))

    assert set(folded(*both, taken(START + 9, "email", purpose="news")).facts.pending) == {"email"}
    assert set(folded(*both, taken(START + 9, "sms")).facts.pending) == {"email", "news@email"}


@pytest.mark.parametrize("complaint", [False, True])
def test_a_link_mailed_before_a_withdrawal_grants_only_after_a_newer_grant(complaint: bool) -> None:
    before = (KNOWN, given(START + 1, "email"), taken(START + 10, "email", complaint=complaint))

    log = folded(*before, click(START + 20))
    assert log.granted == {"email": False}
    assert [letter.reason for letter in log.rejected] == ["link_used"]
    old = given(START + 9, "email", id="old")
    assert folded(*before, old, click(START + 20)).granted == {"email": False}
    again = given(START + 15, "email", id="again")
    assert folded(*before, again, click(START + 20)).granted == {"email": True}


def test_an_e_mail_that_is_dropped_does_not_count() -> None:
    pause, resume = Instruction(name="pause", argument="email"), Instruction(name="resume", argument="email")
    grants = [given(START + n * 20 * MINUTE, "email", id=f"g{n}") for n in range(4)]

    dropped = folded(KNOWN, pause, *grants[:2])
    assert asked(dropped) == []
    assert dropped.decisions[CONFIRM] == ("channel_paused", "")
    assert [one.asked for one in dropped.facts.pending.values()] == [0]
    assert len(asked(folded(KNOWN, pause, *grants[:2], resume, *grants[2:]))) == 2

    late = folded(KNOWN, Tick(START + DAY), grants[0])
    assert late.decisions[CONFIRM][0] == "expired"
    assert [one.asked for one in late.facts.pending.values()] == [0]


def test_the_e_mails_count_until_their_links_have_expired() -> None:
    second = START + 20 * MINUTE
    first = (given(START, "email"), Tick(second), given(second, "email"))
    last = second + pending_grants.VALID_MS

    assert len(asked(folded(KNOWN, *first, Tick(last), given(last - 1, "email")))) == 2
    assert len(asked(folded(KNOWN, *first, Tick(last), given(last, "email")))) == 3


def test_the_e_mail_waits_until_the_user_has_an_address() -> None:
    grant, late = given(START + 1, "email"), traits(START + 5, email="ada@example.org")

    assert asked(folded(grant)) == []
    assert [message.to for message in asked(folded(grant, late))] == ["ada@example.org"]
    assert folded(grant, late, click(START + 10)).granted == {"email": True}


def test_what_needs_no_confirmation_asks_for_none() -> None:
    assert asked(folded(KNOWN, taken(START + 5, "email"), given(START + 4, "email"))) == []
    confirmed = folded(KNOWN, given(START + 1, "email", confirmed=True), given(START + 2, "email"))
    assert asked(confirmed) == []
    assert confirmed.granted == {"email": True}
    sms = folded(KNOWN, given(START + 1))
    assert sms.granted == {"sms": True}
    assert len(asked(sms)) == 1
    public = folded(KNOWN, given(START + 1, trust="public", confirmed=True))
    assert public.granted == {}


def test_the_decision_names_the_signal_that_asks() -> None:
    log = folded(KNOWN, given(START + 1, "email"))

    (signal,) = [msgspec.json.decode(value) for value in log.records("signals")]
    assert (signal["kind"], signal["properties"]["purpose"]) == ("consent_pending", "marketing")
    assert log.decisions[CONFIRM] == ("sent", "")


def test_without_the_setting_nothing_has_to_be_confirmed() -> None:
    log = StatementLog(KNOWN, given(START + 1, "email"))

    assert log.granted == {"email": True}
    assert log.facts.pending == {}


def test_the_e_mails_of_two_identities_count_together_and_the_newest_grant_waits() -> None:
    one = {"email": PendingGrant(START, 1, START, source="a", address=b"1"), "news@email": PendingGrant(START)}
    other = {"email": PendingGrant(START + 5, 1, START + 5, True, source="b", address=b"2")}

    joint = pending_grants.join(one, other)

    assert joint == {
        "email": PendingGrant(START + 5, 2, START + 5, False, source="b", address=b"2"),
        "news@email": PendingGrant(START),
    }
    assert pending_grants.join(other, one) == joint


def test_what_a_visitor_has_asked_for_waits_for_the_known_user() -> None:
    known, visitor = Facts(), Facts(pending={"email": PendingGrant(START, 1, START, address=b"1")})

    assert joining.join(known, visitor, START, NO_CUTOFFS).facts.pending == visitor.pending


@pytest.mark.parametrize(("at", "waits"), [(START, False), (START + 1, True)])
def test_a_withdrawal_of_one_identity_ends_what_waits_for_the_other(at: int, waits: bool) -> None:
    known = Facts(consent={"email": Consent(granted=False, at=START)})
    visitor = Facts(pending={"email": PendingGrant(at, is_due=True)})

    for one, other in ((known, visitor), (visitor, known)):
        assert joining.join(one, other, START, NO_CUTOFFS).facts.pending == (visitor.pending if waits else {})
    agreed = Facts(consent={"email": Consent(granted=True, at=START - 9)})
    assert joining.join(agreed, visitor, START, NO_CUTOFFS).facts.pending == {}
