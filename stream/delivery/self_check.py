"""Check of a delivering process against the rules in the log; each finding holds the messages.

The rules in the log are those that made the messages, so the draft in the file is not checked. They are read from the
beginning of ``versions``, and followed from then on. A new ``perennial apply`` is checked within a second.
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
from stream.cluster.patient_fetches import IDLE_WAIT_MS
from stream.cluster.repeating import repeat
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of
from stream.delivery.holds import Holds
from stream.delivery.requirements import unmet, unmet_secrets
from stream.log.versions import NAME, newest_use, read_uses
from stream.settings.loading import Settings

logger = logging.getLogger(__name__)

OWN = "delivery."
"""Beginning of the names of all reasons that belong to this check."""
UNREAD = "delivery.configuration"
"""Reason to hold messages until the rules in the log have been read once."""
RETRY_S = 1.0
"""How long to wait before the rules are read again after a failure, seconds."""


def hold_until_checked(settings: Settings, holds: Holds) -> None:
    """Hold all messages until :func:`checking` has read the rules.

    If a secret cannot be read, the messages that need it are held until this process ends.
    """
    holds.set(UNREAD, "the rules in the log have not been read yet")
    for name, says, channel in unmet_secrets(settings):
        holds.set(name, says, channel)


@asynccontextmanager
async def checking(connection: Connection, settings: Settings, holds: Holds) -> AsyncIterator[None]:
    """Check each version of the rules that is put into use, until the context ends.

    Parameters
    ----------
    connection
        Connection to the cluster of the log.
    settings
        Settings of this process.
    holds
        Gets a reason for each unmet requirement, and loses it when a later version meets the requirement.
    """
    task = asyncio.create_task(_follow(connection, settings, holds), name="delivery-check")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def check(settings: Settings, rules: Configuration, holds: Holds) -> None:
    """Hold messages for each unmet requirement of these rules, and drop all other reasons of this check."""
    holds.replace(OWN, {name: (says, channel) for name, says, channel in unmet(settings, rules)})


async def _follow(connection: Connection, settings: Settings, holds: Holds) -> None:
    async def attempt() -> None:
        async with aclosing(published_rules(connection)) as versions:
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


async def published_rules(connection: Connection) -> AsyncGenerator[bytes | None]:
    """Yield the rules in use, and then each newer version; ``None`` if no rules were ever put into use."""
    newest = newest_use(await read_uses(connection))
    yield None if newest is None else bytes(newest.content)
    (place,) = partitions_of(connection, TOPIC, 1)
    async with TopicReader(connection, [place], ReadOptions(idle_wait_ms=IDLE_WAIT_MS)) as reader:
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
            logger.warning("record %s of %s is ignored: %s", record.offset, TOPIC, error)
            continue
        if isinstance(control, Use):
            uses.append(control)
    return uses
