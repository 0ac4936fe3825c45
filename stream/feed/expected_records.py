"""The records between two profiles of one person that follow from a feeder's events; no I/O.

A login causes a notice to the profile of the anonymous id, and this profile answers with a merge record. Later events
of the anonymous id are forwarded (:mod:`models.fold.identity_fold`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from models.events import Event, Forwarding, LoginNotice, MergeRecord
from models.identity.linking import is_login, merge_id

__all__ = ["ExpectedRecord", "ExpectedRecords", "record_of"]

Kind = Literal["notice", "merge", "forwarding"]
_KINDS: Mapping[type, Kind] = {LoginNotice: "notice", MergeRecord: "merge", Forwarding: "forwarding"}


class ExpectedRecord(NamedTuple):
    """A record between two profiles.

    Attributes
    ----------
    kind
        ``notice``: a login, for the profile of the anonymous id. ``merge``: its answer. ``forwarding``: a forwarded
        event.
    anonymous
        Key of the anonymous profile.
    id
        Id of the record.
    """

    kind: Kind
    anonymous: str
    id: str


class _Cause(NamedTuple):
    """The place of a record's cause: its partition, and the offset after it; 0 is the end of what was fed."""

    partition: int
    after: int


def record_of(event: Event) -> ExpectedRecord | None:
    """Return which record between two profiles an event of the log is; ``None`` if it is none."""
    kind = _KINDS.get(type(event.identity))
    return None if kind is None else ExpectedRecord(kind, event.anonymous or "", event.id)


class ExpectedRecords:
    """The records that are expected in a log because of the events fed so far, and that have not arrived.

    Some may never come, because the fold does not link the two ids or drops a repeated event. :meth:`unanswered` names
    those whose cause is folded.
    """

    def __init__(self) -> None:
        self._open: dict[ExpectedRecord, _Cause] = {}
        # Hashes take less memory than the ids. If two ids have the same hash, the feeder may wait in vain for a moment.
        self._links: set[int] = set()
        self._owned: set[int] = set()
        self._arrived: set[int] = set()

    def __repr__(self) -> str:
        return f"ExpectedRecords({len(self._open)} open, {len(self._links)} links)"

    def __len__(self) -> int:
        return len(self._open)

    def note(self, event: Event, partition: int) -> None:
        """Expect what follows from an event that is fed into a partition."""
        if event.anonymous is not None and event.identified:
            self._note_login(event, event.anonymous, partition)
        elif not event.identified and hash(event.user) in self._owned:
            self._expect(ExpectedRecord("forwarding", event.user, event.id), partition)

    def arrived(self, record: ExpectedRecord, partition: int, offset: int) -> None:
        """Expect a record no longer, because it is in the log at this place."""
        self._open.pop(record, None)
        self._arrived.add(hash(record))
        answer = record._replace(kind="merge")
        if record.kind == "notice" and answer in self._open:
            self._open[answer] = _Cause(partition, offset + 1)

    def unanswered(self, folded: Mapping[int, int], fed: Mapping[int, int]) -> list[ExpectedRecord]:
        """Return the open records whose cause is folded, so that they are on their way, or never come.

        Parameters
        ----------
        folded
            Offset after the last folded record, by partition.
        fed
            Offset after the last record that was fed, by partition.
        """
        return [
            record
            for record, cause in self._open.items()
            if folded.get(cause.partition, 0) >= (cause.after or fed.get(cause.partition, 0))
            and not (record.kind == "merge" and record._replace(kind="notice") in self._open)
        ]

    def give_up(self, records: Iterable[ExpectedRecord], written: Collection[ExpectedRecord]) -> None:
        """Expect the records no longer that the fold has not written although it has folded their causes."""
        for record in records:
            if record not in written:
                self._open.pop(record, None)
                if record.kind == "notice":
                    self._open.pop(record._replace(kind="merge"), None)

    def _note_login(self, event: Event, anonymous: str, partition: int) -> None:
        link = hash((event.user, anonymous))
        is_new = link not in self._links
        if not is_new and not is_login(event):
            return
        self._links.add(link)
        self._owned.add(hash(anonymous))
        notice = ExpectedRecord("notice", anonymous, merge_id(anonymous, event.user, event.id))
        self._expect(notice, partition)
        if is_new:
            self._expect(notice._replace(kind="merge"), partition)

    def _expect(self, record: ExpectedRecord, partition: int) -> None:
        """Expect a record, unless it has arrived before, because its cause is a repeat."""
        if hash(record) not in self._arrived:
            self._open[record] = _Cause(partition, 0)
