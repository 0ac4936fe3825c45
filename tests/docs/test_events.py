"""The page about events states the limits, names and addresses of the code."""

from __future__ import annotations

import re

import pytest
import yaml

from models.configuration.definition import EventsDefinition
from models.configuration.parsing import parse
from models.profile import lateness, orders, reducers, seen_ids, statements, trait_limits
from models.source import Received, Source
from models.wire import CALLS, TYPES, decode, fields, withdrawals
from models.wire import MAX_RECORD_BYTES as MOST_BYTES
from models.wire.withdrawals import NamedWithdrawal, StatingTrait
from stream.collector import intake
from stream.collector.addresses import LABELS
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text()
TEXT = " ".join(PAGE.split())
"""The page without line breaks."""
EXAMPLES = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_an_event(example: str) -> None:
    event = decode(example.encode(), Received(Source("docs", 0, 0), 1_800_000_000_000))

    assert event.user in {"ada", "anonymous:3f2a"}


def test_there_are_examples_of_both_forms() -> None:
    assert {'"user"' in example for example in EXAMPLES} == {True, False}


@pytest.mark.parametrize("name", [*TYPES, *CALLS])
def test_every_type_and_call_is_on_the_page(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


def test_the_limits_are_those_of_the_code() -> None:
    for limit in (
        f"{MOST_BYTES // 1024} KiB a record",
        f"{fields.MAX_OBJECT_BYTES // 1024} KiB of `properties`",
        f"{fields.MAX_NESTING} levels deep",
        f"{fields.MAX_LINES} lines an order",
        f"{fields.MAX_TEXT_LENGTH:,} characters of text",
        f"{intake.MAX_EVENT_BYTES // 1000} KB an event",
        f"{intake.MAX_ORDER_BYTES // 1024} KB an order",
        f"{intake.MAX_BATCH_BYTES // 1024 // 1024} MB and {intake.MAX_BATCH_EVENTS:,} events a batch",
        f"0 to {fields.MAX_MONEY // 1_000_000:,}",
    ):
        assert limit in TEXT


@pytest.mark.parametrize("path", [*(f"/v1/{call}" for call in ("t", "b", "import", "m")), "/beacon/v1/batch"])
def test_every_short_address_of_events_is_on_the_page(path: str) -> None:
    assert path in LABELS
    assert f"{path}`" in PAGE


def test_the_limits_of_late_and_repeated_events_are_those_of_the_code() -> None:
    written = EventsDefinition()
    for said in (
        f"horizon: {written.horizon} ",
        f"order_within: {written.order_within} ",
        f"{seen_ids.MAX_IDS:,} ids, {seen_ids.MAX_IDS * seen_ids.WIDTH_BYTES // 1024} KiB",
        f"the oldest {seen_ids.BUCKET} ids are forgotten",
        f"categories beyond {reducers.MAX_CATEGORIES}, cart lines beyond {lateness.MAX_CART_LINES}, and ",
        f"traits beyond {trait_limits.MAX_TRAITS}. Others are sessions beyond {lateness.MAX_SESSIONS}, and cart ",
        f"changes beyond {lateness.MAX_CHANGES} within",
        f"remember_orders: {written.remember_orders} ",
        f"the user's {orders.MAX_ORDERS} newest orders",
        f"`{orders.EXCESS}`",
        f"a user has at most {trait_limits.MAX_TRAITS}, and {trait_limits.MAX_BYTES // 1024} KiB of them",
        f"have {trait_limits.MAX_NEEDED_BYTES // 1024} KiB of their own",
    ):
        assert said in TEXT


def _rows(by: str) -> dict[str, str]:
    """Map each name in the rows of the table of withdrawals that begin with ``by`` to the last cell of its row."""
    found = {}
    for names, withdraws in re.findall(rf"^\| {by} \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE):
        found.update(dict.fromkeys(re.findall(r"`([^`]+)`", names), withdraws))
    return found


def test_the_table_of_withdrawals_is_that_of_the_code() -> None:
    channels = {"email": "`email`", "sms": "`sms`"}
    events = {
        name: channels.get(entry.channel or "", "the `channel` that it names, otherwise all")
        + "; also a complaint" * entry.complaint
        for name, entry in withdrawals.EVENTS.items()
    }
    assert _rows("event") == events
    for value in (True, False):
        assert _rows(f"trait that is {str(value).lower()}") == {
            name: channels.get(entry.channel or "", "all")
            for name, entry in withdrawals.TRAITS.items()
            if entry.withdraws is value
        }


def test_the_example_of_consent_can_be_used() -> None:
    (block,) = re.findall(r"```yaml\n(consent:.*?)```", PAGE, re.DOTALL)

    settings = parse(yaml.safe_load(block), {}).consent

    assert settings.event("newsletter stopped") == NamedWithdrawal("email")
    assert settings.trait("noMail") == StatingTrait(True)
    assert settings.trait("contact_by_sms") == StatingTrait("never", "sms")
    assert settings.trait("subscribed") is None
    assert f"the newest {statements.MAX_REMEMBERED} of" in TEXT
