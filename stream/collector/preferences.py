"""The choices on the page behind an unsubscribe link: what is unticked ends at once, and what is ticked is confirmed.

An old link still ends what its page shows as unticked. In place of a grant, a new link goes to the address on record.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import NamedTuple, cast

from aiohttp import web

from models.events import CHANNELS, Channel
from stream.collector import pages
from stream.collector.link_writer import PurposeOnChannel
from stream.collector.links import LinkParts, language_of, not_a_link, try_again
from stream.collector.preference_page import LANGUAGE, NEW_LINK_PATH, PREFERENCES_PATH, SHOWN, TICKED
from stream.collector.texts import texts_in
from stream.delivery.unsubscribe import PARAMETER, InvalidToken
from stream.log.event_log import LogUnavailable

READ_WITHIN_S = 10.0
"""How long the form may take to arrive, seconds."""
MAX_CHOICES = 16 * len(CHANNELS)
"""Maximum number of choices in a form: those of 16 purposes on each channel."""

_SHOWN = re.compile(r"([a-z][a-z0-9_]{0,63})@([a-z]{1,20})=([01])")


class PreferenceLinks:
    """The addresses to which the choices of the page are posted.

    Parameters
    ----------
    parts
        The parts shared with the unsubscribe links.
    """

    def __init__(self, parts: LinkParts) -> None:
        self._parts = parts

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the addresses."""
        router.add_post(PREFERENCES_PATH, self._save)
        router.add_post(NEW_LINK_PATH, self._send_link)

    async def _save(self, request: web.Request) -> web.Response:
        """Write what has changed, and confirm when Kafka has acknowledged."""
        parts, language = self._parts, language_of(request)
        try:
            token, said = parts.read(request)
        except InvalidToken:
            return not_a_link(request)
        texts, form = texts_in(language), await _form(request)
        if form is None:
            return pages.answer(pages.failed(language, texts.bad_form), 400)
        is_old = parts.is_old(said)
        left = [one for one in form.shown if one in form.ticked and one.channel == said.channel]
        ended = [one for one in form.granted if one not in form.ticked]
        asked = [one for one in form.shown if one in form.ticked and one not in form.granted]
        try:
            is_whole = not left and any(one.channel == said.channel for one in ended)
            await parts.writer.save(said, ended, [] if is_old else asked, whole=is_whole)
            if is_old and asked:
                await parts.writer.request_link(said)
        except LogUnavailable:
            return try_again(request)
        body = pages.paragraph(texts.saved_help) if ended else ""
        if asked:
            body += pages.paragraph(texts.link_sent_help if is_old else texts.asked)
        back = f"{PREFERENCES_PATH}?{PARAMETER}={token}&amp;{LANGUAGE}={language}"
        body += f'<p><a href="{back}">{texts.back}</a></p>'
        return pages.answer(pages.page(language, texts.saved, body))

    async def _send_link(self, request: web.Request) -> web.Response:
        """Let a new link be mailed, and say so in the same words whether or not there is an address."""
        parts, language = self._parts, language_of(request)
        try:
            _, said = parts.read(request)
        except InvalidToken:
            return not_a_link(request)
        try:
            await parts.writer.request_link(said)
        except LogUnavailable:
            return try_again(request)
        texts = texts_in(language)
        return pages.answer(pages.page(language, texts.link_sent, pages.paragraph(texts.link_sent_help)))


class _Form(NamedTuple):
    """The choices of a form: those that the page has shown, those that were granted, and those that are ticked."""

    shown: Sequence[PurposeOnChannel]
    granted: frozenset[PurposeOnChannel]
    ticked: frozenset[PurposeOnChannel]


async def _form(request: web.Request) -> _Form | None:
    """Read the choices; ``None`` if the form is damaged, incomplete, or not ours."""
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            fields = await request.post()
    except (TimeoutError, LookupError, ValueError, web.RequestPayloadError):
        return None
    shown: dict[PurposeOnChannel, bool] = {}
    for said in fields.getall(SHOWN, ()):
        found = _SHOWN.fullmatch(said) if isinstance(said, str) else None
        if found is None or found[2] not in CHANNELS or len(shown) >= MAX_CHOICES:
            return None
        shown[PurposeOnChannel(found[1], cast("Channel", found[2]))] = found[3] == "1"
    if not shown:
        return None
    wanted = set(fields.getall(TICKED, ()))
    ticked = frozenset(one for one in shown if f"{one.purpose}@{one.channel}" in wanted)
    return _Form(tuple(shown), frozenset(one for one, granted in shown.items() if granted), ticked)
