from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from models.conditions.clauses import ValueComparison
from models.configuration.compiled import Rule, Trigger
from models.configuration.templates import Template, TemplateError
from models.engage.preview import preview, sample, trial, users
from models.engage.recipient import Recipient
from models.profile.state import CartLine, Customer
from tests.support.people import CART_LEFT, NOW, configuration, customer, rule


def test_a_template_is_shown_as_the_sample_user_would_receive_it() -> None:
    shown = preview(configuration(rule()), "cart_left", CART_LEFT, Recipient("sample", sample(), NOW))

    assert shown.content.subject == "You left 3 items"
    assert shown.content.text.startswith("Hello Ada, 43.00 waits.")
    assert (shown.channel, shown.missing) == ("email", "")
    assert shown.decision is not None
    assert shown.decision.outcome == "sent"


def test_the_planners_decision_is_shown_too() -> None:
    shown = preview(configuration(rule()), "cart_left", CART_LEFT, Recipient("u1", customer(consent=()), NOW))

    assert shown.decision is not None
    assert (shown.decision.outcome, shown.decision.reason) == ("dropped", "no_consent")
    assert shown.content.subject == "You left 1 items"


def test_a_missing_value_is_named_and_left_out_of_the_text() -> None:
    template = Template("Hi", "size [{{ traits.shoe }}]")

    shown = preview(configuration(), "other", template, Recipient("u1", Customer(), NOW))

    assert shown.content.text.startswith("size []")
    assert "shoe" in shown.missing


def test_a_template_without_a_rule_is_shown_as_marketing() -> None:
    shown = preview(configuration(rule()), "other", Template("Hi", "text"), Recipient("u1", customer(), NOW))

    assert shown.decision is None
    assert "Unsubscribe" in shown.content.text


def test_another_channel_can_be_chosen() -> None:
    shown = preview(configuration(rule()), "cart_left", CART_LEFT, Recipient("u1", customer(), NOW), channel="sms")

    assert (shown.channel, shown.content.subject, shown.content.html) == ("sms", "", None)


def test_a_template_that_fails_is_an_error() -> None:
    with pytest.raises(TemplateError, match="divi"):
        preview(configuration(), "x", Template("Hi", "{{ 1 | divided_by: 0 }}"), Recipient("u1", customer(), NOW))


@pytest.mark.parametrize(
    ("when", "facts", "ledger", "why"),
    [
        (Trigger(kind="first_purchase"), {"orders": 1}, {}, "the first purchase was made already (1 order)"),
        (Trigger(kind="first_purchase"), {}, {}, ""),
        (Trigger(kind="cart_left", delay=1), {"cart": {}}, {}, "the cart is empty"),
        (Trigger(kind="cart_left", delay=1), {"cart": {"mug": CartLine(1, 1)}}, {}, ""),
        (Trigger(kind="entered_segment", name="vip"), {}, {"segment": "vip"}, "in 'vip' already"),
        (Trigger(kind="entered_segment", name="vip"), {}, {"segment": "new"}, ""),
        (Trigger(kind="churn_risk", threshold=0.7), {}, {"risk": 0.8}, "0.80 already, and has to fall below 0.7"),
        (Trigger(kind="churn_risk", threshold=0.7), {}, {"risk": 0.6}, ""),
        (Trigger(kind="churn_risk", threshold=0.7), {"identified": False}, {}, "anonymous"),
        (Trigger(kind="event", name="refund"), {"orders": 3}, {}, ""),
    ],
)
def test_a_preview_says_why_a_rule_cannot_be_triggered_for_the_user(
    when: Trigger, facts: dict[str, Any], ledger: dict[str, Any], why: str
) -> None:
    who = customer()
    for part, values in ((who.facts, facts), (who.ledger, ledger)):
        for name, value in values.items():
            setattr(part, name, value)

    shown = preview(configuration(replace(rule(), when=when)), "cart_left", CART_LEFT, Recipient("u1", who, NOW))

    assert (why in shown.untriggered) if why else shown.untriggered == ""


def test_a_preview_of_a_rule_with_operators_has_properties_that_meet_them() -> None:
    conditions = (("category", ValueComparison(among=("lamps",))), ("seats", ValueComparison(more_than=3)))
    waiting = replace(rule(), when=Trigger(kind="event", name="A", where={"plan": ("pro",)}, conditions=conditions))
    template = Template("Hi", "{{ signal.properties.plan }} {{ signal.properties.seats }}")

    shown = preview(configuration(waiting), "cart_left", template, Recipient("u1", customer(), NOW), channel="sms")

    assert (shown.content.text, shown.missing) == ("pro 4\n", "")


def _failures(template: Template, *rules: Rule) -> list[tuple[str, str]]:
    using = configuration(*rules)
    return [(failure.user, str(failure.error)) for failure in trial(using, {"cart_left": template}, NOW)]


def test_a_template_is_tried_for_users_with_all_no_and_half_of_the_values() -> None:
    assert [*users()] == ["full", "empty", "half"]
    assert _failures(CART_LEFT, rule()) == []


@pytest.mark.parametrize(
    ("text", "whom"),
    [
        ("{{ 1 | divided_by: 0 }}", ["full", "empty", "half"]),
        ("a\n{{ 1 | divided_by: orders }}", ["empty", "half"]),
        ("{{ first_name }}", ["empty", "half"]),
        ("{% unless traits.phone == 0 %}x{% endunless %}", ["half"]),
        ("Hello {{ traits.none | date: '%d' }}{% if risk > 0.5 %}!{% endif %}", []),
    ],
)
def test_a_failing_template_names_the_user_the_file_and_the_line(text: str, whom: list[str]) -> None:
    failures = _failures(Template("Hi", text), rule(channels=("email",)))

    assert [user for user, _ in failures] == whom
    assert all(error.startswith("templates/cart_left/text.liquid") for _, error in failures)


def test_every_channel_of_every_rule_is_tried() -> None:
    template = Template("{{ segment }}", "text", "<p>", sms="{{ risk }}")

    rules = rule(), rule("other", channels=("sms",))
    failures = list(trial(configuration(*rules), {"cart_left": template}, NOW))

    found = {(failure.rule, failure.channel, failure.user) for failure in failures}
    assert found == {
        (name, channel, user)
        for name, channel in (("cart_left", "email"), ("cart_left", "sms"), ("other", "sms"))
        for user in ("empty", "half")
    }


def test_a_fallback_is_tried_only_with_values_that_every_trigger_has() -> None:
    receipt = rule(category="transactional", channels=("email",))
    named = Template("Hi", "text", fallback="Subject: Hi\n\n{{ signal.properties.order }}")

    assert _failures(Template("Hi", "text", fallback="Subject: {{ user }}\n\n{{ now | date: '%d' }}"), receipt) == []
    ((user, error),) = _failures(named, receipt)
    assert (user, error.split(": ")[0]) == ("certain", "templates/cart_left/fallback.liquid:3")


def test_a_template_that_no_rule_uses_is_tried_too() -> None:
    assert {user for user, _ in _failures(Template("Hi", "{{ 1 | divided_by: 0 }}"))} == {"full", "empty", "half"}
