"""Consent to push messages: it has to be named, a withdrawal of everything ends it, and other users' states stay."""

from __future__ import annotations

from itertools import permutations

import pytest

from models.engage import consent
from models.profile.state import Facts
from tests.support.event_logs import START
from tests.support.fcm import device
from tests.support.statement_logs import StatementLog, event, given, taken, traits


def test_a_grant_for_all_channels_grants_no_push_and_stores_nothing_about_it() -> None:
    assert StatementLog(given(START)).granted == {"email": True, "sms": True}


def test_a_withdrawal_of_everything_stores_nothing_about_push_for_a_user_who_never_had_it() -> None:
    assert StatementLog(given(START), taken(START + 1)).granted == {"email": False, "sms": False}


def test_a_withdrawal_of_everything_ends_push_in_whatever_order_it_is_read() -> None:
    statements = [given(START, "push"), taken(START + 1), event("click", START + 2, item="a")]
    for order in permutations(statements):
        assert StatementLog(*order).granted == {"email": False, "sms": False, "push": False}


def test_a_newer_grant_counts_after_a_withdrawal_of_everything() -> None:
    folded = StatementLog(taken(START + 1), given(START + 2, "push"))

    assert folded.granted == {"email": False, "sms": False, "push": True}


def test_the_first_level_knows_no_push() -> None:
    folded = StatementLog(given(START, "push"), given(START + 1), level=1)

    assert folded.granted == {"email": True, "sms": True}
    assert [(one.reason, one.field) for one in folded.rejected] == [("bad_channel", "channel")]


def test_at_the_first_level_a_withdrawal_of_push_is_one_of_all_channels() -> None:
    folded = StatementLog(given(START), taken(START + 1, "push"), level=1)

    assert folded.granted == {"email": False, "sms": False}


def test_a_withdrawal_of_push_leaves_the_other_channels() -> None:
    folded = StatementLog(given(START), given(START, "push"), taken(START + 1, "push"))

    assert folded.granted == {"email": True, "sms": True, "push": False}


def test_a_trait_that_withdraws_everything_ends_push() -> None:
    folded = StatementLog(given(START, "push"), traits(START + 1, unsubscribed=True))

    assert not folded.granted["push"]


@pytest.mark.parametrize("written", ["", "short", 7, None, {"token": device()}])
def test_a_trait_that_is_no_push_address_is_none(written: object) -> None:
    assert consent.address(Facts(traits={"push": written}), "push") is None


def test_the_trait_push_is_the_address() -> None:
    folded = StatementLog(traits(START, push=f" {device()} "), event("click", item="a"))

    assert consent.address(folded.facts, "push") == device()
