"""Addresses that are suppressed in the middle of a round, and a check that no later e-mail to them is handed over.

A task follows unsubscribe links and clicks; the mail server reports that some addresses no longer exist. A separate
reader records the time of each entry of the list. It sees an entry only after Kafka has acknowledged the entry. If an
address is handed to the provider more than a second later, the promise is broken. There is one exception: a process
that was stopped after its look-up in the list and before the call. Its look-up was too early to find the entry.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from models.delivery.address_hashes import AddressHashes
from models.delivery.suppression import TOPIC, decode_entry, parse_key
from models.delivery.suppression_rules import SuppressionMark, stops
from stream.cluster.connection import Connection
from tests.chaos.lives import Life, now_ms
from tests.chaos.sink import Handed, Sink

logger = logging.getLogger(__name__)

CLICK_EVERY_S = 0.6
"""Time between two clicks, seconds."""
AGAIN_S = 0.2
ACTS_WITHIN_MS = 1_000
WAKES_WITHIN_MS = 1_500
"""How long a process that was stopped may need to finish a call that it had begun before, milliseconds."""


class DatedEntry(NamedTuple):
    """An entry of the suppression list with the time at which it was seen.

    Attributes
    ----------
    at
        Time in milliseconds of the wall clock; never before Kafka has acknowledged the entry.
    address
        The hashed address, as the list stores it.
    reason, mark
        Reason and mark of the entry; an entry without a mark is a removal.
    """

    at: int
    address: str
    reason: str
    mark: SuppressionMark | None


@dataclass
class Listing:
    """Reader of the list from outside, which records the time of each entry; use it with ``async with``.

    Attributes
    ----------
    connection
        Connection of the installation.
    seen
        All entries so far.
    """

    connection: Connection
    seen: list[DatedEntry] = field(default_factory=list)
    _watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            **self.connection.client_options(),
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
        )
        await self._consumer.start()
        self._consumer.assign([TopicPartition(self.connection.topic(TOPIC), 0)])
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._watching is not None
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        await self._consumer.stop()

    async def _watch(self) -> None:
        while True:
            try:
                found = await self._consumer.getmany(timeout_ms=1_000)
            except KafkaError:
                await asyncio.sleep(AGAIN_S)  # the broker is being killed
                continue
            at = now_ms()
            for record in (record for records in found.values() for record in records):
                place = parse_key(record.key)
                entry = None if record.value is None else decode_entry(record.value)
                mark = None if entry is None else SuppressionMark(entry.scope, entry.at)
                self.seen.append(DatedEntry(at, place.address, place.reason, mark))


@dataclass
class Leavers:
    """Recipients who click on the unsubscribe links of their e-mails.

    Attributes
    ----------
    sink
        Mail server of the round.
    seed
        Seed of the choice of recipients.
    clicked
        Time at which the door confirmed the click, in milliseconds, by address.
    """

    sink: Sink
    seed: int
    clicked: dict[str, int] = field(default_factory=dict)

    async def run(self, stop: asyncio.Event) -> None:
        """Send clicks until ``stop`` is set; a click that got no answer is repeated until it gets one."""
        rng = random.Random(f"leavers {self.seed}")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            while not stop.is_set():
                links = [(to, link) for to, link in self.sink.links.items() if to not in self.clicked]
                if links:
                    await self._click(session, *rng.choice(sorted(links)))
                await asyncio.sleep(CLICK_EVERY_S)

    async def _click(self, session: aiohttp.ClientSession, address: str, link: str) -> None:
        while True:
            try:
                async with session.post(link, data={"List-Unsubscribe": "One-Click"}) as answer:
                    if answer.status == 200:
                        break
                    assert answer.status >= 500, (answer.status, await answer.text())
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass  # the door is being killed
            await asyncio.sleep(AGAIN_S)
        self.clicked[address] = now_ms()


def handed_late(
    handed: Iterable[Handed],
    entries: Iterable[DatedEntry],
    clicked: Mapping[str, int],
    hashes: AddressHashes,
    lives: Iterable[Life],
) -> list[str]:
    """Describe each message that was handed over although its address had been suppressed for more than a second.

    Parameters
    ----------
    handed
        Messages that reached the provider, with their times.
    entries, clicked
        Entries of the list, and clicks that were answered.
    hashes
        Hashes of the installation.
    lives
        Lives of the processes that deliver.
    """
    by_address: dict[str, list[DatedEntry]] = {}
    for entry in [*entries, *(_of_click(hashes, *click) for click in clicked.items())]:
        by_address.setdefault(entry.address, []).append(entry)
    stalls = [stall for life in lives for stall in life.stalls]
    late = []
    for one in handed:
        before = one.at - ACTS_WITHIN_MS
        known = [entry for entry in by_address.get(hashes.newest("email", one.address), ()) if entry.at < before]
        stop = stops(_marks(known), "marketing" if one.is_marketing else "transactional")
        if stop is not None and not any(stall.meets(one.at - WAKES_WITHIN_MS, one.at) for stall in stalls):
            late.append(f"{one.message or 'a recipient'} to {one.address}, {stop.reason} since {one.at - stop.at} ms")
    return late


def _of_click(hashes: AddressHashes, address: str, at: int) -> DatedEntry:
    return DatedEntry(at, hashes.newest("email", address), "unsubscribe", SuppressionMark("marketing", at))


def _marks(entries: Iterable[DatedEntry]) -> dict[str, SuppressionMark]:
    """Return the marks on the list after these entries."""
    marks: dict[str, SuppressionMark] = {}
    for entry in sorted(entries, key=lambda one: one.at):
        if entry.mark is None:
            marks.pop(entry.reason, None)
        else:
            marks[entry.reason] = entry.mark
    return marks
