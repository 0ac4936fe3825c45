"""What anonymous profiles hand over to known users, computed again from the log.

A merge record in the log has the facts about a visitor as the code of that time computed them. A fold beside the
running one computes them again, in two passes. The first pass folds the partitions of the visitors, and keeps the
answers of their profiles. The second pass folds the partitions of the known users. It takes the facts of these answers,
and not those in the log. Two passes are enough, because the facts of a visitor never depend on those of a known user.

What a merge record says about our messages stays as it is in the log, because it says what has really happened.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.batch import MadeRecord, Outputs, Record
from models.events import Event, MergeRecord, decode_event, encode_event
from models.fold.outputs import OUTCOMES
from models.identity.payload import replaced_facts
from models.log import CONTROL

_MERGE = b'"type":"identity_merge"'


def answers_of(outputs: Outputs) -> list[Event]:
    """Return the merge records among the outputs of a fold."""
    found = (merge_in(one.value) for one in outputs.commit.records if one.topic == OUTCOMES)
    return [event for event in found if event is not None]


def merge_in(value: bytes | None) -> Event | None:
    """Return the merge record that a value contains; ``None`` if it contains something else."""
    if value is None or _MERGE not in value:  # decoding takes longer than this search, and merges are rare
        return None
    try:
        event = decode_event(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # the fold makes it a dead letter
    return event if isinstance(event.identity, MergeRecord) else None


def merges_in(records: Iterable[Record]) -> list[tuple[Record, Event]]:
    """Return the merge records among the records of a log."""
    found = ((one, merge_in(one.value)) for one in records if one.key is None or one.key[:1] != CONTROL)
    return [(one, event) for one, event in found if event is not None]


def recomputed(merge: Event, answer: Event) -> Event:
    """Return a merge record of the log with what the visitor's profile hands over by this code.

    Parameters
    ----------
    merge
        The record in the log.
    answer
        The record with the same id that a fold of the visitor's partition has given.
    """
    logged, given = merge.identity, answer.identity
    assert isinstance(logged, MergeRecord), "a merge record of the log"
    assert isinstance(given, MergeRecord), "a merge record of a fold"
    payload = replaced_facts(logged.payload, given.payload) if given.payload else b""
    identity = msgspec.structs.replace(logged, outcome=given.outcome, payload=payload)
    return msgspec.structs.replace(merge, identity=identity)


def replaced(record: Record, merge: Event) -> MadeRecord:
    """Return a record of the log with another merge record as its value."""
    return MadeRecord(record.offset, record.timestamp, record.key, encode_event(merge))
