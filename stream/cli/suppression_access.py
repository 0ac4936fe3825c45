"""Reading and writing of the suppression list for its commands: entries, hashes of addresses, and new entries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress

from models.batch import Output
from models.delivery.address_hashes import AddressHashes, domain_of
from models.delivery.suppression import (
    LOST,
    SCOPE_OF,
    TOPIC,
    Reason,
    Scope,
    SuppressionEntry,
    encode_entry,
    given_up,
    key_of,
)
from models.delivery.suppression_file import delivery_address
from models.delivery.suppression_rules import SuppressionMark, time_in_force
from models.errors import PerennialError
from models.events import Channel
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.cluster.topics import require_topics
from stream.delivery.configured import suppression_hashes
from stream.settings.loading import Settings
from stream.suppressions import store
from stream.suppressions.store import Listed


class CannotSuppress(PerennialError):
    """A command on the suppression list that cannot be carried out: do what the message says."""


class NewEntry(NamedTuple):
    """An entry to write.

    Attributes
    ----------
    channel, address
        The address, as delivery uses it.
    reason
        Reason of the entry.
    at
        Time of the entry, milliseconds.
    source
        Command that writes it.
    scope
        Messages that the entry stops; ``None`` for the default of the reason.
    """

    channel: Channel
    address: str
    reason: Reason
    at: int
    source: str
    scope: Scope | None

    def output(self, hashes: AddressHashes) -> Output:
        """Return the record of the entry."""
        entry = SuppressionEntry(
            scope=self.scope or SCOPE_OF[self.reason],
            reason=self.reason,
            channel=self.channel,
            source=self.source,
            at=self.at,
            domain=domain_of(self.channel, self.address) if self.reason == "bounce" else "",
        )
        return Output(TOPIC, key_of(hashes.newest(self.channel, self.address), self.reason), encode_entry(entry))


class SuppressionAccess:
    """The suppression list of an installation, as it was when :meth:`read` read it.

    Attributes
    ----------
    entries
        All entries, ordered by time.
    """

    def __init__(self, settings: Settings, connection: Connection, entries: Sequence[Listed]) -> None:
        self._settings = settings
        self._connection = connection
        self.entries = entries

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._connection.servers}: {len(self.entries)} entries>"

    @classmethod
    def read(cls, settings: Settings) -> SuppressionAccess:
        """Read the list of an installation."""
        connection = settings.connection()
        require_topics(connection, settings.partitions)
        return cls(settings, connection, store.read(connection))

    def hashes(self) -> AddressHashes:
        """Return the hashes with the secrets of the settings; refuse a list that was made with other secrets."""
        hashes = suppression_hashes(self._settings)
        if hashes.missing:
            raise CannotSuppress(hashes.missing)
        lost = {one.place.secret for one in self.entries if one.place.reason == LOST}
        used = {one.place.secret for one in self.entries} - (lost - hashes.ids)
        missing = used - hashes.ids
        if not used or (hashes.newest_id in used and not missing):
            return hashes
        why = (
            f"it was made with a secret that is not known here (id {', '.join(sorted(missing))})"
            if missing
            else "no process that delivers has started with the newest secret yet"
        )
        raise CannotSuppress(
            f"the suppression list cannot be used with these settings: {why}; run this where delivery runs, with the "
            f"same delivery.suppression_secrets, or the same data folder"
        )

    def hashes_of(self, address: str, channel: Channel | None) -> set[str]:
        """Return every hash that an address may have in the list."""
        return {*self.hashes().every(*parsed_address(address, channel))}

    def time_in_force(self, addresses: Sequence[str], reason: Reason) -> int:
        """Return the time for a new entry, so that the entry is in force even if other writers' clocks were ahead."""
        marks: dict[str, SuppressionMark] = {}
        for one in self.entries:  # ordered by time
            if one.place.address in addresses:
                marks[one.place.reason] = SuppressionMark(one.entry.scope, one.entry.at)
        return time_in_force(marks, reason, now_ms())

    def bounces(self, domain: str, begin: int, end: int) -> list[Listed]:
        """Return the bounces of a domain between two times, milliseconds."""
        return [
            one
            for one in self.entries
            if one.place.reason in ("bounce", "bounce_suspected")
            and one.entry.domain == domain.strip().lower()
            and begin <= one.entry.at <= end
        ]

    def remove(self, entries: Sequence[Listed], lost_secret: str | None) -> None:
        """Remove entries; if ``lost_secret`` names a secret, record that it is lost."""
        outputs = [Output(TOPIC, one.place.key(), None) for one in entries]
        if lost_secret is not None:
            outputs.append(Output(TOPIC, *given_up(lost_secret)))
        self.write(outputs)

    def write(self, outputs: Sequence[Output], description: str | None = None) -> None:
        """Write records, with a progress bar if there is a description."""
        with ExitStack() as stack:
            bar = Progress(console=Console(stderr=True), transient=True, disable=description is None)
            task = stack.enter_context(bar).add_task(description or "", total=len(outputs))
            asyncio.run(
                store.write(
                    self._connection,
                    self._settings.partitions,
                    outputs,
                    lambda number: bar.update(task, completed=number),
                )
            )


def parsed_address(address: str, channel: Channel | None) -> tuple[Channel, str]:
    """Return the channel and the address as delivery uses it.

    Raises
    ------
    CannotSuppress
        The address is neither an e-mail address nor a phone number.
    """
    found = delivery_address(address, channel)
    if found is None:
        raise CannotSuppress(
            f"address: found {address!r}; allowed: an e-mail address, or a phone number with its country (+49...)"
        )
    return found
