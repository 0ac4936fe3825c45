"""Imported events in the facts: totals from before the log, and what each run has replaced, so that it can be undone.

A record of a run names what the run has set and nothing newer has changed. Every other change of a trait removes the
trait from the records. A grant is the run's as long as its event is the proof of the entry. So an undo never replaces
anything newer, and it never changes a "no".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from models.errors import InvalidEvent
from models.events import MICROS, Event
from models.imported import PastTotals
from models.profile import orders
from models.profile.decay import bump
from models.profile.import_records import ImportedPast, ImportRecord, ReplacedConsent, ReplacedPast
from models.profile.numbers import FIRST_SEEN, LAST_SEEN, ORDERS, PURCHASES, SPEND, SPENT, WIDTH, Numbers
from models.profile.short_ids import shortened
from models.profile.state import Consent, Facts

MAX_RUNS = 4
"""Maximum number of runs of which a user's state remembers what they have replaced."""
MAX_BYTES = 8_192
"""Maximum size of these records of a user; older ones are forgotten, and large former values are not kept."""

_DECAYED: Final = slice(PURCHASES, SPEND + WIDTH)
_encode = msgspec.msgpack.Encoder().encode
_decode_consent = msgspec.msgpack.Decoder(Consent).decode


class KnownBefore(NamedTuple):
    """The traits and consents of a user before an imported event.

    Attributes
    ----------
    traits, consent
        The traits, and the entries of consent. An event replaces them, and does not change them in place.
    """

    traits: Mapping[str, Any]
    consent: Mapping[str, Consent]


def known(facts: Facts) -> KnownBefore:
    """Return what is known of a user, before an imported event changes it."""
    return KnownBefore(facts.traits, facts.consent)


def opened(facts: Facts, event: Event) -> Event:
    """Return an imported event as it is folded: an undo sets the former values of the traits that are still the run's.

    Parameters
    ----------
    facts
        The facts about the event's user, before the event.
    event
        The event.
    """
    if event.imported is None or not event.imported.undoes:
        return event
    record = record_of(facts, event.imported.run)
    return msgspec.structs.replace(event, traits=dict(record.traits) if record is not None else {})


def record_of(facts: Facts, run: str) -> ImportRecord | None:
    """Return what a run has replaced of a user; ``None`` if nothing is remembered."""
    return next((one for one in facts.imports if one.run == run), None)


def check(facts: Facts, event: Event) -> None:
    """Refuse totals with more currencies or money than a user's state may have; change nothing.

    Raises
    ------
    InvalidEvent
        ``state_full``.
    """
    totals = None if event.imported is None else event.imported.totals
    if totals is None or not totals.spent:
        return
    before = {} if facts.past is None else facts.past.spent
    for currency, amount in totals.spent.items():
        if facts.spent.get(currency, 0) - before.get(currency, 0) + amount > orders.MAX_MONEY:
            raise InvalidEvent("state_full", "imported.totals", str(amount), f"{orders.MAX_MONEY} micros in all")
    if len(facts.spent.keys() | totals.spent.keys()) > orders.MAX_CURRENCIES:
        allowed = f"{orders.MAX_CURRENCIES} currencies a user"
        raise InvalidEvent("state_full", "imported.totals", ", ".join(sorted(totals.spent)), allowed)


def forget_traits(facts: Facts, names: Collection[str], run: str = "") -> None:
    """Remove traits that have changed from the records of all runs but one: something newer has set them."""
    if any(one.run != run and not one.traits.keys().isdisjoint(names) for one in facts.imports):
        facts.imports = [one if one.run == run else _without(one, names) for one in facts.imports]


def still_replaced(
    records: list[ImportRecord], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[ImportRecord]:
    """Return the records after traits have changed from one set to another."""
    names = {name for name in before if before[name] != after.get(name)} | (after.keys() - before.keys())
    return [_without(one, names) for one in records]


def follow(facts: Facts, numbers: Numbers, event: Event, before: KnownBefore) -> None:
    """Fold what an imported event states beyond its traits and consents, and remember what it has replaced.

    Parameters
    ----------
    facts, numbers
        The user's facts and numbers, with the traits and consents of the event. They are changed in place.
    event
        The event.
    before
        What was known before the event.
    """
    note = event.imported
    assert note is not None, "an event that is not imported"
    if note.undoes:
        _undo(facts, numbers, note.run)
        return
    record = record_of(facts, note.run) or ImportRecord(note.run)
    traits = {**_replaced_traits(facts, event.traits or (), before), **record.traits}
    consent = _replaced_consent(facts, event, before, record)
    past = record.past
    if note.totals is not None:
        replaced = _state_totals(facts, numbers, note.run, note.totals)
        past = past or replaced
    _keep(facts, ImportRecord(note.run, traits, consent, past))


class UndoEffect(NamedTuple):
    """The changes that an undo of a run makes to a user, and what it leaves.

    Attributes
    ----------
    traits
        Names of the traits that get their former values.
    grants
        Entries of consent whose grant is taken back.
    totals
        Whether the totals are taken back.
    newer
        Entries of consent of the run that something newer has changed.
    """

    traits: tuple[str, ...]
    grants: tuple[str, ...]
    totals: bool
    newer: tuple[str, ...]

    @property
    def changes(self) -> bool:
        """Whether the undo changes anything."""
        return bool(self.traits or self.grants or self.totals)


def undo_of(facts: Facts, run: str) -> UndoEffect | None:
    """Return what an undo of a run would do; ``None`` if the state remembers nothing of the run."""
    record = record_of(facts, run)
    if record is None:
        return None
    grants = tuple(key for key, one in record.consent.items() if _is_of(facts.consent.get(key), one))
    newer = tuple(key for key in record.consent if key not in grants)
    return UndoEffect(tuple(record.traits), grants, _has_totals_of(facts, record), newer)


def _replaced_traits(facts: Facts, names: Iterable[str], before: KnownBefore) -> dict[str, Any]:
    """Return the former values of the traits that an event has set."""
    missing = object()
    return {
        name: before.traits.get(name)
        for name in names
        if facts.traits.get(name, missing) != before.traits.get(name, missing)
    }


def _replaced_consent(
    facts: Facts, event: Event, before: KnownBefore, record: ImportRecord
) -> dict[str, ReplacedConsent]:
    """Return what the grants of the run have replaced, after its event."""
    found, event_id = dict(record.consent), shortened(event.id)
    for key, state in facts.consent.items():
        former = before.consent.get(key)
        if not state.granted or state.event != event_id or state == former:
            continue
        earlier = record.consent.get(key)
        if earlier is not None and _is_of(former, earlier):  # an earlier line of the same run
            found[key] = ReplacedConsent(event_id, earlier.former)
        else:
            found[key] = ReplacedConsent(event_id, b"" if former is None else _encode(former))
    return found


def _is_of(state: Consent | None, replaced: ReplacedConsent) -> bool:
    """Return whether an entry is still the one that a run has granted."""
    return state is not None and state.granted and state.event == replaced.event


def _has_totals_of(facts: Facts, record: ImportRecord) -> bool:
    return record.past is not None and facts.past is not None and facts.past.run == record.run


# --- totals -----------------------------------------------------------------------------------------------------------


def _state_totals(facts: Facts, numbers: Numbers, run: str, totals: PastTotals) -> ReplacedPast:
    """Let totals count instead of those that counted before, and return what they have replaced."""
    before = ReplacedPast(facts.past, facts.first_seen, facts.last_seen, numbers[_DECAYED].tobytes())
    past = ImportedPast(run, totals.first_seen, totals.last_seen, totals.orders, dict(totals.spent), totals.last_order)
    if facts.past is not None:
        _count(facts, facts.past, -1)
    _count(facts, past, 1)
    _exchange(numbers, facts.past, past)
    _see(facts, past)
    facts.past = past
    _follow_facts(facts, numbers)
    return before


def _count(facts: Facts, past: ImportedPast, sign: int) -> None:
    """Add the orders and the money of totals to the sums, or take them out."""
    facts.orders += sign * past.orders
    for currency, amount in past.spent.items():
        facts.spent = orders.add_money(facts.spent, currency, sign * amount)


def _exchange(numbers: Numbers, out: ImportedPast | None, into: ImportedPast | None) -> None:
    """Let the last order of totals count as one order of mean value, instead of that of other totals."""
    for past, sign in ((out, -1.0), (into, 1.0)):
        if past is not None and past.orders:
            bump(numbers, PURCHASES, past.last_order, sign)
            bump(numbers, SPEND, past.last_order, sign * sum(past.spent.values()) / past.orders / MICROS)


def _see(facts: Facts, past: ImportedPast) -> None:
    """Take the times of the first and the last activity from totals. The log knows the last one if it has a visit."""
    old = facts.past
    if old is not None and not facts.sessions:
        facts.first_seen = 0 if facts.first_seen == old.first_seen else facts.first_seen
        facts.last_seen = 0 if facts.last_seen == old.last_seen else facts.last_seen
    if past.first_seen and (not facts.first_seen or past.first_seen < facts.first_seen):
        facts.first_seen = past.first_seen
    if not facts.sessions:
        facts.last_seen = max(facts.last_seen, past.last_seen)


def _follow_facts(facts: Facts, numbers: Numbers) -> None:
    numbers[ORDERS], numbers[SPENT] = facts.orders, sum(facts.spent.values())
    numbers[FIRST_SEEN], numbers[LAST_SEEN] = facts.first_seen, facts.last_seen


# --- undo -------------------------------------------------------------------------------------------------------------


def _undo(facts: Facts, numbers: Numbers, run: str) -> None:
    """Take back the grants and the totals of a run, and forget it. Its traits have their former values already."""
    record = record_of(facts, run)
    if record is None:
        return
    consent = dict(facts.consent)
    for key, replaced in record.consent.items():
        if not _is_of(consent.get(key), replaced):
            continue
        if replaced.former:
            consent[key] = _decode_consent(replaced.former)
        else:
            del consent[key]
    if consent != facts.consent:
        facts.consent = consent
    if record.past is not None and _has_totals_of(facts, record):
        _take_totals_back(facts, numbers, record.past)
    facts.imports = [one for one in facts.imports if one.run != run]


def _take_totals_back(facts: Facts, numbers: Numbers, replaced: ReplacedPast) -> None:
    past, former = facts.past, replaced.past
    assert past is not None, "totals that were not stated"
    _count(facts, past, -1)
    if former is not None:
        _count(facts, former, 1)
    expected = numbers[:]
    decayed = numbers[:0]
    decayed.frombytes(replaced.decayed)
    expected[_DECAYED] = decayed
    _exchange(expected, former, past)
    if expected[_DECAYED] == numbers[_DECAYED]:  # nothing was bought since, so the former counts are known exactly
        numbers[_DECAYED] = decayed
    else:
        _exchange(numbers, past, former)
    if past.first_seen and facts.first_seen == past.first_seen and (replaced.first_seen or not facts.sessions):
        facts.first_seen = replaced.first_seen
    if past.last_seen and facts.last_seen == past.last_seen and not facts.sessions:
        facts.last_seen = replaced.last_seen
    facts.past = former
    _follow_facts(facts, numbers)
    _unbuy(facts, past, int(numbers[PURCHASES]))


def _unbuy(facts: Facts, past: ImportedPast, bought: int) -> None:
    """Let the basis ``existing_customer`` depend on the last purchase that is left."""
    if any(state.basis and state.bought == past.last_order > bought for state in facts.consent.values()):
        facts.consent = {
            key: msgspec.structs.replace(state, bought=min(state.bought, bought)) if state.basis else state
            for key, state in facts.consent.items()
        }


def _without(record: ImportRecord, names: Collection[str]) -> ImportRecord:
    if record.traits.keys().isdisjoint(names):
        return record
    kept = {name: value for name, value in record.traits.items() if name not in names}
    return msgspec.structs.replace(record, traits=kept)


def _keep(facts: Facts, record: ImportRecord) -> None:
    """Keep the record of a run as the newest one, within the limits."""
    others = [one for one in facts.imports if one.run != record.run]
    if record == ImportRecord(record.run):
        return
    kept = [*others, record][-MAX_RUNS:]
    while len(kept) > 1 and len(_encode(kept)) > MAX_BYTES:
        del kept[0]
    if len(_encode(kept)) > MAX_BYTES:
        kept = [msgspec.structs.replace(record, traits=_small(record.traits))]
    facts.imports = kept


def _small(traits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the former values of traits that are small, as many as fit into half of the limit."""
    kept, size = dict[str, Any](), 0
    for name, value in sorted(traits.items(), key=lambda one: len(_encode(one))):
        size += len(_encode([name, value]))
        if size > MAX_BYTES // 2:
            break
        kept[name] = value
    return kept
