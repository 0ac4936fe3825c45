"""Unsubscribe links at the HTTP door: a page that asks, its buttons, and the one click of RFC 8058."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from stream.collector import pages
from stream.collector.answers import RETRY_AFTER_S
from stream.collector.consent_choices import ConsentChoices
from stream.collector.link_writer import LinkWriter
from stream.collector.preference_page import LANGUAGE, PREFERENCES_PATH, STOP, PreferencePage
from stream.collector.texts import LANGUAGES, language_for, named, texts_in
from stream.delivery.unsubscribe import PARAMETER, PATH, InvalidToken, Signer, Unsubscription
from stream.log.event_log import LogUnavailable


@dataclass(frozen=True, slots=True)
class LinkParts:
    """The parts that the addresses behind unsubscribe links share.

    Attributes
    ----------
    writer
        Writer of what the holder of a link states.
    signer
        Reader of the links' tokens.
    choices
        Source of the users' choices; ``None`` shows none.
    names
        Names of the purposes by language.
    """

    writer: LinkWriter
    signer: Signer
    choices: ConsentChoices | None = None
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def read(self, request: web.Request) -> tuple[str, Unsubscription]:
        """Return the token of a request and its content.

        Raises
        ------
        InvalidToken
            It was not made here, or was altered.
        """
        token = request.query.get(PARAMETER, "")
        return token, self.signer.verify(token)

    def is_old(self, said: Unsubscription) -> bool:
        """Return whether a link is too old to show choices, or to ask for a grant."""
        return self.writer.now() >= said.shows_until


class UnsubscribeLinks:
    """The address of the links in our messages.

    Parameters
    ----------
    parts
        The shared parts.
    """

    def __init__(self, parts: LinkParts) -> None:
        self._parts = parts

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the address of the links, and the page at the address of its choices."""
        router.add_get(PATH, self._ask)
        router.add_get(PREFERENCES_PATH, self._ask)
        router.add_post(PATH, self._withdraw)

    async def _ask(self, request: web.Request) -> web.Response:
        """Show the page. A GET changes nothing, because programs that scan mail follow every link."""
        parts = self._parts
        try:
            token, said = parts.read(request)
        except InvalidToken:
            return not_a_link(request)
        is_old = parts.is_old(said)
        choices = None if is_old or parts.choices is None else await parts.choices.of(said.user, said.channel)
        language = language_of(request, None if choices is None else choices.language)
        return pages.answer(PreferencePage(language, token, said, choices, is_old, parts.names).html())

    async def _withdraw(self, request: web.Request) -> web.Response:
        """Withdraw consent, and confirm when Kafka has acknowledged. The body of the request does not matter."""
        parts, language = self._parts, language_of(request)
        try:
            _, said = parts.read(request)
        except InvalidToken:
            return not_a_link(request)
        what = request.query.get(STOP, said.scope)
        purpose = said.purpose if what == "purpose" and said.purpose else None
        channel = None if what == "all" else said.channel
        try:
            await parts.writer.stop(said, channel, purpose)
        except LogUnavailable:
            return try_again(request)
        name = "" if purpose is None else named(parts.names, purpose, language)
        text = pages.stopped_text(texts_in(language), channel or "", name)
        return pages.answer(pages.stopped(language, text))


def language_of(request: web.Request, stated: str | None = None) -> str:
    """Return the language of the page that answers a request: that of the page before, or the reader's."""
    before = request.query.get(LANGUAGE)
    return before if before in LANGUAGES else language_for(request.headers.get("Accept-Language", ""), stated)


def not_a_link(request: web.Request) -> web.Response:
    """Return the answer to a request whose token was not made here."""
    language = language_of(request)
    return pages.answer(pages.failed(language, texts_in(language).bad_link), 400)


def try_again(request: web.Request) -> web.Response:
    """Return the answer while Kafka does not acknowledge."""
    language = language_of(request)
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return pages.answer(pages.failed(language, texts_in(language).try_again), 503, headers)
