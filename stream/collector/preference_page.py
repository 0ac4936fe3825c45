"""The page behind an unsubscribe link: buttons that withdraw, and the choices of the user as checkboxes.

It shows no address, no name and no order. What is stopped is offered first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from urllib.parse import urlencode

from stream.collector import pages
from stream.collector.consent_choices import Choices, ConsentChoice
from stream.collector.texts import PageTexts, named, texts_in
from stream.delivery.unsubscribe import PARAMETER, PATH, Unsubscription

PREFERENCES_PATH = "/v1/preferences"
"""Path at the HTTP door. ``GET`` shows the same page, and ``POST`` saves its choices."""
NEW_LINK_PATH = "/v1/preferences/link"
"""Path at the HTTP door whose ``POST`` sends a new link to the user's e-mail address."""

LANGUAGE = "lang"
"""Parameter with the language of the page, so that the page after a button has the same one."""
STOP = "stop"
"""Parameter with what a button withdraws: ``all``, ``channel`` or ``purpose``. Without it, the token decides."""
SHOWN = "shown"
"""Field with a choice that the page has shown, and whether it was granted: ``tips@email=1``."""
TICKED = "ticked"
"""Field with a choice that is ticked: ``tips@email``."""


@dataclass(frozen=True, slots=True)
class PreferencePage:
    """The content of the page.

    Attributes
    ----------
    language
        One of :data:`~stream.collector.texts.LANGUAGES`.
    token, said
        The token of the link, and its content.
    choices
        The user's choices; ``None`` if they cannot be shown.
    is_old
        Whether the link is too old to show choices.
    names
        Names of the purposes by language.
    """

    language: str
    token: str
    said: Unsubscription
    choices: Choices | None
    is_old: bool = False
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def html(self) -> str:
        """Return the page in HTML."""
        texts = texts_in(self.language)
        body = pages.paragraph(texts.question) + self._buttons(texts)
        if self.choices is not None:
            body += self._form(texts, self.choices)
        elif self.is_old:
            body += pages.paragraph(texts.old) + pages.button(self._action(NEW_LINK_PATH), texts.send_link)
        else:
            body += pages.paragraph(texts.unknown)
        return pages.page(self.language, texts.unsubscribe, body)

    def _buttons(self, texts: PageTexts) -> str:
        by = texts.way(self.said.channel)
        found = pages.button(self._action(PATH, "all"), texts.stop_all, first=True)
        found += pages.button(self._action(PATH, "channel"), texts.stop_channel.format(by=by))
        if self.said.scope == "purpose" and self.said.purpose:
            label = texts.stop_purpose.format(by=by, purpose=named(self.names, self.said.purpose, self.language))
            found += pages.button(self._action(PATH, "purpose"), label)
        return found

    def _form(self, texts: PageTexts, choices: Choices) -> str:
        groups = "".join(
            f"<fieldset><legend>{escape(texts.channels.get(channel, channel))}</legend>"
            f"{''.join(self._box(texts, one) for one in of_channel)}</fieldset>"
            for channel, of_channel in groupby(choices.all, lambda one: one.channel)
        )
        return (
            f'<h2 id="choices">{escape(texts.choices)}</h2>{pages.paragraph(texts.choices_help)}'
            f'<form method="post" action="{escape(self._action(PREFERENCES_PATH), quote=True)}" '
            f'aria-labelledby="choices">{groups}<button>{escape(texts.save)}</button></form>'
        )

    def _box(self, texts: PageTexts, choice: ConsentChoice) -> str:
        """Return one checkbox with its label. What no one can confirm cannot be ticked."""
        key = f"{choice.purpose}@{choice.channel}"
        can_change = choice.granted or choice.can_ask
        note = texts.waits if choice.waits and not choice.granted else "" if can_change else texts.elsewhere
        flags = (" checked" if choice.granted else "") + ("" if can_change else " disabled")
        described = f' aria-describedby="{key}"' if note else ""
        name = escape(named(self.names, choice.purpose, self.language))
        box = f'<label><input type="checkbox" name="{TICKED}" value="{key}"{flags}{described}>{name}</label>'
        if note:
            box += f'<small id="{key}">{escape(note)}</small>'
        return box + f'<input type="hidden" name="{SHOWN}" value="{key}={int(choice.granted)}">'

    def _action(self, path: str, stop: str = "") -> str:
        asked = {PARAMETER: self.token, LANGUAGE: self.language} | ({STOP: stop} if stop else {})
        return f"{path}?{urlencode(asked)}"
