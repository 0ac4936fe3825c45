from __future__ import annotations

import pytest

from models.customer.state import Customer
from models.engage.preview import preview, sample
from models.engage.templates import Template, TemplateError
from tests.models.engage.people import CART_LEFT, NOW, configuration, customer, rule


def test_a_template_is_shown_as_the_sample_would_get_it() -> None:
    shown = preview(configuration(rule()), "cart_left", CART_LEFT, "sample", sample(), NOW)

    assert shown.content.subject == "You left 3 items"
    assert shown.content.text.startswith("Hello Ada, 43.00 waits.")
    assert (shown.channel, shown.missing) == ("email", "")
    assert shown.decision is not None
    assert shown.decision.outcome == "sent"


def test_what_the_planner_would_say_is_shown_too() -> None:
    shown = preview(configuration(rule()), "cart_left", CART_LEFT, "u1", customer(consent=()), NOW)

    assert shown.decision is not None
    assert (shown.decision.outcome, shown.decision.reason) == ("dropped", "no_consent")
    assert shown.content.subject == "You left 0 items"


def test_what_a_user_does_not_have_is_named_and_left_out() -> None:
    template = Template("Hi", "size [{{ traits.shoe }}]")

    shown = preview(configuration(), "other", template, "u1", Customer(), NOW)

    assert shown.content.text.startswith("size []")
    assert "shoe" in shown.missing


def test_a_template_without_a_rule_is_shown_as_marketing() -> None:
    shown = preview(configuration(rule()), "other", Template("Hi", "text"), "u1", customer(), NOW)

    assert shown.decision is None
    assert "Unsubscribe" in shown.content.text


def test_another_channel_can_be_asked_for() -> None:
    shown = preview(configuration(rule()), "cart_left", CART_LEFT, "u1", customer(), NOW, channel="sms")

    assert (shown.channel, shown.content.subject, shown.content.html) == ("sms", "", None)


def test_a_template_that_fails_is_an_error() -> None:
    with pytest.raises(TemplateError, match="divi"):
        preview(configuration(), "x", Template("Hi", "{{ 1 | divided_by: 0 }}"), "u1", customer(), NOW)
