"""Encode the typed effects of a step as the records that leave the fold."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.batch import Output
from models.delivery.messages import encode_message
from models.delivery.notices import encode_notice
from models.engage.decisions import encode_decision
from models.errors import OutputTooLarge
from models.events import Event, encode_event
from models.fold.effects import StepEffects
from models.learning.examples import CHURN_TOPIC, SEGMENTS_TOPIC, encode_example
from models.profile.signals import Signal
from models.recommend import interactions
from models.recommend.interactions import Interaction

MAX_RECORD_BYTES = 900_000
"""Maximum size of a record's key and value together, bytes; Kafka's default limit of a batch is 1 MiB."""

OUTCOMES = "outcomes"
"""Topic from which the router writes records into the partition of their user."""

_new = tuple.__new__
"""Constructor of an ``Output`` from a tuple, which costs less than a call of the class."""
_encode_signal = msgspec.json.Encoder().encode


def encode_interaction(key: bytes, interaction: Interaction) -> Output:
    """Return the record of a user's interaction.

    Raises
    ------
    OutputTooLarge
        The record is too large.
    """
    value = interactions.encode_interaction(interaction)
    if len(key) + len(value) > MAX_RECORD_BYTES:
        raise OutputTooLarge("interactions", len(key) + len(value), MAX_RECORD_BYTES)
    output: Output = _new(Output, ("interactions", key, value))
    return output


def encode_signals(key: bytes, signals: Iterable[Signal]) -> list[Output]:
    """Return the records of signals about a user, as :func:`encode_effects` does."""
    return _checked(key, [_new(Output, ("signals", key, _encode_signal(signal))) for signal in signals])


def encode_effects(key: bytes, effects: StepEffects) -> list[Output]:
    """Return the records of one step.

    Parameters
    ----------
    key
        Key of the user.
    effects
        The effects of the step.

    Raises
    ------
    OutputTooLarge
        A record is too large.
    """
    records = [Output("signals", key, _encode_signal(signal)) for signal in effects.signals]
    # Notices come before the messages decided now, because a withdrawal stops all messages before it.
    for channel, notice in effects.notices:
        records.append(Output(f"messages.{channel}", key, encode_notice(notice)))
    for decision in effects.decisions:
        records.append(Output("decisions", key, encode_decision(decision)))
        if decision.message is not None:
            records.append(Output(f"messages.{decision.message.channel}", key, encode_message(decision.message)))
    records += [Output(CHURN_TOPIC, key, encode_example(one)) for one in effects.churn_examples]
    records += [Output(SEGMENTS_TOPIC, key, encode_example(one)) for one in effects.segment_examples]
    return _checked(key, records + effects.forwarded)


def between_profiles(event: Event) -> Output:
    """Return a record from one profile of a person to another one, which is in the partition of its user."""
    return Output(OUTCOMES, event.user.encode(), encode_event(event))


def count_effects(effects: StepEffects, counts: dict[tuple[str, ...], float]) -> None:
    """Count the effects of one step."""

    def add(*name: str) -> None:
        counts[name] = counts.get(name, 0.0) + 1.0

    for signal in effects.signals:
        add("signals", signal.kind)
    for decision in effects.decisions:
        add("decisions", decision.outcome, decision.reason)
        if decision.message is not None:
            add("messages", decision.message.channel, decision.message.rule)
        if decision.fallback:
            add("template_fallbacks", decision.rule)
    for example in effects.churn_examples:
        add("examples_emitted", "churn")
        if example.version == 0:
            add("examples_ungraded", "churn")
    for _ in effects.segment_examples:
        add("examples_emitted", "segments")


def _checked(key: bytes, records: list[Output]) -> list[Output]:
    room = MAX_RECORD_BYTES - len(key)
    for topic, _, value in records:
        if value is not None and len(value) > room:
            raise OutputTooLarge(topic, len(key) + len(value), MAX_RECORD_BYTES)
    return records
