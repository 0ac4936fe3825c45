"""Receipts whose template fails: they are sent as a fallback, or once a configuration can render them."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from models.batch import Outputs
from models.configuration.compiled import Configuration, Rule, Trigger, encode
from models.configuration.templates import Template
from models.delivery.messages import decode_message
from models.events import Event
from models.fold.versions import Versions
from models.fold.view import describe
from models.log import Control, Tick, Use, opening
from models.profile.codec import unpack
from models.units import HOUR, MINUTE
from tests.support.event_logs import START, fold_log, written

BROKEN = Template("Hi", "Hello\n{{ orders | divided_by: 0 }}")
FALLBACK = Template("Hi", "Hello\n{{ orders | divided_by: 0 }}", fallback="Subject: Your refund\n\nIt is on its way.")
MENDED = Template("Hi", "Hello {{ user }}")


def use(version: int, template: Template) -> Use:
    receipt = Rule(
        name="receipt",
        category="transactional",
        when=Trigger(kind="event", name="refund"),
        channels=("email",),
        template="receipt",
        expires_after=HOUR,
    )
    content = encode(Configuration(rules=(receipt,), templates={"receipt": template}))
    return Use(name="configuration", version=version, content=msgspec.Raw(content))


def refunds(count: int) -> list[Event | Control]:
    identified = Event(id="i", user="u", type="identify", at=START, traits={"email": "u@example.org"})
    return [identified, *(Event(id=f"r{i}", user="u", type="refund", at=START, order=f"o{i}") for i in range(count))]


def messages(outputs: list[Outputs]) -> list[tuple[str, str]]:
    records = [one for output in outputs for one in output.commit.records if one.topic == "messages.email"]
    return [(message.subject, message.text) for message in (decode_message(one.value or b"") for one in records)]


def counted(outputs: list[Outputs], *name: str) -> float:
    return sum(output.counts.get(name, 0.0) for output in outputs)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_held_receipts_go_out_within_five_minutes_of_a_configuration_that_renders_them(size: int) -> None:
    log: list[Event | Control] = [opening("feeder"), use(1, BROKEN), Tick(at=START), *refunds(3)]
    log += [Tick(at=START + minute * MINUTE) for minute in range(1, 20)]
    log += [use(2, MENDED), *(Tick(at=START + minute * MINUTE) for minute in range(20, 25))]

    state, outputs = fold_log(written(log), itertools.repeat(size))

    assert messages(outputs) == [("Hi", "Hello u\n")] * 3
    assert counted(outputs, "decisions", "deferred", "template_error") == 3
    assert counted(outputs, "decisions", "sent", "") == 3
    assert unpack(state.records[b"u"]).ledger.pending == []


def test_the_same_log_in_other_batches_and_after_restarts_gives_the_same_bytes() -> None:
    log: list[Event | Control] = [opening("feeder"), use(1, BROKEN), Tick(at=START), *refunds(5)]
    log += [Tick(at=START + 7 * MINUTE), use(2, MENDED), Tick(at=START + 13 * MINUTE), Tick(at=START + 2 * HOUR)]

    def run(size: int, restart_every: int) -> tuple[Any, ...]:
        state, outputs = fold_log(written(log), itertools.repeat(size), restart_every)
        return state.records, [one for output in outputs for one in output.commit.records]

    assert run(1, 1) == run(3, 0) == run(100, 0)


def test_a_receipt_that_no_configuration_renders_is_dropped_when_it_expires_with_file_and_line() -> None:
    log: list[Event | Control] = [opening("feeder"), use(1, BROKEN), Tick(at=START), *refunds(1)]
    log += [Tick(at=START + HOUR + MINUTE)]

    state, outputs = fold_log(written(log), itertools.repeat(9))
    shown = describe("u", unpack(state.records[b"u"]), START + 2 * HOUR, Versions())

    assert messages(outputs) == []
    assert counted(outputs, "decisions", "dropped", "template_error") == 1
    (withheld,) = shown["not_sent"]
    assert withheld["reason"] == "template_error"
    assert withheld["detail"].startswith("templates/receipt/text.liquid:2: divided_by: can't divide by 0")


def test_a_waiting_receipt_is_shown_with_file_and_line() -> None:
    log: list[Event | Control] = [opening("feeder"), use(1, BROKEN), Tick(at=START), *refunds(1)]

    state, _ = fold_log(written(log), itertools.repeat(9))
    shown = describe("u", unpack(state.records[b"u"]), START, Versions())

    (waiting,) = shown["waiting"]
    assert waiting["reason"] == "template_error"
    assert "templates/receipt/text.liquid:2" in waiting["detail"]


def test_a_fallback_is_counted_by_rule_and_shown_with_the_error() -> None:
    log: list[Event | Control] = [opening("feeder"), use(1, FALLBACK), Tick(at=START), *refunds(2)]

    state, outputs = fold_log(written(log), itertools.repeat(9))
    shown = describe("u", unpack(state.records[b"u"]), START, Versions())

    assert messages(outputs) == [("Your refund", "It is on its way.\n")] * 2
    assert counted(outputs, "template_fallbacks", "receipt") == 2
    details = {message["detail"] for message in shown["messages"]}
    assert details == {"the fallback: templates/receipt/text.liquid:2: divided_by: can't divide by 0"}


def test_the_providers_reason_is_shown_with_a_refused_message() -> None:
    log: list[Event | Control] = [opening("feeder"), use(1, MENDED), Tick(at=START), *refunds(1)]
    sent, _ = fold_log(written(log), itertools.repeat(9))
    (message,) = unpack(sent.records[b"u"]).ledger.sent
    refused = "rejected: 550 5.1.1 no such user"
    log.append(Event(id="f", user="u", type="message_failed", at=START, message=message.id, reason=refused))

    state, _ = fold_log(written(log), itertools.repeat(9))
    (shown,) = describe("u", unpack(state.records[b"u"]), START, Versions())["messages"]

    assert (shown["outcome"], shown["detail"]) == ("failed", refused)
