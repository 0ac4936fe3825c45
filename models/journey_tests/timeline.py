"""Timeline of a test: all that has happened to its users, in the order of time, for expectations and for people."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from models.configuration.compiled import Configuration
from models.delivery.messages import Message
from models.engage.decisions import Decision
from models.events import Event, decode_event
from models.fold.moments import moment
from models.journey_tests.memory import WrittenRecord
from models.profile.signals import Signal
from models.rejected import decode_rejected

Kind: TypeAlias = Literal[
    "event",
    "entered",
    "refused",
    "converted",
    "ended",
    "segment",
    "sent",
    "message",
    "deferred",
    "dropped",
    "failed",
    "refused_record",
]

_decode_signal = msgspec.json.Decoder(Signal).decode
_decode_decision = msgspec.json.Decoder(Decision).decode
_JOURNEYS: dict[str, Kind] = {
    "journey_entered": "entered",
    "journey_refused": "refused",
    "journey_converted": "converted",
    "journey_ended": "ended",
}


class TimelineEntry(NamedTuple):
    """One thing that has happened.

    Attributes
    ----------
    at
        Time, milliseconds.
    user
        The user.
    kind
        What has happened. A message is ``sent`` when the planner decides so, and a ``message`` when a provider has
        accepted it. A ``refused_record`` is a dead letter.
    name
        Name of the event, the journey, the segment, or ``journey/step`` of a message.
    detail
        More about it, such as the outcome or the reason.
    template
        For messages: name of the template.
    message
        The accepted message.
    decision
        The decision of the planner.
    reason
        Why a message was deferred or dropped.
    given_up
        Id of a message that was decided, and that delivery has certainly not sent.
    """

    at: int
    user: str
    kind: Kind
    name: str
    detail: str = ""
    template: str = ""
    message: Message | None = None
    decision: Decision | None = None
    reason: str = ""
    given_up: str = ""

    def in_words(self) -> str:
        """Return the entry as a line for people."""
        what = f"{self.kind} {self.name}" + (f": {self.detail}" if self.detail else "")
        if self.message is not None:
            what += f" to {self.message.to} over {self.message.channel}"
            what += f" {self.message.subject!r}" if self.message.subject else ""
        return f"{moment(self.at)} {what}"


class Timeline:
    """Everything that has happened in one run of a test.

    Parameters
    ----------
    configuration
        The configuration.

    Attributes
    ----------
    entries
        What has happened.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._rules = configuration.by_name
        self.entries: list[TimelineEntry] = []

    def __repr__(self) -> str:
        """Show the amount."""
        return f"Timeline({len(self.entries)} entries)"

    def of(self, user: str) -> list[TimelineEntry]:
        """Return what has happened to a user."""
        return [entry for entry in self.entries if entry.user == user]

    def add_event(self, event: Event, at: int) -> None:
        """Add an event of the test."""
        said: Any = event.properties or {}
        self.entries.append(TimelineEntry(at, event.user, "event", event.name or event.type, _short(said)))

    def see(self, happening: WrittenRecord) -> None:
        """Add what a record of the fold, or an answer of a provider, says."""
        match happening.topic:
            case "signals":
                self._signal(_decode_signal(happening.value), happening.at)
            case "decisions":
                self._decision(_decode_decision(happening.value), happening.at)
            case "answer":
                self._answer(happening)
            case "outcome":
                self._outcome(decode_event(happening.value), happening.at)
            case "events.rejected":
                letter = decode_rejected(happening.value)
                reason = f"{letter.reason}: {letter.field}: found {letter.found}; allowed: {letter.allowed}"
                user = b64decode(letter.key or "").decode()
                self.entries.append(TimelineEntry(happening.at, user, "refused_record", letter.reason, reason))

    def _signal(self, signal: Signal, at: int) -> None:
        kind = _JOURNEYS.get(signal.kind)
        if kind is not None:
            detail = signal.origin + (f"value {signal.value:g}" if kind == "converted" and signal.value else "")
            self.entries.append(TimelineEntry(at, signal.user, kind, signal.name, detail))
        elif signal.kind in ("segment_entered", "segment_left"):
            self.entries.append(
                TimelineEntry(at, signal.user, "segment", signal.name, signal.kind.removeprefix("segment_"))
            )

    def _decision(self, decision: Decision, at: int) -> None:
        detail = decision.reason + (f" until {moment(decision.until)}" if decision.outcome == "deferred" else "")
        detail += f" ({decision.detail})" if decision.detail else ""
        template = self._template(decision.rule)
        entry = TimelineEntry(
            *(at, decision.user, decision.outcome, decision.rule, detail, template),
            decision=decision,
            reason=decision.reason,
        )
        self.entries.append(entry)

    def _answer(self, happening: WrittenRecord) -> None:
        assert happening.call is not None
        assert happening.result is not None
        message, result = happening.call.message, happening.result
        template = self._template(message.rule)
        if result.status == "delivered":
            entry = TimelineEntry(happening.at, message.user, "message", message.rule, template, template, message)
        else:
            said = f"{result.status} {result.code}".rstrip()
            entry = TimelineEntry(happening.at, message.user, "failed", message.rule, said, template)
        self.entries.append(entry)

    def _outcome(self, event: Event, at: int) -> None:
        """Add a message that delivery has given up: it was refused, has expired, or consent was withdrawn."""
        if event.type != "message_sent":
            rule, said = str((event.properties or {}).get("rule", "")), event.reason or ""
            reason = said.partition(":")[0]
            given_up = "" if event.type == "message_unknown" else event.message or ""
            entry = TimelineEntry(
                *(at, event.user, "dropped", rule, f"by delivery: {said}", self._template(rule)),
                reason=reason,
                given_up=given_up,
            )
            self.entries.append(entry)

    def _template(self, rule: str) -> str:
        found = self._rules.get(rule)
        return rule if found is None else found.template


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode() if value else ""
    return text if len(text) <= 100 else f"{text[:97]}..."
