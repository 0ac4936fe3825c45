"""What visitors hand over to known users, computed again by the first pass, in ``merges.rebuild``.

An answer is written in the transaction that commits the position after its notice. Its key is the known user, so the
second pass over a partition reads one partition.
"""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from models.batch import Output
from models.events import Event, encode_event
from models.fold.handovers import merge_in
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.rebuild.reading import OPTIONS, SILENCE_S
from stream.rebuild.shadow_topic import MERGES


class RebuiltMerge(msgspec.Struct, array_like=True, frozen=True):
    """A merge record that the first pass has computed.

    Attributes
    ----------
    code
        Fingerprint of the code that computed it.
    merge
        The record, as it would be in ``outcomes``.
    """

    code: str
    merge: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RebuiltMerge).decode


def output_of(code: str, merge: Event) -> Output:
    """Return the record of ``merges.rebuild`` for a merge record."""
    return Output(MERGES, merge.user.encode(), _encode(RebuiltMerge(code, encode_event(merge))))


async def read_answers(connection: Connection, partition: int, code: str) -> dict[str, Event]:
    """Return the answers for the users of a partition that some code has computed, by the id of the merge.

    Parameters
    ----------
    connection
        The cluster.
    partition
        Number of the partition.
    code
        Fingerprint of the code. Answers of other code are ignored.

    Raises
    ------
    BrokerUnavailable
        The topic cannot be read.
    """
    found: dict[str, Event] = {}
    place = partitions_of(connection, MERGES, partition + 1)[partition]
    async with (
        TopicReader(connection, [place], OPTIONS) as reader,
        aclosing(reader.read_to_end(silence_s=SILENCE_S)) as batches,
    ):
        async for _, records in batches:
            for record in records:
                answer = _decode(record.value or b"")
                merge = merge_in(answer.merge) if answer.code == code else None
                if merge is not None:  # a second notice of the same login gets nothing more
                    found.setdefault(merge.id, merge)
    return found
