"""Logs with statements about consent, and the results of folding them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any, Literal

import msgspec

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import CONFIRM, Template
from models.delivery.notices import Notice, decode_notice
from models.events import Event
from models.levels import NEWEST
from models.log import Clock, Control, Tick, Use
from models.profile.codec import unpack
from models.profile.state import Facts
from models.rejected import Rejected, decode_rejected
from tests.support.event_logs import START, fold_log, written

CONSENT: dict[str, Any] = {
    "withdrawal_events": {"Newsletter Stopped": "email"},
    "withdrawal_traits": {"no_mail": True, "status": {"value": "muted", "channel": "sms"}},
    "ignore_traits": ["subscribed"],
}
"""Changes of a configuration to the built-in tables of statements."""


def event(kind: Any, at: int = START, **said: Any) -> Event:
    """Make an event of the user ``u1``; its id follows from its type, its time and the names of its fields."""
    return Event(**({"id": f"{kind}-{at}-{sorted(said)}", "user": "u1", "type": kind, "at": at} | said))


def given(at: int, channel: Any = None, **said: Any) -> Event:
    """Make a grant of consent; without ``channel``, for all channels."""
    return event("consent", at, granted=True, channel=channel, **said)


def taken(at: int, channel: Any = None, **said: Any) -> Event:
    """Make a withdrawal of consent; without ``channel``, for all channels."""
    return event("consent", at, granted=False, channel=channel, **said)


def traits(at: int, **said: Any) -> Event:
    """Make an ``identify`` event with these traits."""
    return event("identify", at, id=f"i-{at}-{said}", traits=said)


class StatementLog:
    """A folded log of one user, with a marketing rule, a transactional rule, and a rule for each other purpose."""

    def __init__(
        self,
        *log: Event | Control,
        consent: dict[str, Any] | None = None,
        start: int = START,
        clock: Literal["feeder", "wall"] = "feeder",
        level: int = NEWEST,
        segments: list[dict[str, Any]] | None = None,
    ) -> None:
        purposes: list[str] = (consent or {}).get("purposes", [])
        rules: list[dict[str, Any]] = [
            {"name": "welcome", "when": {"event": "Trial Started"}},
            {"name": "receipt", "when": {"event": "purchase"}, "category": "transactional"},
        ]
        rules += [{"name": one, "when": {"event": "Trial Started"}, "purpose": one} for one in purposes]
        made = {
            name: Template("Subject", "Text.", fallback="Subject: Subject\nText.")
            for name in ("welcome", "receipt", *purposes)
        }
        made[CONFIRM] = Template("Confirm", "{{ confirm_url }}", fallback="Subject: Confirm\n{{ confirm_url }}")
        content = encode(parse({"rules": rules, "consent": consent or {}, "segments": segments or []}, made))
        use = Use(name="configuration", version=1, content=msgspec.Raw(content))
        whole: Iterable[Event | Control] = [Clock(clock, level), Tick(at=start), use, *log]
        self.state, self.outputs = fold_log(written(whole), repeat(3))

    @property
    def facts(self) -> Facts:
        """The facts about the user."""
        return unpack(self.state.records[b"u1"]).facts

    @property
    def granted(self) -> dict[str, bool]:
        """Whether consent is granted, by channel."""
        return {channel: state.granted for channel, state in sorted(self.facts.consent.items())}

    @property
    def decisions(self) -> dict[str, tuple[str, str]]:
        """Outcome or reason of the decision about each rule, and its detail."""
        found = (msgspec.json.decode(value) for value in self.records("decisions"))
        return {one["rule"]: (one.get("reason", one["outcome"]), one.get("detail", "")) for one in found}

    def records(self, topic: str) -> list[bytes]:
        """Return the values of the records for a topic."""
        return [record.value or b"" for each in self.outputs for record in each.commit.records if record.topic == topic]

    def notices(self, channel: str = "email") -> list[Notice]:
        """Return the notices to delivery on a channel."""
        found = (decode_notice(value) for value in self.records(f"messages.{channel}"))
        return [notice for notice in found if notice is not None]

    @property
    def rejected(self) -> list[Rejected]:
        """The dead letters."""
        return [decode_rejected(value) for value in self.records("events.rejected")]

    def counted(self, *name: str) -> float:
        """Return the sum of a counter."""
        return sum(each.counts.get(name, 0) for each in self.outputs)
