from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from models.conditions.clauses import ValueComparison
from models.configuration.compiled import Trigger
from models.configuration.templates import (
    CONFIRM,
    CONFIRM_NAMES,
    FALLBACK_NAMES,
    NAMES,
    UNSUBSCRIBE_PLACEHOLDER,
    Template,
    TemplateError,
)
from models.delivery.messages import message_id
from models.engage.composing import Content, certain, compose, compose_fallback, context
from models.engage.recipient import Recipient
from models.profile.signals import Signal
from models.profile.state import CartLine
from tests.support.people import NOW, customer, rule, signal


def test_a_message_id_follows_from_user_rule_cause_and_time() -> None:
    ids = {
        message_id("u1", "r", "m1", 1),
        message_id("u2", "r", "m1", 1),
        message_id("u1", "s", "m1", 1),
        message_id("u1", "r", "m2", 1),
        message_id("u1", "r", "m1", 2),
        message_id("u1r", "", "m1", 1),
    }

    assert len(ids) == 6
    assert message_id("u1", "r", "m1", 1) in ids


def test_a_template_may_use_exactly_the_documented_names() -> None:
    assert set(context(rule(), signal(), Recipient("u1", customer(), NOW), "UTC")) == set(NAMES)


def test_amounts_are_units_and_not_micros() -> None:
    who = customer()
    who.facts.cart = {"sku1": CartLine(quantity=2, price=12_505_000)}
    who.facts.spent = {"EUR": 99_990_000}

    values = context(rule(), signal(), Recipient("u1", who, NOW), "UTC")

    assert values["cart"]["total"] == Decimal("25.01")
    assert values["cart"]["count"] == 2
    assert values["spent"] == {"EUR": Decimal("99.99")}


def _values() -> dict[str, object]:
    return context(rule(), signal(), Recipient("u1", customer(), NOW), "UTC")


def test_marketing_by_e_mail_always_has_an_unsubscribe_link() -> None:
    plain = Template("Hi", "text", "<html><body>html</body></html>")

    content = compose(plain, "email", "marketing", _values())

    assert UNSUBSCRIBE_PLACEHOLDER in content.text
    assert content.html is not None
    assert content.html.index(UNSUBSCRIBE_PLACEHOLDER) < content.html.index("</body>")


def test_an_unsubscribe_link_in_the_template_is_not_repeated() -> None:
    content = compose(Template("Hi", "bye: {{ unsubscribe_url }}"), "email", "marketing", _values())

    assert content.text.count(UNSUBSCRIBE_PLACEHOLDER) == 1


ADDRESS = "Shop & Co\n1 High Street, York"


def _with_address() -> dict[str, object]:
    return context(rule(), signal(), Recipient("u1", customer(), NOW), "UTC", ADDRESS)


def test_marketing_by_e_mail_always_has_the_postal_address() -> None:
    plain = Template("Hi", "text {{ unsubscribe_url }}", "<body>html {{ unsubscribe_url }}</BODY>")

    content = compose(plain, "email", "marketing", _with_address())

    assert content.text.endswith(f"\n\n--\n{ADDRESS}\n")
    assert content.html is not None
    assert content.html.endswith('<p style="font-size:12px">Shop &amp; Co<br>1 High Street, York</p></BODY>\n')
    receipt = compose(plain, "email", "transactional", _with_address())
    assert "High Street" not in receipt.text + str(receipt.html)


def test_a_postal_address_in_the_template_is_not_repeated() -> None:
    address = "{{ sender.postal_address | newline_to_br }}"
    template = Template("Hi", "{{ sender.postal_address }}", f"<p>{address}</p>")

    content = compose(template, "email", "marketing", _with_address())

    assert content.html is not None
    assert [part.count("1 High Street") for part in (content.text, content.html)] == [1, 1]


def test_a_receipt_has_no_unsubscribe_link() -> None:
    assert UNSUBSCRIBE_PLACEHOLDER not in compose(Template("Hi", "text"), "email", "transactional", _values()).text


def test_an_sms_uses_the_text_for_sms_if_there_is_one() -> None:
    template = Template("Hi", "long", sms="short")

    assert compose(template, "sms", "marketing", _values()).text == "short\n"
    assert compose(Template("Hi", "long"), "sms", "marketing", _values()).text == "long\n"


def test_a_subject_is_one_line_for_any_name_of_a_user() -> None:
    values = {**_values(), "first_name": "Ada\r\nBcc: eve@example.com\u2028\x00x"}

    content = compose(Template("Hi {{ first_name }}", "text"), "email", "marketing", values)

    assert content.subject == "Hi Ada Bcc: eve@example.com x"


@pytest.mark.parametrize(
    "kept",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "👨\u200d👩\u200d👧",
        "❤\ufe0f",
        "\u200f\u05e9\u05dc\u05d5\u05dd",
        "10\u00a0€",
        "क्\u200dष",
    ],
)
def test_joiners_selectors_and_marks_are_kept_in_a_subject(kept: str) -> None:
    content = compose(Template("{{ first_name }}!", "text"), "email", "marketing", {**_values(), "first_name": kept})

    assert content.subject == f"{kept}!"


@pytest.mark.parametrize("absent", [None, "", "  ", "\r\n\t", "\x00\x1f", "\u200d\u200c", "\ufe0f", "\u2028", "\u00a0"])
@pytest.mark.parametrize("part", ["subject", "text", "html"])
def test_an_empty_part_is_an_error_that_names_its_file(part: str, absent: str | None) -> None:
    sources = {"subject": "Hi", "text": "text", "html": "<p>", part: " {{ first_name }}"}

    with pytest.raises(TemplateError, match=rf"^templates/hello/{part}\.liquid: the result is empty$"):
        compose(Template(**sources), "email", "marketing", {**_values(), "first_name": absent}, name="hello")


def test_a_message_without_visible_text_is_an_error() -> None:
    with pytest.raises(TemplateError, match="the result is empty"):
        compose(Template("Hi", "{{ segment }}"), "sms", "marketing", {**_values(), "segment": None})


@pytest.mark.parametrize("part", ["subject", "text", "html", "sms"])
def test_an_error_names_file_and_line(part: str) -> None:
    failing = "Hello\n\n{% if true %}\n{{ 1 | divided_by: 0 }}{% endif %}"
    template = Template(**{"subject": "Hi", "text": "text", "html": "<p>", "sms": "text", part: failing})

    with pytest.raises(TemplateError, match=rf"^templates/hello/{part}\.liquid:4: divided_by: can't divide by 0$"):
        compose(template, "sms" if part == "sms" else "email", "marketing", _values(), name="hello")


def test_a_fallback_has_its_subject_in_its_first_line() -> None:
    template = Template("Hi", "text", fallback="Subject: Order of {{ user }}\n\nThank you.\n")
    values = certain(rule(), signal(), "u1", "UTC", NOW)

    assert compose_fallback(template, "email", values) == Content("Order of u1", "Thank you.\n", None)
    assert compose_fallback(template, "sms", values) == Content("", "Thank you.\n", None)


def test_an_error_in_a_fallback_names_the_line_in_the_file_of_the_fallback() -> None:
    template = Template("Hi", "text", fallback="Subject: Hi\n\n{{ 1 | modulo: 0 }}")

    with pytest.raises(TemplateError, match=r"^templates/hello/fallback\.liquid:3: modulo: can't divide by 0$"):
        compose_fallback(template, "email", certain(rule(), signal(), "u1", "UTC", NOW), name="hello")


def test_a_fallback_may_use_only_values_that_every_trigger_of_the_rule_has() -> None:
    waiting = msgspec.structs.replace(rule(), when=Trigger(kind="event", name="Paid", where={"plan": ("pro",)}))
    paid = Signal(kind="event", user="u1", at=NOW, cause="m1", name="Paid", properties={"plan": "pro", "coupon": "x"})

    values = certain(waiting, paid, "u1", "UTC", NOW)

    assert set(values) == set(FALLBACK_NAMES)
    operators = tuple((name, ValueComparison(is_set=True)) for name in ("coupon", "category", "page.kind"))
    named = msgspec.structs.replace(waiting, when=msgspec.structs.replace(waiting.when, conditions=operators))
    assert certain(named, paid, "u1", "UTC", NOW)["signal"]["properties"] == {"plan": "pro", "coupon": "x"}
    assert values["signal"] == {"kind": "event", "name": "Paid", "at": NOW, "properties": {"plan": "pro"}}


def test_a_template_that_asks_for_a_confirmation_reads_nothing_about_the_user() -> None:
    asking = msgspec.structs.replace(rule(), name=CONFIRM, template=CONFIRM)
    said = {"purpose": "news", "channel": "email", "text": "You have won!"}
    pending = Signal(kind="consent_pending", user="bait", at=NOW, cause="m1", name=CONFIRM, properties=said)
    who = customer()
    who.facts.traits = {"firstName": "bait", "email": "bait"}

    values = context(asking, pending, Recipient("bait", who, NOW), "UTC")
    fallback = certain(asking, pending, "bait", "UTC", NOW)

    assert set(values) == set(NAMES)
    assert set(fallback) == set(FALLBACK_NAMES)
    for found in (values, fallback):
        assert {name for name, value in found.items() if value is not None} == set(CONFIRM_NAMES)
        assert found["signal"]["properties"] == {"purpose": "news", "channel": "email"}
        assert "bait" not in str(found)
