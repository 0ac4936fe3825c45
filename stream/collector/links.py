"""Unsubscribe links at the HTTP door: a page that asks, and the one click of RFC 8058 that withdraws consent."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from models.batch import Output
from models.delivery.suppression import SCOPE_OF, TOPIC, SuppressionEntry, encode_entry, key_of
from models.delivery.suppression_list import SuppressionList
from models.delivery.suppression_rules import time_in_force
from models.events import Event, encode_event
from models.log import EVENTS
from monitoring import metrics
from stream.collector import pages
from stream.collector.answers import RETRY_AFTER_S
from stream.collector.intake import Intake
from stream.delivery.unsubscribe import PARAMETER, PATH, InvalidToken, Signer, Unsubscription
from stream.log.event_log import EventLog, LogUnavailable


class UnsubscribeLinks:
    """The address of the signed links in our messages.

    Parameters
    ----------
    log
        Log that a withdrawal is written to.
    intake
        Source of the withdrawal's id.
    signer
        Verifier of the links.
    now
        Clock, milliseconds.
    listed
        The suppression list, as far as it was read; ``None`` is an empty list.
    """

    def __init__(
        self,
        log: EventLog,
        intake: Intake,
        signer: Signer,
        now: Callable[[], int],
        listed: SuppressionList | None = None,
    ) -> None:
        self._listed = listed
        self._log = log
        self._intake = intake
        self._signer = signer
        self._now = now

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the address of the links."""
        router.add_get(PATH, self._ask)
        router.add_post(PATH, self._withdraw)

    async def _ask(self, request: web.Request) -> web.Response:
        """Show a page with a button. A GET changes nothing, because programs that scan mail follow every link."""
        token = request.query.get(PARAMETER, "")
        try:
            said = self._signer.verify(token)
        except InvalidToken as error:
            return _page(pages.failed(f"{error}."), 400)
        return _page(pages.confirm(f"{PATH}?{PARAMETER}={token}", said.channel))

    async def _withdraw(self, request: web.Request) -> web.Response:
        """Withdraw consent for the user and the address, and confirm when Kafka stores both; a repeat does no harm."""
        now = self._now()
        try:
            said = self._signer.verify(request.query.get(PARAMETER, ""))
        except InvalidToken as error:
            return _page(pages.failed(f"{error}."), 400)
        withdrawal = Event(
            id=self._intake.source().id,
            user=said.user,
            type="consent",
            at=now,
            channel=said.channel,
            granted=False,
            reason="unsubscribe link",
        )
        written = [Output(EVENTS, withdrawal.user.encode(), encode_event(withdrawal))]
        if said.address:
            # Other users with this address get no marketing over this channel either.
            written.insert(0, self._entry(said, now))
        try:
            await self._log.write(written)
        except LogUnavailable:
            return _page(pages.failed("Please try again in a minute."), 503, {"Retry-After": str(RETRY_AFTER_S)})
        metrics.increment("events_accepted", "http")
        if said.address:
            metrics.increment("suppressions_written", said.channel, "unsubscribe")
        return _page(pages.done(said.channel))

    def _entry(self, said: Unsubscription, now: int) -> Output:
        marks = {} if self._listed is None else self._listed.marks_of_hash(said.address)
        entry = SuppressionEntry(
            scope=SCOPE_OF["unsubscribe"],
            reason="unsubscribe",
            channel=said.channel,
            source="unsubscribe link",
            at=time_in_force(marks, "unsubscribe", now),
        )
        return Output(TOPIC, key_of(said.address, "unsubscribe"), encode_entry(entry))


def _page(html: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=html, status=status, headers=pages.HEADERS | (headers or {}), content_type="text/html")
