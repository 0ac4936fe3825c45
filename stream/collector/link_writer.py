"""Writer of what the holder of an unsubscribe link states: events of the user, and entries of the suppression list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from models.batch import Output
from models.configuration.preference_links import LINK_REQUESTED
from models.delivery.suppression import SCOPE_OF, TOPIC, SuppressionEntry, encode_entry, key_of
from models.delivery.suppression_list import SuppressionList
from models.delivery.suppression_rules import time_in_force
from models.events import MARKETING, Channel, Event, encode_event
from models.log import EVENTS
from monitoring import metrics
from stream.collector.intake import Intake
from stream.delivery.unsubscribe import Unsubscription
from stream.log.event_log import EventLog

LINK_SOURCE = "unsubscribe link"
"""Source of a withdrawal by a button or by one click."""
PAGE_SOURCE = "preference page"
"""Source of a statement by the choices of the page."""


class PurposeOnChannel(NamedTuple):
    """A purpose on a channel; ``None`` means all purposes, or all channels."""

    purpose: str | None
    channel: Channel | None


class LinkWriter:
    """Writer of the statements; each returns when Kafka has acknowledged them. A repeat does no harm.

    Parameters
    ----------
    log
        Log that the events and entries are written to.
    intake
        Source of the events' ids.
    now
        Clock, milliseconds.
    listed
        The suppression list, as far as it was read; ``None`` is an empty list.

    Attributes
    ----------
    now
        See the parameter.
    """

    def __init__(
        self, log: EventLog, intake: Intake, now: Callable[[], int], listed: SuppressionList | None = None
    ) -> None:
        self.now = now
        self._log = log
        self._intake = intake
        self._listed = listed

    async def stop(self, said: Unsubscription, channel: Channel | None, purpose: str | None = None) -> None:
        """Withdraw consent to all purposes or to one, on all channels or on one.

        Unless it is about one purpose, other users with the address of the link get no marketing on its channel either.

        Raises
        ------
        LogUnavailable
            Kafka has not acknowledged.
        """
        now = self.now()
        written = [self._withdrawal(said, now, PurposeOnChannel(purpose, channel), LINK_SOURCE)]
        if purpose is None:
            written = [*self._entry(said, now), *written]
        await self._write(said, written)

    async def save(
        self, said: Unsubscription, ended: Iterable[PurposeOnChannel], asked: Iterable[PurposeOnChannel], *, whole: bool
    ) -> None:
        """Withdraw consent to what is not ticked any more, and let an e-mail ask to confirm what is ticked now.

        Parameters
        ----------
        said
            The content of the link's token.
        ended, asked
            The choices that have changed.
        whole
            Whether nothing is left on the channel of the link. Then its address gets an entry, too.

        Raises
        ------
        LogUnavailable
            Kafka has not acknowledged.
        """
        now = self.now()
        await self._write(
            said,
            [
                *(self._entry(said, now) if whole else ()),
                *(self._withdrawal(said, now, one, PAGE_SOURCE) for one in ended),
                *(self._request(said, now, one) for one in asked),
            ],
        )

    async def request_link(self, said: Unsubscription) -> None:
        """Let a new link be mailed to the address on record, at most one an hour.

        Raises
        ------
        LogUnavailable
            Kafka has not acknowledged.
        """
        event = Event(id=self._id(), user=said.user, type="custom", at=self.now(), name=LINK_REQUESTED)
        await self._write(said, [_output(event)])

    async def _write(self, said: Unsubscription, written: Sequence[Output]) -> None:
        if not written:
            return
        await self._log.write(written)
        for output in written:
            if output.topic == TOPIC:
                metrics.increment("suppressions_written", said.channel, "unsubscribe")
            else:
                metrics.increment("events_accepted", "http")

    def _id(self) -> str:
        return self._intake.source().id

    def _withdrawal(self, said: Unsubscription, now: int, about: PurposeOnChannel, source: str) -> Output:
        event = Event(
            id=self._id(),
            user=said.user,
            type="consent",
            at=now,
            channel=about.channel,
            granted=False,
            purpose=about.purpose,
            reason=source,
        )
        return _output(event)

    def _request(self, said: Unsubscription, now: int, about: PurposeOnChannel) -> Output:
        """Return a grant that waits for its confirmation. Like one with a browser key, it grants nothing by itself."""
        is_marketing = about.purpose == MARKETING
        event = Event(
            id=self._id(),
            user=said.user,
            type="consent",
            at=now,
            trust="public",
            channel=about.channel,
            granted=True if is_marketing else None,
            purpose=None if is_marketing else about.purpose,
            reason=PAGE_SOURCE,
        )
        return _output(event)

    def _entry(self, said: Unsubscription, now: int) -> list[Output]:
        """Return the entry of the address; none for a link without an address."""
        if not said.address:
            return []
        marks = {} if self._listed is None else self._listed.marks_of_hash(said.address)
        entry = SuppressionEntry(
            scope=SCOPE_OF["unsubscribe"],
            reason="unsubscribe",
            channel=said.channel,
            source=LINK_SOURCE,
            at=time_in_force(marks, "unsubscribe", now),
        )
        return [Output(TOPIC, key_of(said.address, "unsubscribe"), encode_entry(entry))]


def _output(event: Event) -> Output:
    return Output(EVENTS, event.user.encode(), encode_event(event))
