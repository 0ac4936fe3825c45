"""Traits of ``identify``: addresses, and traits that are left out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.wire_records import identify, read, warned


@pytest.mark.parametrize("root", [None, {}, [], "", "none"])
def test_traits_of_the_context_count_if_the_record_itself_has_none(root: Any) -> None:
    event, _ = warned(identify(root, context={"traits": {"email": "a@b.example", "plan": "pro"}}))

    assert event.traits == {"email": "a@b.example", "plan": "pro"}


def test_the_traits_of_a_record_take_precedence_over_those_of_its_context() -> None:
    assert read(identify({"plan": "pro"}, context={"traits": {"plan": "old", "age": 5}})).traits == {"plan": "pro"}


@pytest.mark.parametrize("context", [None, [], "x", {}, {"traits": None}, {"traits": []}, {"traits": "x"}])
def test_an_identify_is_never_refused_because_of_its_context(context: Any) -> None:
    assert warned(identify(None, context=context))[0].traits == {}


def test_blanks_around_an_address_do_not_count() -> None:
    event, warnings = warned(identify({"email": "\u00a0 Node1@shop.example\u200b ", "phone": " +49 30 901820\t"}))

    assert event.traits == {"email": "Node1@shop.example", "phone": "+49 30 901820"}
    assert warnings == []


@pytest.mark.parametrize(
    "email",
    [
        "not-an-email",
        "a@b@c.example",
        "ada@i\u2764.example",
        "Ada <a@b.example>",
        "a@b.c\r\nBcc: x@y.z",
        5,
        [],
        True,
        "j\u00fc@b.example",
    ],
)
def test_a_bad_address_is_a_dead_letter_and_the_other_traits_count(email: object) -> None:
    event, warnings = warned(identify({"email": email, "plan": "pro"}))

    assert event.traits == {"plan": "pro"}
    assert [(one.field, one.rejected) for one in warnings] == [("traits.email", True)]
    assert "keeps the previous one" in warnings[0].allowed


def test_a_bad_address_in_the_short_form_is_a_dead_letter_and_the_other_traits_count() -> None:
    event, warnings = warned({"type": "identify", "user": "u1", "traits": {"email": "nobody", "plan": "pro"}})

    assert event.traits == {"plan": "pro"}
    assert [(one.reason, one.field, one.rejected) for one in warnings] == [("bad_email", "traits.email", True)]


@pytest.mark.parametrize(
    ("traits", "kept"),
    [
        ({"phone": "call me", "country": "DE"}, False),
        ({"phone": "+49"}, False),
        ({"phone": "+12345"}, False),
        ({"phone": "call me", "address": {"country": "us"}}, False),
        ({"phone": "030 901820"}, True),
        ({"phone": "030 901820", "country": "DE"}, True),
        ({"phone": "030 901820", "country": "Germany"}, True),
        ({"phone": 491511234567}, True),
    ],
)
def test_a_phone_number_is_left_out_only_if_it_certainly_does_not_exist(traits: dict[str, Any], kept: bool) -> None:
    event, warnings = warned(identify(traits))

    assert event.traits is not None
    assert ("phone" in event.traits) == kept
    assert [(one.reason, one.rejected) for one in warnings] == ([] if kept else [("bad_phone", True)])


def test_only_the_trait_of_another_type_is_left_out() -> None:
    event, warnings = warned(identify({"firstName": ["Ada"], "lastName": 5, "name": " ", "plan": "pro"}))

    assert event.traits == {"lastName": "5", "plan": "pro"}
    assert [(one.reason, one.field, one.rejected) for one in warnings] == [("wrong_type", "traits.firstName", False)]


def test_line_breaks_around_a_trait_do_not_count() -> None:
    event, warnings = warned(identify({"timezone": "Europe/Berlin\n", "firstName": "\tAda\r\n", "lastName": "A\nB"}))

    assert event.traits == {"timezone": "Europe/Berlin", "firstName": "Ada"}
    assert [(one.reason, one.field) for one in warnings] == [("control_character", "traits.lastName")]
