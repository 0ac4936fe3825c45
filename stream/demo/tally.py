"""Counts of the demo, one record at a time; no I/O."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import msgspec

from models.batch import Record
from models.delivery.messages import Message, decode_message
from models.delivery.notices import is_notice
from models.engage.decisions import Decision
from models.events import decode_event
from models.learning.examples import ChurnExample, decode_churn
from models.log import Tick, decode_control, is_control
from models.profile.codec import header, unpack
from stream.demo.journeys import JourneyTally
from stream.demo.logins import LoginTally
from stream.recommender.artifacts import NAME as RECOMMENDER
from stream.recommender.artifacts import Published, decode_published

TOPICS = ("events", "profiles", "examples.churn", "decisions", "messages.email", "messages.sms", "versions")
"""Topics that are counted."""

_decision = msgspec.json.Decoder(Decision)
_ANONYMOUS, _CART_ADD = b'"anonymous":"', b'"type":"cart_add"'


@dataclass(slots=True)
class Tally:
    """Counts of everything read so far.

    Attributes
    ----------
    events
        Number of records of ``events`` that are neither control records nor records between two profiles.
    first_stamp, last_stamp
        Broker timestamps of the first and the newest of them, milliseconds.
    users
        Users of these events.
    now
        Time of the newest tick, milliseconds.
    profiles
        Newest encoded state by user.
    examples
        Churn examples whose label is known.
    triggers
        Decisions by rule; a decision that is deferred counts only once.
    withheld
        Messages that were not sent, by reason.
    messages
        Messages by rule and channel.
    newest
        The last few messages.
    versions
        Newest version of each model and of the configuration.
    recommender
        The newest published recommender.
    logins
        Counts of the visitors who logged in.
    journeys
        Counts of the journeys.
    """

    events: int = 0
    first_stamp: int = 0
    last_stamp: int = 0
    users: set[bytes] = field(default_factory=set)
    now: int = 0
    profiles: dict[bytes, bytes] = field(default_factory=dict)
    examples: list[ChurnExample] = field(default_factory=list)
    triggers: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)
    newest: deque[Message] = field(default_factory=lambda: deque(maxlen=5))
    versions: dict[str, int] = field(default_factory=dict)
    recommender: Published | None = None
    logins: LoginTally = field(default_factory=LoginTally)
    journeys: JourneyTally = field(default_factory=JourneyTally)
    _linked: set[bytes] = field(default_factory=set)

    def add(self, topic: str, record: Record, partition: int = 0) -> None:
        """Count one record of a partition of a topic in :data:`TOPICS`."""
        key, value = record.key or b"", record.value
        match topic:
            case "events":
                self._event(key, value, record.timestamp)
            case "profiles":
                if is_control(key):
                    self.journeys.add(partition, key, value)
                else:
                    self._profile(key, value)
            case "examples.churn":
                self.examples.append(decode_churn(value))
            case "decisions":
                self._decision(value or b"")
            case "messages.email" | "messages.sms":
                if not is_notice(value):  # a notice is about a message that was counted before
                    message = decode_message(value or b"")
                    self.messages[message.rule, message.channel] += 1
                    self.newest.append(message)
            case "versions":
                self._version(key, value or b"")
            case _:
                raise KeyError(topic)

    @property
    def shoppers(self) -> int:
        """Number of shoppers; one who logged in counts once."""
        return len(self.users) - sum(visitor.encode() in self.users for visitor in self.logins.owners)

    @property
    def sent(self) -> int:
        """Number of messages of all rules and channels."""
        return sum(self.messages.values())

    @property
    def seconds(self) -> float:
        """Wall time from the first to the newest event, by the broker's timestamps."""
        return max(self.last_stamp - self.first_stamp, 1) / 1000

    def segments(self) -> dict[str, int]:
        """Return the number of users by segment, the largest first."""
        sizes: Counter[str] = Counter()
        for packed in self.profiles.values():
            segment = unpack(packed).ledger.segment
            if segment is not None:
                sizes[segment] += 1
        return dict(sizes.most_common())

    def _event(self, key: bytes, value: bytes | None, stamp: int) -> None:
        if is_control(key):
            control = decode_control(value or b"")
            if isinstance(control, Tick):
                self.now = max(self.now, control.at)
            return
        if value is not None and self._is_between_profiles(key, value):
            return
        self.events += 1
        self.users.add(key)
        self.first_stamp = self.first_stamp or stamp
        self.last_stamp = max(self.last_stamp, stamp)

    def _is_between_profiles(self, key: bytes, value: bytes) -> bool:
        """Pass an event on that concerns logins, and return whether it is a record between two profiles."""
        if _ANONYMOUS not in value:
            if key in self._linked and _CART_ADD in value:
                self.logins.add_cart_change(key.decode(), decode_event(value).at)
            return False
        event = decode_event(value)
        self.logins.add_record(event)
        if event.identity is None:
            self._linked.add(key)
        return event.identity is not None

    def _profile(self, key: bytes, value: bytes | None) -> None:
        known = self.profiles.get(key)
        if value is None:
            self.profiles.pop(key, None)
        elif known is None or header(value)[0] >= header(known)[0]:
            self.profiles[key] = value

    def _decision(self, value: bytes) -> None:
        decision = _decision.decode(value)
        if decision.outcome == "deferred":
            return  # the message is decided again later
        self.logins.add_decision(decision)
        self.triggers[decision.rule] += 1
        if decision.outcome != "sent":
            self.withheld[decision.reason or decision.outcome] += 1

    def _version(self, key: bytes, value: bytes) -> None:
        if key == RECOMMENDER.encode():
            published = decode_published(value)
            if self.recommender is None or published.version > self.recommender.version:
                self.recommender = published
            self.versions[RECOMMENDER] = max(self.versions.get(RECOMMENDER, 0), published.version)
        else:
            version = int(msgspec.json.decode(value)["version"])
            name = key.decode()
            self.versions[name] = max(self.versions.get(name, 0), version)
