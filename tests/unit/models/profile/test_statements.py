"""Statements that count even if their event does not, through the whole fold."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import pytest

from models.batch import Batch, Outputs
from models.delivery.notices import AddressReport, Withdrawal
from models.engage import outcomes
from models.events import Event
from models.fold.partition import PartitionFold
from models.fold.versions import Versions
from models.fold.view import describe
from models.log import Control, Tick, opening
from models.profile import statements
from models.profile.codec import unpack
from models.profile.trait_limits import MAX_BYTES, MAX_NEEDED_BYTES
from models.units import DAY, HOUR
from tests.support.event_logs import START, fold_log, written
from tests.support.statement_logs import CONSENT, StatementLog, event, given, taken, traits


def test_a_withdrawal_older_than_the_horizon_counts_and_is_not_a_dead_letter() -> None:
    folded = StatementLog(given(START), taken(START - 9 * DAY))

    assert folded.granted == {"email": False, "sms": False}
    assert folded.rejected == []
    assert folded.counted("withdrawals_salvaged", "too_late") == 1


def test_a_withdrawal_counts_although_its_id_was_used_before() -> None:
    folded = StatementLog(given(START), event("click", id="m", item="a"), taken(START + 1, id="m"))

    assert folded.granted == {"email": False, "sms": False}
    assert folded.counted("withdrawals_salvaged", "duplicate") == 1


@pytest.mark.parametrize("later", [0, HOUR, 400 * DAY])
def test_the_same_withdrawal_again_changes_nothing_at_any_later_time(later: int) -> None:
    withdrawal, grant = taken(START, id="m"), given(START + 1)

    folded = StatementLog(withdrawal, grant, Tick(at=START + later), withdrawal, grant)

    assert folded.granted == {"email": True, "sms": True}
    assert folded.facts.events["consent"] == 2


def test_a_withdrawal_with_another_time_or_channel_counts_under_the_same_id() -> None:
    log = [taken(START, id="m"), given(START + 1)]

    assert StatementLog(*log, taken(START + 2, id="m")).granted == {"email": False, "sms": False}
    assert StatementLog(*log, taken(START, "sms", id="m")).granted == {"email": True, "sms": False}


def test_more_withdrawals_than_are_remembered_are_applied_again_and_never_lost() -> None:
    many = [taken(START + n, id=f"m{n}") for n in range(statements.MAX_REMEMBERED + 1)]

    visit = event("click", START + 9 * DAY, item="a")

    known = StatementLog(*many, given(START + HOUR), Tick(at=START + 9 * DAY), visit, many[1])
    folded = StatementLog(*many, given(START + HOUR), Tick(at=START + 9 * DAY), visit, many[0])

    assert known.granted == {"email": True, "sms": True}

    assert folded.granted == {"email": False, "sms": False}
    assert len(folded.facts.stated) == 8 * statements.MAX_REMEMBERED


def test_a_grant_older_than_the_horizon_is_refused() -> None:
    folded = StatementLog(given(START - 9 * DAY), event("click", item="a"))

    assert folded.granted == {}
    assert [one.reason for one in folded.rejected] == ["too_late"]


@pytest.mark.parametrize("name", ["unsubscribed", "Unsubscribed", "email_opt_out", "emailOptOut"])
def test_a_trait_withdraws_when_it_is_first_seen_or_changes_and_not_when_it_is_repeated(name: str) -> None:
    login = [traits(START + n * HOUR, **{name: True}) for n in range(1, 4)]
    again = given(START + 5 * HOUR)

    assert not StatementLog(given(START), login[0]).granted["email"]
    assert StatementLog(given(START), login[0], again, traits(START + 6 * HOUR, **{name: True})).granted["email"]
    assert StatementLog(given(START), login[0], again, *login).granted["email"]
    changed = [traits(START + 6 * HOUR, **{name: False}), traits(START + 7 * HOUR, **{name: "yes"})]
    assert not StatementLog(given(START), login[0], again, *changed).granted["email"]


def test_a_repeated_identify_withdraws_nothing_after_its_trait_has_changed_back() -> None:
    first, repeated = traits(START, unsubscribed=True), traits(START + 1, unsubscribed=True)
    changed, grant = traits(START + 2, unsubscribed=False), given(START + 3)

    folded = StatementLog(first, repeated, changed, grant, first, repeated)

    assert folded.granted == {"email": True, "sms": True}


@pytest.mark.parametrize("said", [{"unsubscribed": False}, {"subscribed": True}, {"marketing_consent": True}])
def test_the_opposite_value_of_a_trait_grants_nothing(said: dict[str, Any]) -> None:
    assert StatementLog(traits(START, **said)).granted == {}
    assert StatementLog(taken(START), traits(START + 1, **said)).granted == {"email": False, "sms": False}


def test_traits_of_any_event_withdraw_and_are_kept_as_traits() -> None:
    viewed = event("page_view", START + 1, traits={"unsubscribed": True})

    folded = StatementLog(given(START), viewed)

    assert folded.granted == {"email": False, "sms": False}
    assert folded.facts.traits == {"unsubscribed": True}
    assert folded.facts.events["page_view"] == 1


def test_a_withdrawal_in_an_event_that_is_too_late_counts_and_its_dead_letter_says_so() -> None:
    folded = StatementLog(given(START), traits(START - 9 * DAY, unsubscribed=True, plan="pro"))

    assert folded.granted == {"email": False, "sms": False}
    assert [(one.reason, one.withdrawal) for one in folded.rejected] == [("too_late", True)]
    assert folded.facts.traits == {}


def test_a_withdrawal_counts_even_if_its_event_has_no_room() -> None:
    halves = [traits(START + n, **{f"half{n}": "x" * (MAX_BYTES // 2)}) for n in range(2)]
    full = traits(START + 5, half1="x" * (MAX_BYTES // 2), unsubscribed=True)

    folded = StatementLog(given(START), halves[0], full)

    assert folded.granted == {"email": False, "sms": False}
    assert folded.facts.traits.keys() == {"half0", "unsubscribed"}
    assert [(one.reason, one.field, one.accepted) for one in folded.rejected] == [("state_full", "traits.half1", True)]


def test_a_withdrawal_whose_trait_has_no_room_counts() -> None:
    full = traits(START, address={"street": "x" * (MAX_NEEDED_BYTES - 30)})

    folded = StatementLog(given(START), full, traits(START + 1, unsubscribed=True, email="ada@example.org"))

    assert folded.granted == {"email": False, "sms": False}
    assert folded.facts.traits.keys() == {"address", "email"}
    assert folded.counted("withdrawals_salvaged", "no_room") == 1


def full_of(at: int, email: str = "ada@example.org") -> Event:
    """Make an event after which there is no room for another trait that messages need, except for addresses."""
    return traits(at, address={"street": "x" * (MAX_NEEDED_BYTES - 60)}, email=email)


def test_only_the_part_of_a_statement_whose_trait_has_no_room_is_salvaged() -> None:
    bounce = event(
        "custom", START + 2, name="Email Bounced", properties={"type": "hard"}, traits={"unsubscribed": True}
    )
    complaint = taken(START + 3, "email", complaint=True, traits={"sms_opt_out": True})

    log = [full_of(START), given(START + 1), bounce, given(START + 2, "email"), complaint]
    folded = StatementLog(*log, clock="wall")

    reports = [notice.kind for notice in folded.notices() if isinstance(notice, AddressReport)]
    assert reports == ["hard_bounce", "complaint"]
    assert folded.granted == {"email": False, "sms": False}
    assert folded.counted("withdrawals_salvaged", "no_room") == 2


def test_a_trait_without_room_that_states_nothing_leaves_nothing_to_salvage() -> None:
    folded = StatementLog(given(START + 1), traits(START + 2, unsubscribed=True, plan="x" * MAX_BYTES))

    assert folded.granted == {"email": False, "sms": False}
    assert [one.field for one in folded.rejected] == ["traits.plan"]
    assert folded.counted("withdrawals_salvaged", "no_room") == 0


def test_a_salvaged_statement_that_fails_counts_when_its_dead_letter_is_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full, both = full_of(START), traits(START + 2, unsubscribed=True, plan="pro")
    log: list[Event | Control] = [full, given(START + 1), both]

    def failing(*_: object) -> None:
        raise ZeroDivisionError("no notice")

    with monkeypatch.context() as patch:
        patch.setattr(outcomes, "notices_of_withdrawal", failing)
        folded = StatementLog(*log)
        assert folded.granted == {"email": True, "sms": True}
    outputs = PartitionFold(folded.state).fold(Batch("events", 0, [written([both])[0]._replace(offset=99)]))
    folded.state.apply(outputs.commit)

    assert folded.granted == {"email": False, "sms": False}
    assert folded.facts.events["identify"] == 2


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
    assert StatementLog(given(START), other, consent=CONSENT).granted == expected


def test_a_grant_that_is_refused_is_a_dead_letter_and_the_withdrawal_beside_it_counts() -> None:
    folded = StatementLog(given(START), given(START - 9 * DAY, "email", traits={"sms_opt_out": True}))

    assert folded.granted == {"email": True, "sms": False}
    assert [(one.reason, one.withdrawal) for one in folded.rejected] == [("too_late", True)]


def test_a_trait_in_the_event_of_a_bounce_does_not_hide_the_bounce() -> None:
    before = traits(START, email="ada@example.org", subscribed=True)
    bounced = event("custom", START + 1, name="Email Bounced", properties={"hard": True}, traits={"opt_out": True})

    kinds = [type(notice) for notice in StatementLog(given(START), before, bounced, clock="wall").notices()]

    assert sorted(kind.__name__ for kind in kinds) == ["AddressReport", "Withdrawal"]


def test_configured_names_withdraw_and_ignored_traits_do_not() -> None:
    stopped = event("custom", START + 1, name="newsletter stopped")

    assert StatementLog(given(START), stopped, consent=CONSENT).granted == {"email": False, "sms": True}
    assert StatementLog(given(START), stopped).granted == {"email": True, "sms": True}
    for said, expected in (
        ({"noMail": True}, {"email": False, "sms": False}),
        ({"status": "Muted"}, {"email": True, "sms": False}),
        ({"status": "active"}, {"email": True, "sms": True}),
        ({"subscribed": False}, {"email": True, "sms": True}),
        ({"unsubscribed": True}, {"email": False, "sms": False}),
    ):
        assert StatementLog(given(START), traits(START + 1, **said), consent=CONSENT).granted == expected


def test_delivery_is_notified_of_every_kind_of_withdrawal_even_if_its_event_is_refused() -> None:
    before = [traits(START, email="ada@example.org"), given(START), event("custom", name="Trial Started")]
    for withdrawal in (
        taken(START + 1, reason="unsubscribe link"),
        taken(START - 9 * DAY),
        traits(START + 1, unsubscribed=True),
        traits(START - 9 * DAY, unsubscribed=True),
        event("custom", START + 1, name="Newsletter Stopped"),
    ):
        notices = StatementLog(*before, withdrawal, consent=CONSENT).notices()

        assert [type(notice) for notice in notices] == [Withdrawal]


def test_the_view_says_if_a_new_grant_is_needed() -> None:
    folded = StatementLog(given(START + 5, "email"), taken(START, "email"))

    shown = describe("u1", unpack(folded.state.records[b"u1"]), START, Versions())["profile"]["consent"]["email"]

    assert (shown["granted"], shown["because"]) == (False, "a new grant is needed")
    assert shown["newest_grant"] == "2026-01-01T00:00:00.005Z"


def test_statements_cut_into_any_batches_give_the_same_bytes() -> None:
    log: list[Event | Control] = [
        opening("feeder"),
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
