"""All profiles as they were committed last, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from models.log import CONTROL, EVENTS
from models.profile.codec import unpack
from models.profile.state import Facts
from stream.cluster.compacted import each_record
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerSilent
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.feed.progress import GroupProgress, await_folded

PROFILES = "profiles"
_ANSWER_WITHIN_S = 10.0
_FOLDED_WITHIN_S = 30.0
"""How long to wait for a fold that does not move, seconds."""


class StoredProfile(NamedTuple):
    """A record of a profile. A later one of the same key replaces it; ``None`` means that the profile is gone."""

    key: bytes
    value: bytes | None

    @property
    def facts(self) -> Facts | None:
        """The facts of the profile."""
        return None if self.value is None else unpack(self.value).facts


async def stored_profiles(connection: Connection, partitions: int) -> AsyncGenerator[StoredProfile, None]:
    """Yield the records of all profiles, without the fold's own."""
    for partition in range(partitions):
        records = each_record(connection, PROFILES, partition, in_use=connection.transactions)
        async with aclosing(records) as batches:
            async for batch in batches:
                for record in batch:
                    if record.key is not None and not record.key.startswith(CONTROL):
                        yield StoredProfile(record.key, record.value)


async def await_all_folded(connection: Connection, partitions: int) -> None:
    """Wait until the fold has reached the present end of the log.

    Raises
    ------
    NobodyFolds
        The fold does not move.
    BrokerUnavailable
        The broker does not answer.
    """
    places = partitions_of(connection, EVENTS, partitions)
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S), TopicReader(connection, places) as reader:
            ends = await reader.ends()
    except TimeoutError as error:
        raise BrokerSilent(f"the end of the log was not read within {_ANSWER_WITHIN_S:g} s") from error
    async with GroupProgress(connection, partitions) as progress:
        wanted = {place.partition: end for place, end in ends.items()}
        await await_folded(progress, wanted, silence_s=_FOLDED_WITHIN_S)
