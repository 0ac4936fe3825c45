"""Links that confirm a consent, at the HTTP door: a page that asks, and the POST of its button, which grants."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from aiohttp import web

from models.batch import Output
from models.events import MARKETING, Event, encode_event
from models.log import EVENTS
from monitoring import metrics
from stream.collector import pages
from stream.collector.links import language_of, not_a_link, try_again
from stream.collector.preference_page import LANGUAGE
from stream.collector.texts import texts_in
from stream.delivery.confirming import PATH, Confirmation, ExpiredToken, read_confirmation
from stream.delivery.unsubscribe import PARAMETER, InvalidToken, Signer
from stream.log.event_log import EventLog, LogUnavailable

SOURCE = "confirmation link"
"""Source of a consent that was confirmed by a link."""


class ConfirmLinks:
    """The address of the links in e-mails that ask to confirm a consent.

    Parameters
    ----------
    log
        Log that a consent is written to.
    signer
        Verifier of the links.
    now
        Clock, milliseconds.
    """

    def __init__(self, log: EventLog, signer: Signer, now: Callable[[], int]) -> None:
        self._log = log
        self._signer = signer
        self._now = now

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the address of the links."""
        router.add_get(PATH, self._ask)
        router.add_post(PATH, self._confirm)

    async def _ask(self, request: web.Request) -> web.Response:
        """Show a page with a button. A GET changes nothing, because programs that scan mail follow every link."""
        token = request.query.get(PARAMETER, "")
        try:
            said = read_confirmation(self._signer, token, self._now())
        except InvalidToken as error:
            return _refused(request, error)
        language = language_of(request)
        action = f"{PATH}?{PARAMETER}={token}&{LANGUAGE}={language}"
        return pages.answer(pages.ask_to_confirm(language, action, said.channel))

    async def _confirm(self, request: web.Request) -> web.Response:
        """Write the consent, and say so when Kafka stores it; a repeat does no harm."""
        now = self._now()
        try:
            said = read_confirmation(self._signer, request.query.get(PARAMETER, ""), now)
        except InvalidToken as error:
            return _refused(request, error)
        event = _event(said, now)
        try:
            await self._log.write([Output(EVENTS, event.user.encode(), encode_event(event))])
        except LogUnavailable:
            return try_again(request)
        metrics.increment("events_accepted", "http")
        return pages.answer(pages.confirmed(language_of(request), said.channel))


def _event(said: Confirmation, now: int) -> Event:
    """Return the consent. Each click on a link has the same id, and the fold counts a link only once."""
    is_marketing = said.purpose == MARKETING
    name = blake2b(
        f"{said.message}\0{said.user}\0{said.purpose}".encode(), digest_size=16, person=b"confirm"
    ).hexdigest()
    return Event(
        id=f"confirm-{name}",
        user=said.user,
        type="consent",
        at=now,
        channel=said.channel,
        granted=True if is_marketing else None,
        purpose=None if is_marketing else said.purpose,
        confirmed=True,
        message=said.message,
        text=said.text or None,
        reason=SOURCE,
    )


def _refused(request: web.Request, error: InvalidToken) -> web.Response:
    """Return the answer to a token that is too old, or was not made here."""
    if not isinstance(error, ExpiredToken):
        return not_a_link(request)
    language = language_of(request)
    return pages.answer(pages.failed(language, texts_in(language).expired), 400)
