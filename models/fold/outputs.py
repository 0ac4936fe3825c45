"""Encode the typed effects of a step as the records that leave the fold."""

from __future__ import annotations

import msgspec

from models.batch import Output, Outputs
from models.delivery.messages import encode_message
from models.delivery.notices import encode_notice
from models.engage.decisions import encode_decision
from models.errors import OutputTooLarge
from models.fold.effects import StepEffects
from models.learning.examples import CHURN_TOPIC, SEGMENTS_TOPIC, encode_example
from models.recommend.interactions import encode_interaction

MAX_RECORD_BYTES = 900_000
"""Maximum size of a record's key and value together, bytes; Kafka's default limit of a batch is 1 MiB."""

_encoder = msgspec.json.Encoder()


def encode_effects(key: bytes, effects: StepEffects, outputs: Outputs) -> None:
    """Append the records of one step to the outputs, and count them.

    Parameters
    ----------
    key
        Key of the user.
    effects
        The effects of the step.
    outputs
        The outputs to append to. If an error is raised, they are unchanged.

    Raises
    ------
    OutputTooLarge
        A record is too large.
    """
    records = [Output("interactions", key, encode_interaction(one)) for one in effects.interactions]
    if effects.signals:
        records += [Output("signals", key, _encoder.encode(signal)) for signal in effects.signals]
    # Notices come before the messages decided now, because a withdrawal stops all messages before it.
    for channel, notice in effects.notices:
        records.append(Output(f"messages.{channel}", key, encode_notice(notice)))
    for decision in effects.decisions:
        records.append(Output("decisions", key, encode_decision(decision)))
        if decision.message is not None:
            records.append(Output(f"messages.{decision.message.channel}", key, encode_message(decision.message)))
    if effects.churn_examples:
        records += [Output(CHURN_TOPIC, key, encode_example(one)) for one in effects.churn_examples]
    if effects.segment_examples:
        records += [Output(SEGMENTS_TOPIC, key, encode_example(one)) for one in effects.segment_examples]
    room = MAX_RECORD_BYTES - len(key)
    for topic, _, value in records:
        if value is not None and len(value) > room:
            raise OutputTooLarge(topic, len(key) + len(value), MAX_RECORD_BYTES)
    outputs.commit.records.extend(records)
    _count(effects, outputs.counts)


def _count(effects: StepEffects, counts: dict[tuple[str, ...], float]) -> None:
    def add(*name: str, by: float = 1.0) -> None:
        counts[name] = counts.get(name, 0.0) + by

    if effects.interactions:
        add("interactions", by=float(len(effects.interactions)))
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
