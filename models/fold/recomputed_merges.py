"""The second pass of a fold beside the running one: merge records get the facts that the first pass has computed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from models.batch import Record
from models.errors import PerennialError
from models.events import Event, MergeRecord
from models.fold.handovers import merges_in, recomputed, replaced
from models.identity.payload import unpack_payload
from models.profile.codec import pack
from models.profile.state import Customer

IsFolded = Callable[[str, int], bool]
"""Function that returns whether the first pass has folded the notice to a visitor at an offset."""

_MERGE_KEY = b"\x00merge:"
_COMPUTED = ("merged", "empty")
KEEP = "`perennial rebuild --keep-differing` keeps such links as the log has them, and says which ones"
"""The way out if this code makes a link in another way than the log says."""


class MissingPayload(PerennialError):
    """A part of a user that this code cannot compute again, because a visitor hands it over; follow the message."""


class TakenMerge(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A merge record that a fold has read. It is stored beside the users.

    Attributes
    ----------
    visitor, user
        Keys of the anonymous profile and of the known user.
    notice
        Offset of the notice that the record answers, in the partition of the anonymous id.
    offset
        Offset of the record, in the partition of the known user; -1 for an answer that is not in the log.
    digest
        Digest of the visitor's facts; empty if the record has none.
    """

    visitor: str
    user: str
    notice: int
    offset: int = -1
    digest: bytes = b""


class KeptLink(NamedTuple):
    """A link that stays as the log has it, because this code would make it in another way.

    Attributes
    ----------
    visitor
        Key of the anonymous profile. Its facts in use stay, and so does what it has handed over by the log.
    user
        The known user who has got the profile by the log; empty for none.
    other
        The known user who would get it by this code; empty for none.
    partition, offset
        Place of the merge record in ``events``; -1 if the log has none.
    """

    visitor: str
    user: str
    other: str = ""
    partition: int = -1
    offset: int = -1


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TakenMerge).decode


def taken_merges(records: Sequence[Record], stored: Container[bytes] = ()) -> dict[bytes, bytes]:
    """Return what is to be stored after a fold has read records of the log: the merge records among them, by key.

    Parameters
    ----------
    records
        The records.
    stored
        Keys of what is stored already. Of two records with the same id, the profile takes the first one.
    """
    found: dict[bytes, bytes] = {}
    for record, merge in merges_in(records):
        key = key_of(merge)
        if key not in stored and key not in found:
            found[key] = _encode(_taken(merge, record.offset))
    return found


def merges_taken(stored: Mapping[bytes, bytes]) -> Iterator[tuple[str, TakenMerge]]:
    """Yield the merge records that a fold has stored (:func:`taken_merges`), with their ids."""
    for key, packed in stored.items():
        if key.startswith(_MERGE_KEY):
            yield key.removeprefix(_MERGE_KEY).decode(), _decode(packed)


def key_of(merge: Event) -> bytes:
    """Return the key under which a merge record that was read is stored."""
    return _MERGE_KEY + merge.id.encode()


def _taken(merge: Event, offset: int = -1) -> TakenMerge:
    said = merge.identity
    assert isinstance(said, MergeRecord), "a merge record"
    return TakenMerge(merge.anonymous or "", merge.user, said.notice, offset, _digest(said.payload))


def _digest(payload: bytes) -> bytes:
    if not payload:
        return b""
    return blake2b(pack(Customer(unpack_payload(payload).facts)), digest_size=16).digest()


class RecomputedMerges:
    """The answers of the first pass, for the second pass over one partition.

    Parameters
    ----------
    answers
        The merge records that the first pass has given for users of the partition, by id.
    is_folded
        See :data:`IsFolded`. A later notice was answered by a profile whose facts are those of this code already.
    kept
        Keys of the visitors whose links stay as the log has them. What they have handed over by the log is taken.
    """

    def __init__(self, answers: Mapping[str, Event], is_folded: IsFolded, kept: Container[str] = ()) -> None:
        self._answers = {name: one for name, one in answers.items() if one.anonymous not in kept}
        self._is_folded = is_folded
        self._kept = kept

    def __repr__(self) -> str:
        """Show the number of answers."""
        return f"RecomputedMerges({len(self._answers)} answers)"

    def replaced(self, partition: int, records: Sequence[Record]) -> Sequence[Record]:
        """Return records of the log in which the merge records have the facts of this code.

        Raises
        ------
        MissingPayload
            The first pass has not computed what a visitor has handed over.
        """
        taken: dict[int, Record] = {}
        for record, merge in merges_in(records):
            answer = self._answers.get(merge.id)
            if is_missing(merge, answer) and self._is_needed(merge) and merge.anonymous not in self._kept:
                raise MissingPayload(_said(partition, record, merge, answer))
            if answer is not None:
                taken[record.offset] = replaced(record, recomputed(merge, answer))
        return [taken.get(record.offset, record) for record in records] if taken else records

    def agree(self, stored: Mapping[bytes, bytes]) -> bool:
        """Return whether a fold that took the facts in the log has taken the same as the second pass would.

        Parameters
        ----------
        stored
            The state of the fold: what :func:`taken_merges` returned, and anything else.
        """
        expected = {name: _taken(answer) for name, answer in self._answers.items()}
        for name, taken in merges_taken(stored):
            answer = expected.get(name)
            if self._is_missing(name, taken):
                return False  # the second pass stops at this record, and says which one it is
            if answer is not None and answer.digest != taken.digest:
                return False
        return True

    def missing(self, stored: Mapping[bytes, bytes]) -> list[TakenMerge]:
        """Return the merge records with facts that this code does not compute again, of those that a fold has read."""
        return [taken for name, taken in merges_taken(stored) if self._is_missing(name, taken)]

    def awaited(self, stored: Container[bytes]) -> list[Event]:
        """Return the answers with facts whose merge record the second pass has not read yet."""
        found = (one for one in self._answers.values() if key_of(one) not in stored)
        return [one for one in found if isinstance(one.identity, MergeRecord) and one.identity.payload]

    def _is_missing(self, name: str, taken: TakenMerge) -> bool:
        answer = self._answers.get(name)
        said = None if answer is None else answer.identity
        is_computed = isinstance(said, MergeRecord) and said.outcome in _COMPUTED
        is_wanted = taken.visitor not in self._kept and self._is_folded(taken.visitor, taken.notice)
        return bool(taken.digest) and not is_computed and is_wanted

    def _is_needed(self, merge: Event) -> bool:
        said = merge.identity
        return isinstance(said, MergeRecord) and self._is_folded(merge.anonymous or "", said.notice)


def is_missing(merge: Event, answer: Event | None) -> bool:
    """Return whether a merge record in the log has facts, and the answer of another fold does not replace them."""
    logged, given = merge.identity, None if answer is None else answer.identity
    if not isinstance(logged, MergeRecord) or not logged.payload:
        return False
    return not isinstance(given, MergeRecord) or given.outcome not in _COMPUTED


def _said(partition: int, record: Record, merge: Event, answer: Event | None) -> str:
    said = None if answer is None else answer.identity
    why = f"the answer is {said.outcome!r}" if isinstance(said, MergeRecord) else "there is no answer"
    return (
        f"partition {partition} of events has at offset {record.offset} what {merge.anonymous} has handed over to "
        f"{merge.user} (merge {merge.id}), and this code cannot compute it again: {why}; run `perennial rebuild "
        f"--anew`. If it stops at the same record, this code links the two ids in another way than the code that wrote "
        f"the log: {KEEP}. Users of the partitions that are not switched over keep their facts"
    )
