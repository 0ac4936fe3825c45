"""Tests of statements that count whatever becomes of their event, through the whole fold."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any, Literal

import msgspec
import pytest

from models.batch import Outputs
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.delivery.notices import AddressReport, Notice, Withdrawal, decode_notice
from models.events import Event
from models.fold.versions import Versions
from models.fold.view import describe
from models.log import Clock, Control, Tick, Use
from models.profile import statements
from models.profile.codec import unpack
from models.profile.state import Facts
from models.profile.trait_limits import MAX_BYTES, MAX_NEEDED_BYTES
from models.rejected import Rejected, decode_rejected
from models.units import DAY, HOUR
from tests.support.event_logs import START, fold_log, written

CONSENT = {
    "withdrawal_events": {"Newsletter Stopped": "email"},
    "withdrawal_traits": {"no_mail": True, "status": {"value": "muted", "channel": "sms"}},
    "ignore_traits": ["subscribed"],
}


def event(kind: Any, at: int = START, **said: Any) -> Event:
    return Event(**({"id": f"{kind}-{at}-{sorted(said)}", "user": "u1", "type": kind, "at": at} | said))


def given(at: int, channel: Any = None, **said: Any) -> Event:
    return event("consent", at, granted=True, channel=channel, **said)


def taken(at: int, channel: Any = None, **said: Any) -> Event:
    return event("consent", at, granted=False, channel=channel, **said)


def traits(at: int, **said: Any) -> Event:
    return event("identify", at, id=f"i-{at}-{said}", traits=said)


class Folded:
    """A log with a rule of each category, folded."""

    def __init__(
        self,
        *log: Event | Control,
        consent: dict[str, Any] | None = None,
        start: int = START,
        clock: Literal["feeder", "wall"] = "feeder",
    ) -> None:
        rules = [
            {"name": "welcome", "when": {"event": "Trial Started"}},
            {"name": "receipt", "when": {"event": "purchase"}, "category": "transactional"},
        ]
        made = {
            name: Template("Subject", "Text.", fallback="Subject: Subject\nText.") for name in ("welcome", "receipt")
        }
        content = encode(parse({"rules": rules, "consent": consent or {}}, made))
        use = Use(name="configuration", version=1, content=msgspec.Raw(content))
        whole: Iterable[Event | Control] = [Clock(clock), Tick(at=start), use, *log]
        self.state, self.outputs = fold_log(written(whole), repeat(3))

    @property
    def facts(self) -> Facts:
        return unpack(self.state.records[b"u1"]).facts

    @property
    def granted(self) -> dict[str, bool]:
        return {channel: state.granted for channel, state in sorted(self.facts.consent.items())}

    def records(self, topic: str) -> list[bytes]:
        return [record.value or b"" for each in self.outputs for record in each.commit.records if record.topic == topic]

    def notices(self, channel: str = "email") -> list[Notice]:
        found = (decode_notice(value) for value in self.records(f"messages.{channel}"))
        return [notice for notice in found if notice is not None]

    @property
    def rejected(self) -> list[Rejected]:
        return [decode_rejected(value) for value in self.records("events.rejected")]

    def counted(self, *name: str) -> float:
        return sum(each.counts.get(name, 0) for each in self.outputs)


def test_a_withdrawal_older_than_the_horizon_counts_and_is_no_dead_letter() -> None:
    folded = Folded(given(START), taken(START - 9 * DAY))

    assert folded.granted == {"email": False, "sms": False}
    assert folded.rejected == []
    assert folded.counted("withdrawals_salvaged", "too_late") == 1


def test_a_withdrawal_under_an_id_that_was_used_already_counts() -> None:
    folded = Folded(given(START), event("click", id="m", item="a"), taken(START + 1, id="m"))

    assert folded.granted == {"email": False, "sms": False}
    assert folded.counted("withdrawals_salvaged", "duplicate") == 1


@pytest.mark.parametrize("later", [0, HOUR, 400 * DAY])
def test_the_very_same_withdrawal_again_changes_nothing_however_late_it_comes(later: int) -> None:
    withdrawal, grant = taken(START, id="m"), given(START + 1)

    folded = Folded(withdrawal, grant, Tick(at=START + later), withdrawal, grant)

    assert folded.granted == {"email": True, "sms": True}
    assert folded.facts.events["consent"] == 2


def test_a_withdrawal_with_another_time_or_channel_counts_under_the_same_id() -> None:
    log = [taken(START, id="m"), given(START + 1)]

    assert Folded(*log, taken(START + 2, id="m")).granted == {"email": False, "sms": False}
    assert Folded(*log, taken(START, "sms", id="m")).granted == {"email": True, "sms": False}


def test_more_withdrawals_than_are_remembered_are_applied_again_and_never_lost() -> None:
    many = [taken(START + n, id=f"m{n}") for n in range(statements.MAX_REMEMBERED + 1)]

    visit = event("click", START + 9 * DAY, item="a")

    known = Folded(*many, given(START + HOUR), Tick(at=START + 9 * DAY), visit, many[1])
    folded = Folded(*many, given(START + HOUR), Tick(at=START + 9 * DAY), visit, many[0])

    assert known.granted == {"email": True, "sms": True}

    assert folded.granted == {"email": False, "sms": False}
    assert len(folded.facts.stated) == 8 * statements.MAX_REMEMBERED


def test_a_grant_older_than_the_horizon_is_refused() -> None:
    folded = Folded(given(START - 9 * DAY), event("click", item="a"))

    assert folded.granted == {}
    assert [one.reason for one in folded.rejected] == ["too_late"]


@pytest.mark.parametrize("name", ["unsubscribed", "Unsubscribed", "email_opt_out", "emailOptOut"])
def test_a_trait_withdraws_when_it_is_first_seen_and_when_it_changes_and_not_when_it_is_repeated(name: str) -> None:
    login = [traits(START + n * HOUR, **{name: True}) for n in range(1, 4)]
    again = given(START + 5 * HOUR)

    assert not Folded(given(START), login[0]).granted["email"]
    assert Folded(given(START), login[0], again, traits(START + 6 * HOUR, **{name: True})).granted["email"]
    assert Folded(given(START), login[0], again, *login).granted["email"]
    changed = [traits(START + 6 * HOUR, **{name: False}), traits(START + 7 * HOUR, **{name: "yes"})]
    assert not Folded(given(START), login[0], again, *changed).granted["email"]


def test_a_repeated_identify_withdraws_nothing_after_its_trait_has_changed_back() -> None:
    first, repeated = traits(START, unsubscribed=True), traits(START + 1, unsubscribed=True)
    changed, grant = traits(START + 2, unsubscribed=False), given(START + 3)

    folded = Folded(first, repeated, changed, grant, first, repeated)

    assert folded.granted == {"email": True, "sms": True}


@pytest.mark.parametrize("said", [{"unsubscribed": False}, {"subscribed": True}, {"marketing_consent": True}])
def test_the_opposite_value_of_a_trait_grants_nothing(said: dict[str, Any]) -> None:
    assert Folded(traits(START, **said)).granted == {}
    assert Folded(taken(START), traits(START + 1, **said)).granted == {"email": False, "sms": False}


def test_the_statements_of_any_other_event_withdraw_and_are_remembered_as_traits() -> None:
    viewed = event("page_view", START + 1, traits={"unsubscribed": True})

    folded = Folded(given(START), viewed)

    assert folded.granted == {"email": False, "sms": False}
    assert folded.facts.traits == {"unsubscribed": True}
    assert folded.facts.events["page_view"] == 1


def test_a_withdrawal_in_an_event_that_is_too_late_counts_and_its_dead_letter_says_so() -> None:
    folded = Folded(given(START), traits(START - 9 * DAY, unsubscribed=True, plan="pro"))

    assert folded.granted == {"email": False, "sms": False}
    assert [(one.reason, one.withdrawal) for one in folded.rejected] == [("too_late", True)]
    assert folded.facts.traits == {}


def test_a_withdrawal_in_an_event_for_which_there_is_no_room_counts() -> None:
    halves = [traits(START + n, **{f"half{n}": "x" * (MAX_BYTES // 2)}) for n in range(2)]
    full = traits(START + 5, half1="x" * (MAX_BYTES // 2), unsubscribed=True)

    folded = Folded(given(START), halves[0], full)

    assert folded.granted == {"email": False, "sms": False}
    assert folded.facts.traits.keys() == {"half0", "unsubscribed"}
    assert [(one.reason, one.field, one.accepted) for one in folded.rejected] == [("state_full", "traits.half1", True)]


def test_a_withdrawal_whose_trait_has_no_room_counts() -> None:
    full = traits(START, address={"street": "x" * (MAX_NEEDED_BYTES - 30)})

    folded = Folded(given(START), full, traits(START + 1, unsubscribed=True, email="ada@example.org"))

    assert folded.granted == {"email": False, "sms": False}
    assert folded.facts.traits.keys() == {"address", "email"}
    assert folded.counted("withdrawals_salvaged", "no_room") == 1


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (taken(START + 1, "email", traits={"sms_opt_out": True}), {"email": False, "sms": False}),
        (given(START + 1, "email", traits={"sms_opt_out": True}), {"email": True, "sms": False}),
        (given(START + 1, "email", traits={"unsubscribed": True}), {"email": False, "sms": False}),
        (
            event("custom", START + 1, name="Newsletter Stopped", traits={"sms_opt_out": 1}),
            {"email": False, "sms": False},
        ),
    ],
)
def test_a_trait_beside_another_statement_withdraws_as_well(other: Event, expected: dict[str, bool]) -> None:
    assert Folded(given(START), other, consent=CONSENT).granted == expected


def test_a_grant_that_is_refused_is_a_dead_letter_and_the_withdrawal_beside_it_counts() -> None:
    folded = Folded(given(START), given(START - 9 * DAY, "email", traits={"sms_opt_out": True}))

    assert folded.granted == {"email": True, "sms": False}
    assert [(one.reason, one.withdrawal) for one in folded.rejected] == [("too_late", True)]


def test_a_trait_hides_no_bounce() -> None:
    before = traits(START, email="ada@example.org", subscribed=True)
    bounced = event("custom", START + 1, name="Email Bounced", properties={"hard": True}, traits={"opt_out": True})

    kinds = [type(notice) for notice in Folded(given(START), before, bounced, clock="wall").notices()]

    assert sorted(kind.__name__ for kind in kinds) == ["AddressReport", "Withdrawal"]


def test_names_of_the_configuration_withdraw_and_what_it_ignores_does_not() -> None:
    stopped = event("custom", START + 1, name="newsletter stopped")

    assert Folded(given(START), stopped, consent=CONSENT).granted == {"email": False, "sms": True}
    assert Folded(given(START), stopped).granted == {"email": True, "sms": True}
    for said, expected in (
        ({"noMail": True}, {"email": False, "sms": False}),
        ({"status": "Muted"}, {"email": True, "sms": False}),
        ({"status": "active"}, {"email": True, "sms": True}),
        ({"subscribed": False}, {"email": True, "sms": True}),
        ({"unsubscribed": True}, {"email": False, "sms": False}),
    ):
        assert Folded(given(START), traits(START + 1, **said), consent=CONSENT).granted == expected


def test_delivery_hears_of_every_kind_of_withdrawal_also_of_one_whose_event_is_refused() -> None:
    before = [traits(START, email="ada@example.org"), given(START), event("custom", name="Trial Started")]
    for withdrawal in (
        taken(START + 1, reason="unsubscribe link"),
        taken(START - 9 * DAY),
        traits(START + 1, unsubscribed=True),
        traits(START - 9 * DAY, unsubscribed=True),
        event("custom", START + 1, name="Newsletter Stopped"),
    ):
        notices = Folded(*before, withdrawal, consent=CONSENT).notices()

        assert [type(notice) for notice in notices] == [Withdrawal]


class TestReports:
    """Tests of the reports about addresses."""

    def _reports(
        self, *log: Event, channel: str = "email", clock: Literal["feeder", "wall"] = "wall"
    ) -> list[tuple[str, str, int]]:
        known = traits(START, email="ada@example.org", phone="+4930901820")
        notices = Folded(known, *log, clock=clock).notices(channel)
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

    def test_an_address_in_the_event_wins_where_it_is_one(self) -> None:
        spam = taken(START + 1, "email", complaint=True, properties={"email": "old@example.org"})
        bad = taken(START + 1, "email", complaint=True, properties={"email": "nobody"})

        assert self._reports(spam) == [("complaint", "old@example.org", START + 1)]
        assert self._reports(bad) == [("complaint", "ada@example.org", START + 1)]

    def test_a_confirmed_grant_is_reported_and_no_other_one(self) -> None:
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
    def test_any_other_bounce_is_not(self, properties: dict[str, Any] | None) -> None:
        assert self._reports(event("custom", START + 1, name="Email Bounced", properties=properties)) == []


class TestPublicKeys:
    """What an event may not do that came with a key that stands in a page."""

    def test_it_grants_nothing(self) -> None:
        folded = Folded(given(START, "email", trust="public"))

        assert folded.granted == {}
        assert folded.facts.events == {"consent": 1}

    def test_it_withdraws(self) -> None:
        assert not Folded(given(START), taken(START + 1, trust="public")).granted["email"]

    def test_it_reports_no_address_and_confirms_nothing(self) -> None:
        known = traits(START, email="ada@example.org")
        for said in (
            taken(START + 1, "email", complaint=True, trust="public"),
            given(START + 1, "email", confirmed=True, trust="public"),
            event("custom", START + 1, name="Email Bounced", properties={"hard": True}, trust="public"),
        ):
            assert Folded(known, said).notices() == []

    def test_it_sets_an_address_where_there_is_none_and_never_replaces_or_forgets_one(self) -> None:
        eve = event("identify", START + 1, traits={"email": "eve@example.org", "plan": "pro"}, trust="public")
        gone = event("identify", START + 1, traits={"email": None, "phone": None}, trust="public")
        ada = traits(START, email="ada@example.org", phone="+4930901820")

        assert Folded(eve).facts.traits == {"email": "eve@example.org", "plan": "pro"}
        assert Folded(ada, eve).facts.traits == {"email": "ada@example.org", "phone": "+4930901820", "plan": "pro"}
        assert Folded(ada, gone).facts.traits == {"email": "ada@example.org", "phone": "+4930901820"}

    def test_its_order_counts_and_triggers_no_transactional_message(self) -> None:
        known = traits(START, email="ada@example.org")
        order = event("purchase", START + 1, amount=49_900_000, trust="public")

        for trust, sent in (("public", 0), ("server", 1)):
            folded = Folded(known, msgspec.structs.replace(order, trust=trust))
            assert folded.facts.orders == 1
            assert folded.counted("decisions", "dropped", "public_key") == 1 - sent
            assert folded.counted("messages", "email", "receipt") == sent

    def test_marketing_follows_from_it_where_consent_was_granted(self) -> None:
        known = [traits(START, email="ada@example.org"), given(START)]

        folded = Folded(*known, event("custom", START + 1, name="Trial Started", trust="public"))

        assert folded.counted("messages", "email", "welcome") == 1


def test_a_user_who_needs_a_new_grant_is_shown_so() -> None:
    folded = Folded(given(START + 5, "email"), taken(START, "email"))

    shown = describe("u1", unpack(folded.state.records[b"u1"]), START, Versions())["profile"]["consent"]["email"]

    assert (shown["granted"], shown["because"]) == (False, "a new grant is needed")
    assert shown["newest_grant"] == "2026-01-01T00:00:00.005Z"


def test_how_the_log_is_cut_does_not_show() -> None:
    log: list[Event | Control] = [
        Clock("feeder"),
        Tick(at=START),
        given(START),
        taken(START - 9 * DAY, complaint=True),
        traits(START - 9 * DAY, unsubscribed=True),
        event("click", id="m", item="a"),
        taken(START + 1, id="m"),
        given(START + 2),
    ]
    whole, outputs = fold_log(written(log), repeat(100))
    for size in (1, 2, 3):
        state, parts = fold_log(written(log), repeat(size), restart_every=2)
        assert state.records == whole.records
        assert _all(parts) == _all(outputs)


def _all(outputs: list[Outputs]) -> list[object]:
    return [record for each in outputs for record in each.commit.records]
