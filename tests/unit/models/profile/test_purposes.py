"""Consent by purpose and channel, compared with the list of all statements that were read, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile import consents, purposes
from models.profile.codec import pack, unpack
from models.profile.consents import ConsentProof
from models.profile.state import UNKNOWN_TIME, Consent, Customer, Facts

NAMES = ("marketing", "news", "tracking")
CHANNELS = ("email", "sms")


class StatedPurpose(NamedTuple):
    """A statement; without a purpose, a withdrawal of all."""

    granted: bool
    purpose: str | None
    channel: str
    at: int


# Few channels and times, so that many statements of a list are about the same thing.
_CHANNEL, _AT = st.sampled_from(("email", "email", "email", "sms")), st.integers(1, 6)
GRANTS = st.builds(StatedPurpose, st.just(True), st.sampled_from(NAMES), _CHANNEL, _AT)
WITHDRAWALS = st.builds(StatedPurpose, st.just(False), st.sampled_from([*NAMES, None, None, None]), _CHANNEL, _AT)
MANY = st.lists(GRANTS | WITHDRAWALS, max_size=14)
TARGET = st.tuples(st.sampled_from((*NAMES, "news")), _CHANNEL)


def _next(known: Mapping[str, Consent], said: StatedPurpose) -> dict[str, Consent]:
    proof = ConsentProof("form", f"{said}", "consent")
    if said.granted:
        assert said.purpose is not None
        return purposes.grant(known, said.purpose, said.channel, said.at, proof)
    if said.purpose is None:
        return purposes.withdraw_all(known, said.channel, said.at, proof)
    return purposes.withdraw_one(known, said.purpose, said.channel, said.at, proof)


def _state(said: list[StatedPurpose]) -> dict[str, Consent]:
    return reduce(_next, said, {})


def _about(said: list[StatedPurpose], purpose: str, channel: str, *, granted: bool) -> int:
    """Return the newest time of the statements that are about a purpose and a channel; 0 without any."""
    return max(
        (
            one.at
            for one in said
            if one.granted is granted and one.channel == channel and one.purpose in (purpose, None)
        ),
        default=0,
    )


def _answered(consent: Mapping[str, Consent], purpose: str, channel: str) -> tuple[bool, int] | None:
    state = purposes.state_of(consent, purpose, channel)
    return None if state is None else (state.granted, state.at)


def _answer(consent: Mapping[str, Consent], purpose: str, channel: str) -> bool | None:
    state = purposes.state_of(consent, purpose, channel)
    return None if state is None else state.granted


@given(MANY, TARGET)
def test_the_answer_is_never_yes_if_some_withdrawal_is_as_new_as_all_grants(
    said: list[StatedPurpose], target: tuple[str, str]
) -> None:
    newest = [_about(said, *target, granted=granted) for granted in (False, True)]

    found = _answer(_state(said), *target)

    if newest == [0, 0]:
        assert found is None
    elif newest[0] >= newest[1]:
        assert found is False
    elif newest[0] == 0:
        assert found is True


@given(MANY, TARGET, st.integers(1, 12))
def test_the_answer_is_yes_if_the_newest_statement_is_a_grant_and_it_is_read_last(
    said: list[StatedPurpose], target: tuple[str, str], ahead: int
) -> None:
    newest = max(_about(said, *target, granted=granted) for granted in (False, True))

    assert _answer(_next(_state(said), StatedPurpose(True, *target, newest + ahead)), *target) is True


@given(MANY, MANY, TARGET)
def test_a_merge_of_identities_follows_the_same_rule(
    one: list[StatedPurpose], other: list[StatedPurpose], target: tuple[str, str]
) -> None:
    joint, both = purposes.join(_state(one), _state(other)), [*one, *other]
    newest = [_about(both, *target, granted=granted) for granted in (False, True)]

    assert joint == purposes.join(_state(other), _state(one))
    if newest == [0, 0]:
        assert _answer(joint, *target) is None
    elif newest[0] >= newest[1]:
        assert _answer(joint, *target) is False
    elif newest[0] == 0:
        assert _answer(joint, *target) is True
    assert _answer(_next(joint, StatedPurpose(True, *target, max(newest) + 1)), *target) is True


@given(MANY, MANY, TARGET, st.integers(1, 12))
def test_a_withdrawal_before_a_merge_holds_for_an_older_grant_that_is_read_after_it(
    one: list[StatedPurpose], other: list[StatedPurpose], target: tuple[str, str], at: int
) -> None:
    joint, both = purposes.join(_state(one), _state(other)), [*one, *other]

    found = _answer(_next(joint, StatedPurpose(True, *target, at)), *target)

    if _about(both, *target, granted=False) >= max(at, _about(both, *target, granted=True)):
        assert found is False


@given(MANY, TARGET, st.integers(1, 12))
def test_a_statement_about_one_purpose_or_channel_says_nothing_about_another(
    said: list[StatedPurpose], target: tuple[str, str], at: int
) -> None:
    before = _state(said)

    for granted in (True, False):
        after = _next(before, StatedPurpose(granted, *target, at))
        for purpose in NAMES:
            for channel in CHANNELS:
                if (purpose, channel) != target:
                    assert _answered(after, purpose, channel) == _answered(before, purpose, channel)


@given(MANY)
def test_the_entries_of_marketing_are_those_without_purposes(said: list[StatedPurpose]) -> None:
    """States from before there were purposes mean the same."""
    for channel in CHANNELS:
        known = None
        for one in said:
            if one.channel == channel and one.purpose in ("marketing", None):
                act = consents.grant if one.granted else consents.withdraw
                known = act(known, one.at, ConsentProof("form", f"{one}", "consent"))
        found = _state(said).get(channel)
        assert (None if found is None else msgspec.structs.replace(found, everything=UNKNOWN_TIME)) == known


@given(MANY)
def test_the_entries_can_be_stored(said: list[StatedPurpose]) -> None:
    customer = Customer(Facts(consent=_state(said)))

    assert unpack(pack(customer)) == customer


@given(MANY, st.lists(GRANTS | WITHDRAWALS, min_size=1, max_size=6), TARGET)
def test_an_entry_of_the_first_level_never_lets_an_older_grant_count(
    before: list[StatedPurpose], after: list[StatedPurpose], target: tuple[str, str]
) -> None:
    """The first level knows marketing alone, and stores no time of a withdrawal of everything."""
    known: dict[str, Consent] = {}
    first = [one._replace(purpose="marketing" if one.granted else None) for one in before]
    for one in first:
        if one.granted:
            known = purposes.grant(known, "marketing", one.channel, one.at, level=1)
        else:
            known = purposes.withdraw_all(known, one.channel, one.at, level=1)
    assert all(state.everything == UNKNOWN_TIME for state in known.values())

    found = _answer(reduce(_next, after, known), *target)

    whole = [*first, *after]
    if _about(whole, *target, granted=False) >= _about(whole, *target, granted=True):
        assert not found


@pytest.mark.parametrize("order", [(3, 9), (9, 3)])
def test_of_two_withdrawals_of_everything_the_later_one_counts_for_a_purpose_without_an_entry(
    order: tuple[int, int],
) -> None:
    consent: dict[str, Consent] = {}
    for at in order:
        consent = purposes.withdraw_all(consent, "email", at)

    assert not purposes.grant(consent, "news", "email", 9)["news@email"].granted
    assert purposes.grant(consent, "news", "email", 10)["news@email"].granted


@pytest.mark.parametrize(("granted", "until"), [(True, 8), (False, 9)])
def test_before_an_entry_of_the_first_level_there_may_have_been_a_withdrawal_of_everything(
    granted: bool, until: int
) -> None:
    consent = {"email": Consent(granted=granted, at=9)}

    assert not purposes.grant(consent, "news", "email", until)["news@email"].granted
    assert purposes.grant(consent, "news", "email", until + 1)["news@email"].granted
    again = purposes.grant(consent, "marketing", "email", 20)
    assert not purposes.grant(again, "news", "email", until)["news@email"].granted


def test_a_purpose_without_an_entry_shows_the_withdrawal_of_everything_and_its_proof() -> None:
    proof = ConsentProof("unsubscribe link", "m7", "consent")
    consent = purposes.withdraw_all({}, "email", 30, proof)

    state = purposes.state_of(consent, "news", "email")

    assert state is not None
    assert (state.granted, state.at, consents.proof_of(state)) == (False, 30, proof)
    assert purposes.state_of(consent, "news", "sms") is None


def test_a_withdrawal_for_which_there_is_no_room_withdraws_everything_and_is_never_lost() -> None:
    consent: dict[str, Consent] = {}
    for number in range(purposes.MAX_PURPOSES - 1):
        assert purposes.has_room(consent, f"p{number}")
        consent = purposes.grant(consent, f"p{number}", "email", 10)
    assert not purposes.has_room(consent, "other")
    assert purposes.has_room(consent, "marketing")
    assert purposes.has_room(consent, "p3")

    after = purposes.withdraw_one(consent, "other", "email", 20)

    assert not any(state.granted for state in after.values())
    assert purposes.state_of(after, "other", "email") is not None


class StatedBasis(NamedTuple):
    what: str
    at: int


STATED = st.builds(StatedBasis, st.sampled_from(["grant", "withdraw", "permit"]), st.integers(1, 12))
ACTS = {"grant": consents.grant, "withdraw": consents.withdraw, "permit": consents.permit}


def _single(said: list[StatedBasis]) -> Consent | None:
    return reduce(lambda known, one: ACTS[one.what](known, one.at), said, None)


@given(st.lists(STATED, max_size=10), st.lists(STATED, max_size=10))
def test_an_existing_customer_counts_only_without_any_consent_or_withdrawal(
    one: list[StatedBasis], other: list[StatedBasis]
) -> None:
    for said, state in (
        (one, _single(one)),
        ([*one, *other], consents.merge(_single(one), _single(other))),
        ([*one, *other], consents.merge(_single(other), _single(one))),
    ):
        stated = [which for which in said if which.what != "permit"]
        if not said:
            assert state is None
            continue
        assert state is not None
        if not stated:
            assert (state.granted, state.basis) == (True, "existing_customer")
            assert state.at == max(which.at for which in said)
        else:
            assert not state.basis
        if any(which.what == "withdraw" for which in said) and state.granted:
            newest = {what: max((w.at for w in said if w.what == what), default=0) for what in ACTS}
            assert newest["grant"] > newest["withdraw"]


@pytest.mark.parametrize("key", ["email", "news@email", "a_b@sms"])
def test_the_name_of_an_entry_can_be_read_again(key: str) -> None:
    assert purposes.key_of(*purposes.parts_of(key)) == key


def test_what_was_lost_is_named_by_its_purpose() -> None:
    before = purposes.grant(purposes.grant({}, "news", "email", 5), "marketing", "sms", 5)

    assert purposes.lost(before, purposes.withdraw_all(before, "email", 9)) == {"news": ["email"]}
    assert purposes.lost(before, before) == {}
    assert purposes.lost(before, {}) == {"news": ["email"], "marketing": ["sms"]}
