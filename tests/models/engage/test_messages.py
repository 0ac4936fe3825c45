from __future__ import annotations

from decimal import Decimal

import pytest

from models.customer.state import CartLine
from models.engage.messages import compose, context, message_id
from models.engage.templates import NAMES, UNSUBSCRIBE_PLACEHOLDER, Template, TemplateError
from tests.models.engage.people import NOW, customer, rule, signal


def test_an_id_follows_from_user_rule_and_cause_and_from_nothing_else() -> None:
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


def test_a_template_is_given_exactly_the_names_that_check_knows() -> None:
    assert set(context(rule(), signal(), "u1", customer(), "UTC", NOW)) == set(NAMES)


def test_amounts_are_units_and_not_micros() -> None:
    who = customer()
    who.facts.cart = {"sku1": CartLine(quantity=2, price=12_505_000)}
    who.facts.spent = {"EUR": 99_990_000}

    values = context(rule(), signal(), "u1", who, "UTC", NOW)

    assert values["cart"]["total"] == Decimal("25.01")
    assert values["cart"]["count"] == 2
    assert values["spent"] == {"EUR": Decimal("99.99")}


def _values() -> dict[str, object]:
    return context(rule(), signal(), "u1", customer(), "UTC", NOW)


def test_marketing_by_e_mail_always_has_a_way_out() -> None:
    plain = Template("Hi", "text", "<html><body>html</body></html>")

    content = compose(plain, "email", "marketing", _values())

    assert UNSUBSCRIBE_PLACEHOLDER in content.text
    assert content.html is not None
    assert content.html.index(UNSUBSCRIBE_PLACEHOLDER) < content.html.index("</body>")


def test_a_link_that_the_template_has_is_not_doubled() -> None:
    content = compose(Template("Hi", "bye: {{ unsubscribe_url }}"), "email", "marketing", _values())

    assert content.text.count(UNSUBSCRIBE_PLACEHOLDER) == 1


def test_a_receipt_has_no_unsubscribe_link() -> None:
    assert UNSUBSCRIBE_PLACEHOLDER not in compose(Template("Hi", "text"), "email", "transactional", _values()).text


def test_an_sms_takes_its_own_text_where_there_is_one() -> None:
    template = Template("Hi", "long", sms="short")

    assert compose(template, "sms", "marketing", _values()).text == "short\n"
    assert compose(Template("Hi", "long"), "sms", "marketing", _values()).text == "long\n"


def test_a_subject_is_one_line_whatever_a_user_is_called() -> None:
    values = {**_values(), "first_name": "Ada\r\nBcc: eve@example.com\u2028\x00x"}

    content = compose(Template("Hi {{ first_name }}", "text"), "email", "marketing", values)

    assert content.subject == "Hi Ada Bcc: eve@example.com x"


def test_a_message_without_words_is_an_error() -> None:
    with pytest.raises(TemplateError, match="nothing"):
        compose(Template("Hi", "{{ segment }}"), "sms", "marketing", {**_values(), "segment": ""})
