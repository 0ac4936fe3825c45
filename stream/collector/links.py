"""Unsubscribe links at the HTTP door: a page that asks, and the one click of RFC 8058 that withdraws consent."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from models.events import Event
from monitoring import metrics
from stream.collector import pages
from stream.collector.intake import Intake
from stream.delivery.unsubscribe import PARAMETER, PATH, InvalidToken, Signer
from stream.event_log import EventLog, LogUnavailable

RETRY_AFTER_S = 1
"""When to come back while Kafka is away."""


class UnsubscribeLinks:
    """Answers the signed links of our messages.

    Parameters
    ----------
    log
        Where a withdrawal goes.
    intake
        Gives it its id.
    signer
        Verifies links.
    now
        The clock, milliseconds.
    """

    def __init__(self, log: EventLog, intake: Intake, signer: Signer, now: Callable[[], int]) -> None:
        self._log = log
        self._intake = intake
        self._signer = signer
        self._now = now

    async def ask(self, request: web.Request) -> web.Response:
        """Show a page with a button; following a link changes nothing, for programs that scan mail follow them all."""
        token = request.query.get(PARAMETER, "")
        try:
            said = self._signer.verify(token, self._now())
        except InvalidToken as error:
            return _page(pages.failed(f"{error}."), 400)
        return _page(pages.confirm(f"{PATH}?{PARAMETER}={token}", said.channel))

    async def withdraw(self, request: web.Request) -> web.Response:
        """Withdraw the consent, and say so once Kafka has it. A second click does no harm."""
        now = self._now()
        try:
            said = self._signer.verify(request.query.get(PARAMETER, ""), now)
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
        try:
            await self._log.append([withdrawal])
        except LogUnavailable:
            return _page(pages.failed("Please try again in a minute."), 503, {"Retry-After": str(RETRY_AFTER_S)})
        metrics.increment("events_accepted", "http")
        return _page(pages.done(said.channel))


def _page(html: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=html, status=status, headers=pages.HEADERS | (headers or {}), content_type="text/html")
