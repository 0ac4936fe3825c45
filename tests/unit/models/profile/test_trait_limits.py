"""Limits of traits: those that messages need are kept beside any number of others."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.configuration.compiled import ConsentSettings
from models.events import Event
from models.profile import trait_limits
from models.profile.codec import unpack
from models.profile.numbers import new_numbers
from models.profile.reducers import reduce_facts
from models.profile.state import Facts
from models.profile.trait_limits import MAX_BYTES, MAX_NEEDED_BYTES, MAX_TRAITS, NEEDED, beyond, is_needed
from models.rejected import decode_rejected
from models.wire.withdrawals import StatingTrait
from tests.support.event_logs import START, fold_log, written

OTHERS = {f"t{n}": n for n in range(MAX_TRAITS)}
ADDRESS = {"email": "ada@example.org", "phone": "+49 30 901820", "firstName": "Ada", "timezone": "Europe/Berlin"}


def identify(number: int, **traits: Any) -> Event:
    return Event(id=f"m{number}", user="u", type="identify", at=START + number, traits=traits)


@pytest.mark.parametrize("name", [*sorted(NEEDED), "unsubscribed", "Email Opt Out", "marketing_consent"])
def test_the_traits_that_messages_need_are_kept_beside_any_number_of_others(name: str) -> None:
    assert beyond(OTHERS, {name: "x"}) == []
    assert beyond({"bio": "x" * MAX_BYTES}, {name: "x"}) == []


@pytest.mark.parametrize("name", ["email", "phone"])
def test_an_address_always_has_room(name: str) -> None:
    full: dict[str, Any] = {"address": {"street": "x" * (MAX_NEEDED_BYTES - 30)}}

    assert beyond(full, {"firstName": "Ada", name: "+49 30 901820"}) == ["firstName"]


def test_the_101st_trait_is_left_out_and_reported_and_the_rest_counts() -> None:
    log = written([identify(0, **OTHERS), identify(1, shoe_size=38, **ADDRESS, t5="new")])

    state, outputs = fold_log(log, itertools.repeat(9))

    assert unpack(state.records[b"u"]).facts.traits == OTHERS | ADDRESS | {"t5": "new"}
    (letter,) = [decode_rejected(r.value) for o in outputs for r in o.commit.records if r.topic == "events.rejected"]
    assert (letter.reason, letter.field, letter.found) == ("state_full", "traits.shoe_size", "1 more: shoe_size")
    assert letter.accepted
    assert sum(o.counts.get(("event_warnings", "state_full"), 0) for o in outputs) == 1


def test_traits_without_room_are_reported_once_per_event_and_the_address_among_them_is_kept() -> None:
    log = written([identify(0, **{f"t{n}": n for n in range(200)}, email="ada@example.org")])

    state, outputs = fold_log(log, itertools.repeat(9))

    traits = unpack(state.records[b"u"]).facts.traits
    assert traits == OTHERS | {"email": "ada@example.org"}
    (letter,) = [decode_rejected(r.value) for o in outputs for r in o.commit.records if r.topic == "events.rejected"]
    assert (letter.field, letter.found[:20]) == ("traits", "100 more: t100, t101")


def test_a_known_trait_may_change_and_a_removed_trait_makes_room() -> None:
    assert beyond(OTHERS, {"t0": "new"}) == []
    assert beyond(OTHERS, {"t0": None, "new": 1}) == []
    assert beyond(OTHERS, {"new": 1, "t0": None}) == ["new"]
    assert beyond(OTHERS, {"never": None}) == []


def test_a_trait_that_is_too_large_is_left_out_alone() -> None:
    assert beyond({"bio": "x" * 30_000}, {"more": "x" * 5_000, "plan": "pro", "email": "a@b.example"}) == ["more"]
    assert beyond({}, {"address": {"street": "x" * MAX_NEEDED_BYTES}, "email": "a@b.example"}) == ["address"]


VALUES = st.none() | st.integers() | st.text(max_size=9_000)
NAMES = st.sampled_from([*sorted(NEEDED), "unsubscribed", *(f"t{n}" for n in range(150))])


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=120), max_size=8))
def test_a_users_traits_always_stay_within_their_limits(sent: list[dict[str, Any]]) -> None:
    known: dict[str, Any] = {}
    for said in sent:
        left_out = beyond(known, said)
        known |= {name: value for name, value in said.items() if name not in left_out}
        known = {name: value for name, value in known.items() if value is not None}

    others = {name: value for name, value in known.items() if not is_needed(name)}
    needed = {name: value for name, value in known.items() if is_needed(name)}
    assert len(others) <= MAX_TRAITS
    assert len(msgspec.json.encode(others)) <= MAX_BYTES
    assert len(msgspec.json.encode(needed)) <= MAX_NEEDED_BYTES + 2


def test_many_traits_with_long_names_do_not_displace_the_time_of_an_address() -> None:
    facts, numbers = Facts(), new_numbers()
    reduce_facts(facts, numbers, identify(5, email="new@example.org"))
    for number in range(6, 12):
        reduce_facts(facts, numbers, identify(number, **{f"{number}-{n}-{'x' * 150}": None for n in range(40)}))
    reduce_facts(facts, numbers, identify(1, email="old@example.org"))

    assert facts.traits["email"] == "new@example.org"


def test_a_trait_that_states_consent_by_the_configuration_is_needed_too() -> None:
    settings = ConsentSettings(traits={"noads": StatingTrait(withdraws=True)}, ignored=("subscribed",))

    assert beyond(OTHERS, {"no_ads": True, "subscribed": True}, settings) == ["subscribed"]


def test_the_warning_names_the_omitted_traits() -> None:
    found = trait_limits.warning([f"trait_{n}" for n in range(500)]).found

    assert found.startswith("500 more: trait_0, trait_1")
    assert len(found) <= 300
