"""The texts of the pages behind the links of our messages, one file for each language.

A text may have ``{by}``, the way of a channel, such as ``by e-mail``, and ``{purpose}``, the name of a purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec

LANGUAGES: tuple[str, ...] = ("en", "de", "fr", "es", "zh")
"""Languages of the pages. The first one is used if a reader asks for none of them."""

_TAGS = {"zh": "zh-Hans"}
"""The tag of a language in HTML, where it differs from the language's code."""
_MAX_HEADER = 1_000
"""Maximum number of characters of the header ``Accept-Language`` that are read."""
_WANTED = re.compile(r"\s*([a-zA-Z]{1,8})(?:[-_][\w-]*)?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?))?\s*")


class PageTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The texts of all pages in one language.

    Attributes
    ----------
    by, channels
        The way of each channel, and its name. A channel without an entry has its own name.
    marketing
        Name of the purpose ``marketing``.
    unsubscribe, question, stop_all, stop_channel, stop_purpose
        The page that asks before consent is withdrawn: its title, its question, and its buttons.
    choices, choices_help, save, waits, elsewhere
        The choices: their title, what to do, the button, and the notes beside a choice.
    unknown, old, send_link
        Why the choices are not shown, and the button that sends a new link.
    link_sent, link_sent_help
        The page after a new link was requested.
    stopped, stopped_all, stopped_channel, stopped_purpose
        The page after a withdrawal.
    saved, saved_help, asked, back
        The page after choices were saved.
    confirm, confirm_question, confirm_yes, confirm_help
        The page that asks before a consent is confirmed.
    confirmed, confirmed_help, confirmed_unless
        The page after a consent was confirmed.
    failed, bad_link, expired, bad_form, try_again
        The page that says why nothing was changed.
    """

    by: dict[str, str]
    channels: dict[str, str]
    marketing: str
    unsubscribe: str
    question: str
    stop_all: str
    stop_channel: str
    stop_purpose: str
    choices: str
    choices_help: str
    save: str
    waits: str
    elsewhere: str
    unknown: str
    old: str
    send_link: str
    link_sent: str
    link_sent_help: str
    stopped: str
    stopped_all: str
    stopped_channel: str
    stopped_purpose: str
    saved: str
    saved_help: str
    asked: str
    back: str
    confirm: str
    confirm_question: str
    confirm_yes: str
    confirm_help: str
    confirmed: str
    confirmed_help: str
    confirmed_unless: str
    failed: str
    bad_link: str
    expired: str
    bad_form: str
    try_again: str

    def way(self, channel: str) -> str:
        """Return the way of a channel, such as ``by e-mail``."""
        return self.by.get(channel, channel)


@cache
def texts_in(language: str) -> PageTexts:
    """Return the texts in one of :data:`LANGUAGES`."""
    file = resources.files(__package__) / f"{language}.json"
    return msgspec.json.decode(file.read_bytes(), type=PageTexts)


def tag_of(language: str) -> str:
    """Return the tag of a language for the attribute ``lang`` of HTML.

    Examples
    --------
    >>> tag_of("de"), tag_of("zh")
    ('de', 'zh-Hans')
    """
    return _TAGS.get(language, language)


def language_for(accepted: str, stated: str | None = None) -> str:
    """Return the language of a page.

    Parameters
    ----------
    accepted
        The header ``Accept-Language`` of the reader's browser.
    stated
        The language of the message or of the user, such as ``de`` or ``de-AT``, if it is known. It comes first.

    Examples
    --------
    >>> language_for("fr-CH, fr;q=0.9, en;q=0.8"), language_for("fr", "de_AT"), language_for("xx, es;q=0.1, *")
    ('fr', 'de', 'es')
    >>> language_for(""), language_for("en;q=0, zh-TW;q=0.5")
    ('en', 'zh')
    """
    own = _WANTED.match(stated or "")
    if own is not None and own[1].lower() in LANGUAGES:
        return own[1].lower()
    found: dict[str, float] = {}
    for part in accepted[:_MAX_HEADER].split(","):
        wanted = _WANTED.fullmatch(part)
        if wanted is not None and wanted[1].lower() in LANGUAGES:
            found.setdefault(wanted[1].lower(), float(wanted[2] or 1))
    liked = {language: weight for language, weight in found.items() if weight > 0}
    return max(liked, key=liked.__getitem__) if liked else LANGUAGES[0]


def named(names: Mapping[str, Mapping[str, str]], purpose: str, language: str) -> str:
    """Return the name of a purpose for people.

    Parameters
    ----------
    names
        Names of the purposes by language, as ``http.purpose_names`` states them.
    purpose, language
        The purpose, and the language of the page.

    Examples
    --------
    >>> names = {"tips": {"de": "Tipps", "en": "Good tips"}}
    >>> named(names, "tips", "de"), named(names, "tips", "fr"), named({}, "product_news", "fr")
    ('Tipps', 'Good tips', 'Product news')
    >>> named({}, "marketing", "de")
    'Angebote und Neuigkeiten'
    """
    given = names.get(purpose, {})
    own = given.get(language) or given.get(LANGUAGES[0]) or next(iter(given.values()), "")
    if own:
        return own
    return texts_in(language).marketing if purpose == "marketing" else purpose.replace("_", " ").capitalize()
