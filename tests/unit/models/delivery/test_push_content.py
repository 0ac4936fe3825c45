"""The request to a push service states the message's life, its urgency, and the key of what it replaces."""

from __future__ import annotations

import re

import msgspec
import pytest

from models.configuration.categories import Category
from models.delivery.push_content import (
    MAX_LIFE_S,
    fcm_content,
    fcm_size,
    life_s,
    replacing_key,
    urgency_of,
    web_push_content,
)
from tests.support.fcm import device, push_message
from tests.support.letters import LINK, NOW


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [(NOW + 90_999, 90), (NOW + 999, 0), (NOW, 0), (NOW - 5_000, 0), (NOW + 10**12, MAX_LIFE_S)],
)
def test_a_message_waits_for_a_device_until_it_expires_and_at_most_28_days(expires: int, seconds: int) -> None:
    assert life_s(push_message(expires=expires), NOW) == seconds


@pytest.mark.parametrize(("category", "urgency"), [("marketing", "normal"), ("transactional", "high")])
def test_only_a_transactional_message_wakes_a_device(category: Category, urgency: str) -> None:
    assert urgency_of(push_message(category=category)) == urgency


def test_a_marketing_message_replaces_the_one_of_its_rule_and_a_transactional_one_only_itself() -> None:
    first, second = push_message(1), push_message(2)
    receipts = [msgspec.structs.replace(one, category="transactional") for one in (first, second)]

    assert replacing_key(first) == replacing_key(second) != replacing_key(push_message(1, rule="other"))
    assert [replacing_key(one) for one in receipts] == [first.id, second.id]


@pytest.mark.parametrize("rule", ["win_back", "journey.step", "\u00fcber/\U0001f600", "x" * 200])
def test_a_key_is_a_topic_of_rfc_8030_for_each_name_of_a_rule(rule: str) -> None:
    assert re.fullmatch("[A-Za-z0-9_-]{32}", replacing_key(push_message(rule=rule)))


def test_a_message_without_a_subject_has_no_title() -> None:
    message = push_message(subject=" ")

    made = fcm_content(device(), message, unsubscribe=None, link=None, now=NOW)["message"]

    assert made["notification"] == {"body": "Hello Ada 0"}
    assert "title" not in msgspec.json.decode(web_push_content(message, unsubscribe=None, link=None))["notification"]


def test_the_size_counts_names_and_texts_in_bytes() -> None:
    empty = fcm_content(device(), push_message(subject="", text=""), unsubscribe=None, link=None, now=NOW)
    made = fcm_content(device(), push_message(subject="", text="\u00fc"), unsubscribe=LINK, link=None, now=NOW)

    assert fcm_size(made) - fcm_size(empty) == 2 + len("perennial_unsubscribe") + len(LINK)
