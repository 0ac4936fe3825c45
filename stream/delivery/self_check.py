"""Check of a process that delivers, against the rules in the log: what it finds holds the messages.

The rules in the log are those that made the messages; the draft in the file is not asked. They are read from
``versions``, from its beginning, and followed from then on: a new ``perennial apply`` is checked within a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

import msgspec

from models.batch import Record
from models.configuration.compiled import Configuration, decode
from models.learning.publication import TOPIC
from models.log import Use, decode_control
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.cluster.repeating import repeat
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.delivery.holds import Holds
from stream.delivery.requirements import unmet, unmet_secrets
from stream.log.versions import NAME, newest_use, read_uses
from stream.settings.loading import Settings

log = logging.getLogger(__name__)

OWN = "delivery."
"""Reasons whose names begin so are kept by this check."""
UNREAD = "delivery.configuration"
"""Reason to hold until the rules in the log have been read once."""
RETRY_S = 1.0


def hold_until_checked(settings: Settings, holds: Holds) -> None:
    """Hold all messages until :func:`checking` has read the rules; and those whose secrets cannot be read, for good."""
    holds.set(UNREAD, "the rules in the log have not been read yet")
    for name, says, channel in unmet_secrets(settings):
        holds.set(name, says, channel)


@asynccontextmanager
async def checking(connection: Connection, settings: Settings, holds: Holds) -> AsyncIterator[None]:
    """Check each version of the rules that is put into use, until the context ends.

    Parameters
    ----------
    connection
        To the cluster of the log.
    settings
        Of this process.
    holds
        Gets a reason for each requirement that is not met, and loses those that are met by a later version.
    """
    task = asyncio.create_task(_follow(connection, settings, holds), name="delivery-check")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def check(settings: Settings, rules: Configuration, holds: Holds) -> None:
    """Hold messages for what these rules need and the settings lack, and for nothing else of this check."""
    holds.replace(OWN, {name: (says, channel) for name, says, channel in unmet(settings, rules)})


async def _follow(connection: Connection, settings: Settings, holds: Holds) -> None:
    async def attempt() -> None:
        async with aclosing(_versions(connection)) as versions:
            async for content in versions:
                try:
                    rules = Configuration() if content is None else decode(content)
                except msgspec.DecodeError as error:
                    holds.set(UNREAD, f"the rules in the log cannot be read by this release: {error}")
                else:
                    check(settings, rules, holds)

    def failed(error: BaseException) -> None:
        if not isinstance(error, BrokerUnavailable | asyncio.CancelledError):
            holds.set(UNREAD, f"the rules in the log cannot be checked: {type(error).__name__}: {error}")

    await repeat(attempt, "the rules in the log cannot be read", retry_s=RETRY_S, failed=failed)


async def _versions(connection: Connection) -> AsyncGenerator[bytes | None]:
    """Yield the rules in use, and again each newer version; ``None`` if nothing was ever put into use."""
    newest = newest_use(await read_uses(connection))
    yield None if newest is None else bytes(newest.content)
    (place,) = partitions_of(connection, TOPIC, 1)
    async with TopicReader(connection, [place]) as reader:
        async for _, records in reader:
            found = newest_use([*([newest] if newest else []), *_uses(records)])
            if found is not None and found is not newest:
                newest = found
                yield bytes(found.content)


def _uses(records: Sequence[Record]) -> list[Use]:
    uses: list[Use] = []
    for record in records:
        if record.key != NAME.encode() or record.value is None:
            continue
        try:
            control = decode_control(record.value)
        except msgspec.DecodeError as error:
            log.warning("record %s of %s is passed over: %s", record.offset, TOPIC, error)
            continue
        if isinstance(control, Use):
            uses.append(control)
    return uses
