"""Compare what two configurations decide about the same recorded events, message by message."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Literal, NamedTuple

from models.delivery.messages import Message
from models.engage.decisions import Decision, Outcome, Reason
from models.events import Channel
from models.units import DAY

ChangeKind = Literal["new", "gone", "moved", "channel", "text", "reason"]
"""Kind of a change.

- ``new``: only the proposed configuration sends the message.
- ``gone``: only the present one does.
- ``moved``: both send it, at other times.
- ``channel``: both send it, on other channels.
- ``text``: both send it at the same time and on the same channel, with another subject or text.
- ``reason``: neither sends it, for other reasons.
"""

KINDS: tuple[ChangeKind, ...] = ("new", "gone", "moved", "channel", "text", "reason")
TIMER_CAUSE = "timer:"
"""Beginning of the cause of a message that a timer has triggered."""
MAX_MOVE_MS = 7 * DAY
"""Maximum time between two messages of timers that count as one message at another time, milliseconds."""
MAX_EXAMPLES = 20
"""Maximum number of examples of each kind of change."""


class MessageKey(NamedTuple):
    """The name of a message under two configurations.

    Attributes
    ----------
    user
        The user.
    rule
        The rule, or ``journey/step``.
    cause
        Id of what caused it: of an event or a timer, or the send key of a journey's step.
    """

    user: str
    rule: str
    cause: str


class Planned(NamedTuple):
    """The newest decision about a message.

    Attributes
    ----------
    outcome, reason, detail
        See :class:`~models.engage.decisions.Decision`.
    channel
        The channel.
    at
        Time of the decision, milliseconds.
    digest
        Digest of subject and texts; empty if the message was not sent.
    """

    outcome: Outcome
    reason: Reason
    detail: str
    channel: Channel
    at: int
    digest: bytes = b""


class PlanChange(NamedTuple):
    """One message about which the configurations decide differently.

    Attributes
    ----------
    kind
        The kind of the change.
    key
        The message.
    present, proposed
        The decision under each configuration; ``None`` if it decides nothing about the message.
    """

    kind: ChangeKind
    key: MessageKey
    present: Planned | None
    proposed: Planned | None


class PlannedMessages:
    """The newest decision about each message of some users."""

    def __init__(self) -> None:
        self._found: dict[MessageKey, Planned] = {}

    def __repr__(self) -> str:
        return f"PlannedMessages({len(self._found)} messages)"

    def __len__(self) -> int:
        return len(self._found)

    def add(self, decisions: Iterable[Decision], messages: Mapping[str, Message]) -> None:
        """Add decisions in the order of the log, and the messages that they send, by their ids."""
        for one in decisions:
            message = messages.get(one.id)
            digest = b"" if message is None else _digest(message)
            self._found[MessageKey(one.user, one.rule, one.signal.cause)] = Planned(
                one.outcome, one.reason, one.detail, one.channel, one.at, digest
            )

    def __iter__(self) -> Iterator[MessageKey]:
        return iter(self._found)

    def items(self) -> Iterator[tuple[MessageKey, Planned]]:
        """Yield each message with its newest decision."""
        yield from self._found.items()

    def get(self, key: MessageKey) -> Planned | None:
        """Return the newest decision about a message, if there is one."""
        return self._found.get(key)

    def forget(self, before: int) -> None:
        """Forget the messages whose newest decision is older than a time, milliseconds."""
        self._found = {key: one for key, one in self._found.items() if one.at >= before}


class PlanDifference:
    """The changes from the present configuration to the proposed one.

    Attributes
    ----------
    sent
        Numbers of messages that each configuration sends, by rule: present, then proposed.
    changes
        Numbers of changes, by rule.
    reasons
        Numbers of messages that are gone, by their new reason; ``not decided`` if the rule is not triggered any more.
    """

    def __init__(self) -> None:
        self.sent: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.changes: dict[str, Counter[ChangeKind]] = defaultdict(Counter)
        self.reasons: Counter[str] = Counter()
        self._examples: dict[ChangeKind, list[PlanChange]] = {kind: [] for kind in KINDS}

    def __repr__(self) -> str:
        return f"PlanDifference({dict(self.totals)})"

    @property
    def totals(self) -> Counter[ChangeKind]:
        """Numbers of changes of all rules."""
        return sum(self.changes.values(), Counter())

    @property
    def examples(self) -> list[PlanChange]:
        """Up to :data:`MAX_EXAMPLES` changes of each kind: those with the smallest hash of their message."""
        return [change for kind in KINDS for change in self._examples[kind]]

    def add(self, present: PlannedMessages, proposed: PlannedMessages) -> None:
        """Add the messages of a partition."""
        for side, planned in enumerate((present, proposed)):
            for key, one in planned.items():
                self.sent[key.rule][side] += one.outcome == "sent"
        found: dict[ChangeKind, list[PlanChange]] = defaultdict(list)
        for key, before, after in _pairs(present, proposed):
            kind = change_of(before, after)
            if kind is None:
                continue
            self.changes[key.rule][kind] += 1
            if kind == "gone":
                self.reasons[after.reason if after is not None and after.reason else "not decided"] += 1
            found[kind].append(PlanChange(kind, key, before, after))
        for kind, changes in found.items():
            self._examples[kind] = sorted([*self._examples[kind], *changes], key=_order)[:MAX_EXAMPLES]


def _pairs(
    present: PlannedMessages, proposed: PlannedMessages
) -> Iterator[tuple[MessageKey, Planned | None, Planned | None]]:
    """Yield the messages of both sides.

    The cause of a timer has its time. So a message whose timer fires at another time has another key. It belongs to
    the nearest message of the same user and rule on the other side, at most :data:`MAX_MOVE_MS` away.
    """
    moved: dict[tuple[str, str], list[MessageKey]] = defaultdict(list)
    for key in proposed:
        if present.get(key) is None and key.cause.startswith(TIMER_CAUSE):
            moved[key.user, key.rule].append(key)
    taken: set[MessageKey] = set()
    for key, one in sorted(present.items(), key=lambda item: item[1].at):
        other = proposed.get(key)
        if other is None and key.cause.startswith(TIMER_CAUSE):
            near = _nearest(one, [name for name in moved[key.user, key.rule] if name not in taken], proposed)
            if near is not None:
                taken.add(near)
                other = proposed.get(near)
        yield key, one, other
    for key, one in proposed.items():
        if present.get(key) is None and key not in taken:
            yield key, None, one


def _nearest(one: Planned, names: list[MessageKey], proposed: PlannedMessages) -> MessageKey | None:
    found: MessageKey | None = None
    least = MAX_MOVE_MS
    for name in names:
        other = proposed.get(name)
        assert other is not None, "a message that the other side has"
        if abs(other.at - one.at) <= least:
            found, least = name, abs(other.at - one.at)
    return found


def change_of(present: Planned | None, proposed: Planned | None) -> ChangeKind | None:
    """Return how the decisions about one message differ; ``None`` if they agree.

    Examples
    --------
    >>> sent = Planned("sent", "", "", "email", 7)
    >>> change_of(None, sent), change_of(sent, sent._replace(at=8)), change_of(sent, sent)
    ('new', 'moved', None)
    """
    before, after = (one is not None and one.outcome == "sent" for one in (present, proposed))
    if before != after:
        return "gone" if before else "new"
    if present is None or proposed is None:
        return None  # a message that is not sent, and that the other configuration does not propose
    if not before:
        return None if present.reason == proposed.reason else "reason"
    if present.channel != proposed.channel:
        return "channel"
    if present.at != proposed.at:
        return "moved"
    return None if present.digest == proposed.digest else "text"


def _digest(message: Message) -> bytes:
    return blake2b(f"{message.subject}\0{message.text}\0{message.html or ''}".encode(), digest_size=8).digest()


def _order(change: PlanChange) -> tuple[bytes, MessageKey]:
    """Sort by hash, so that the examples are of any users, and the same in each run."""
    return blake2b("\0".join(change.key).encode(), digest_size=8).digest(), change.key
