"""Hand over the ledger of an anonymous visitor, and join it with that of the known user: caps add up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter

import msgspec

from models.configuration.compiled import Configuration
from models.engage import caps
from models.engage.proposal import MAX_WAITING_BYTES, MAX_WITHHELD
from models.identity.runs import join_runs
from models.profile.campaign_marks import joined_marks
from models.profile.conversions import joined_conversions
from models.profile.ledger import Ledger, Pending
from models.profile.runs import UserRuns
from models.profile.signals import Signal

_decode_signal = msgspec.json.Decoder(Signal).decode
_encode_signal = msgspec.json.Encoder().encode
_encode_pending = msgspec.msgpack.Encoder().encode
_when = attrgetter("at")

IsOver = Callable[[Signal], bool]
"""Function that returns whether the reason for a waiting message has ended, so that it is not sent."""


def taken_out(ledger: Ledger) -> Ledger:
    """Take what the planner knows out of a ledger, for the known user's profile; the ledger has none of it afterwards.

    Timers and scores are not taken: they follow from the facts.
    """
    names = ("sent", "withheld", "pending", "fired", "runs", "marks", "campaigns", "conversions")
    taken = Ledger(**{name: getattr(ledger, name) for name in names})
    empty = Ledger()
    for name in names:
        setattr(ledger, name, getattr(empty, name))
    ledger.segment, ledger.segment_version = None, 0
    ledger.risk, ledger.risk_version, ledger.risk_at = None, 0, 0
    ledger.features = ledger.rfm = None
    return taken


def join_ledgers(
    ledger: Ledger, visitor: Ledger, user: str, configuration: Configuration, now: int, is_over: IsOver
) -> int:
    """Add a visitor's messages to the ledger of the known user, in place.

    Parameters
    ----------
    ledger
        Ledger of the known user.
    visitor
        What the visitor's profile has handed over.
    user
        The known user's id.
    configuration
        The configuration in use.
    now
        The partition's clock, milliseconds.
    is_over
        Returns for the signal of a waiting message whether its reason has ended.

    Returns
    -------
    int
        Number of waiting messages that were not taken over.
    """
    known = {message.id for message in ledger.sent}
    sent = [*ledger.sent, *(message for message in visitor.sent if message.id not in known)]
    ledger.sent = caps.trimmed(configuration, sorted(sent, key=_when), now)
    ledger.withheld = sorted([*ledger.withheld, *visitor.withheld], key=_when)[-MAX_WITHHELD:]
    fired = dict(ledger.fired)
    for rule, at in visitor.fired.items():
        fired[rule] = max(at, fired.get(rule, 0))
    ledger.fired = fired
    if visitor.marks:
        ledger.marks = {**visitor.marks, **ledger.marks}
    if visitor.campaigns:
        ledger.campaigns = joined_marks(ledger.campaigns, visitor.campaigns)
    if visitor.conversions:
        ledger.conversions = joined_conversions(ledger.conversions, visitor.conversions)
    return _join_pending(ledger, visitor, user, is_over)


def given_back(ledger: Ledger, handed: Iterable[Ledger], configuration: Configuration, now: int) -> None:
    """Add to the ledger of a visitor what its profile has handed over, so that caps and cooldowns hold for it, too.

    Waiting messages and runs are not given back, because they go on at the known user's profile.

    Parameters
    ----------
    ledger
        The ledger; changed in place.
    handed
        The ledgers that were handed over, oldest first.
    configuration
        The configuration in use.
    now
        The partition's clock, milliseconds.
    """
    for one in handed:
        other = Ledger(sent=one.sent, withheld=one.withheld, fired=one.fired, marks=one.marks, campaigns=one.campaigns)
        join_ledgers(ledger, other, "", configuration, now, _is_never_over)
        if one.runs is not None and one.runs.entered:
            ledger.runs = join_runs(ledger.runs or UserRuns(), UserRuns((), one.runs.entered)).runs


def _is_never_over(_: Signal) -> bool:
    return False


def _join_pending(ledger: Ledger, visitor: Ledger, user: str, is_over: IsOver) -> int:
    """Take over the messages that wait. Of two of one marketing rule, the one that has waited longer counts."""
    waiting = list(ledger.pending)
    for pending in visitor.pending:
        signal = _decode_signal(pending.signal)
        if is_over(signal):
            continue
        moved = msgspec.structs.replace(pending, signal=_encode_signal(msgspec.structs.replace(signal, user=user)))
        rival = next((one for one in waiting if _excludes(one, moved)), None)
        if rival is not None and _decode_signal(rival.signal).at <= signal.at:
            continue
        others = [one for one in waiting if one is not rival]
        if len(_encode_pending([*others, moved])) <= MAX_WAITING_BYTES:
            waiting = [*others, moved]
    taken = sum(one not in ledger.pending for one in waiting)
    ledger.pending = waiting
    return len(visitor.pending) - taken


def _excludes(one: Pending, other: Pending) -> bool:
    """Return whether only one of two waiting messages may be sent: marketing, and a campaign at a local time."""
    return one.rule == other.rule and one.reason == other.reason and one.reason in ("quiet_hours", "local_time")
