"""Effects of statements outside the profile, and limits of statements with a browser key."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from models.delivery.notices import AddressReport
from models.events import Event
from models.profile.consents import ConsentProof, proof_of
from models.units import DAY
from tests.support.event_logs import START
from tests.support.statement_logs import CONSENT, StatementLog, event, given, taken, traits


class TestAddressReports:
    """Reports about addresses, which delivery gets."""

    def _reports(
        self, *log: Event, channel: str = "email", clock: Literal["feeder", "wall"] = "wall"
    ) -> list[tuple[str, str, int]]:
        known = traits(START, email="ada@example.org", phone="+4930901820")
        notices = StatementLog(known, *log, clock=clock).notices(channel)
        return [(one.kind, one.address, one.at) for one in notices if isinstance(one, AddressReport)]

    def test_a_complaint_names_the_users_address(self) -> None:
        spam = taken(START + 1, "email", complaint=True)

        assert self._reports(spam) == [("complaint", "ada@example.org", START + 1)]
        assert self._reports(spam, channel="sms") == []

    def test_only_a_live_event_reports_anything_about_an_address(self) -> None:
        for origin in ("replay", "simulate", "test"):
            spam = taken(START + 1, "email", complaint=True, origin=origin)
            assert self._reports(spam) == []
        assert self._reports(taken(START + 1, "email", complaint=True), clock="feeder") == []

    def test_a_valid_address_in_the_event_is_reported_instead_of_the_trait(self) -> None:
        spam = taken(START + 1, "email", complaint=True, properties={"email": "old@example.org"})
        bad = taken(START + 1, "email", complaint=True, properties={"email": "no address"})

        assert self._reports(spam) == [("complaint", "old@example.org", START + 1)]
        assert self._reports(bad) == [("complaint", "ada@example.org", START + 1)]

    def test_only_a_confirmed_grant_is_reported(self) -> None:
        assert self._reports(given(START + 1, "email", confirmed=True)) == [
            ("confirmed_grant", "ada@example.org", START + 1)
        ]
        assert self._reports(given(START + 1, "email")) == []

    @pytest.mark.parametrize(
        "properties",
        [
            {"hard": True},
            {"bounce_type": "Permanent"},
            {"reason": "smtp; 550 5.1.1 no such user"},
            {"status": "5.1.10"},
        ],
    )
    def test_a_hard_bounce_is_reported(self, properties: dict[str, Any]) -> None:
        bounced = event("custom", START + 1, name="Email Bounced", properties=properties)
        late = event("custom", START - 9 * DAY, name="Email Bounced", properties=properties)

        assert self._reports(bounced) == [("hard_bounce", "ada@example.org", START + 1)]
        assert self._reports(late) == [("hard_bounce", "ada@example.org", START - 9 * DAY)]
        assert self._reports(bounced, bounced) == self._reports(bounced)

    @pytest.mark.parametrize(
        "properties", [None, {"bounce_type": "soft"}, {"reason": "452 4.2.2 full"}, {"reason": "550 5.7.1 blocked"}]
    )
    def test_a_soft_bounce_is_not_reported(self, properties: dict[str, Any] | None) -> None:
        assert self._reports(event("custom", START + 1, name="Email Bounced", properties=properties)) == []


class TestEventsWithPublicKey:
    """Statements of events that came with the browser key of a page, which anyone can read."""

    def test_it_grants_nothing(self) -> None:
        folded = StatementLog(given(START, "email", trust="public"))

        assert folded.granted == {}
        assert folded.facts.events == {"consent": 1}

    def test_it_withdraws(self) -> None:
        assert not StatementLog(given(START), taken(START + 1, trust="public")).granted["email"]

    def test_it_reports_no_address_and_confirms_nothing(self) -> None:
        known = traits(START, email="ada@example.org")
        for said in (
            taken(START + 1, "email", complaint=True, trust="public"),
            given(START + 1, "email", confirmed=True, trust="public"),
            event("custom", START + 1, name="Email Bounced", properties={"hard": True}, trust="public"),
        ):
            assert StatementLog(known, said).notices() == []

    def test_it_sets_a_missing_address_and_never_replaces_or_removes_one(self) -> None:
        eve = event("identify", START + 1, traits={"email": "eve@example.org", "plan": "pro"}, trust="public")
        gone = event("identify", START + 1, traits={"email": None, "phone": None}, trust="public")
        ada = traits(START, email="ada@example.org", phone="+4930901820")

        assert StatementLog(eve).facts.traits == {"email": "eve@example.org", "plan": "pro"}
        known = {"email": "ada@example.org", "phone": "+4930901820"}
        assert StatementLog(ada, eve).facts.traits == known | {"plan": "pro"}
        assert StatementLog(ada, gone).facts.traits == known

    def test_its_order_counts_and_triggers_no_transactional_message(self) -> None:
        known = traits(START, email="ada@example.org")
        order = event("purchase", START + 1, amount=49_900_000, trust="public")

        for trust, sent in (("public", 0), ("server", 1)):
            folded = StatementLog(known, msgspec.structs.replace(order, trust=trust))
            assert folded.facts.orders == 1
            assert folded.counted("decisions", "dropped", "public_key") == 1 - sent
            assert folded.counted("messages", "email", "receipt") == sent

    def test_it_triggers_marketing_if_consent_was_granted(self) -> None:
        known = [traits(START, email="ada@example.org"), given(START)]

        folded = StatementLog(*known, event("custom", START + 1, name="Trial Started", trust="public"))

        assert folded.counted("messages", "email", "welcome") == 1


def proof(*log: Event, channel: str = "email") -> ConsentProof:
    return proof_of(StatementLog(*log, consent=CONSENT).facts.consent[channel])


def test_the_proof_of_consent_names_the_event_of_every_kind_of_statement() -> None:
    grant = given(START + 1, "email", reason="box", confirmed=True)
    assert proof(grant) == ConsentProof("box", grant.id, "consent", confirmed=True)

    by_trait = traits(START + 2, no_mail=True)
    assert proof(grant, by_trait) == ConsentProof("trait no_mail", by_trait.id, "identify")
    by_name = event("custom", START + 2, name="Newsletter Stopped")
    assert proof(grant, by_name) == ConsentProof("event Newsletter Stopped", by_name.id, "custom")
    plain = taken(START + 2, reason="unsubscribe link")
    assert proof(grant, plain, channel="sms") == ConsentProof("unsubscribe link", plain.id, "consent")


def test_the_proof_of_a_withdrawal_whose_event_is_refused_names_that_event() -> None:
    late = event("custom", START - 60 * DAY, name="Newsletter Stopped")

    assert proof(given(START + 1, "email"), late) == ConsentProof("event Newsletter Stopped", late.id, "custom")
