"""The e-mail with a new link to the page of a user's choices: its name, its text, and its check."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from models.configuration.sending import require_template
from models.configuration.templates import NEW_LINK, Template
from models.errors import InvalidConfiguration
from models.events import Channel

LINK_REQUESTED = "Preference Link Requested"
"""Name of the event that sends the e-mail. The page behind an old link writes it, and a server may send it."""

_BY_MAIL: tuple[Channel, ...] = ("email",)
_SUBJECT = "Your link"
_TEXT = """Hello,

here you can see and change which messages you get from us:

{{ preferences_url }}

The link shows your choices for 30 days. If you did not ask for it, do nothing.
"""
BUILT_IN_LINK = Template(_SUBJECT, _TEXT, fallback=f"Subject: {_SUBJECT}\n\n{_TEXT}")
"""The e-mail of an installation that has no template of this name."""


def own_link_template(templates: Mapping[str, Template], names: Collection[str]) -> dict[str, Template]:
    """Return the template of the settings that replaces the built-in one, by its name; empty if there is none.

    Parameters
    ----------
    templates
        The templates by name.
    names
        Names of the rules.

    Raises
    ------
    InvalidConfiguration
        The template has no link, or a rule has its name.
    """
    if NEW_LINK in names:
        raise InvalidConfiguration("rules", NEW_LINK, "another name; this one belongs to the page of a user's choices")
    if NEW_LINK not in templates:
        return {}
    require_template(templates, NEW_LINK, "templates", _BY_MAIL, "transactional")
    template = templates[NEW_LINK]
    for part in ("text", "html", "fallback"):
        source = getattr(template, part)
        if source is not None and "preferences_url" not in source:
            allowed = "a text with {{ preferences_url }}, the new link"
            raise InvalidConfiguration(f"templates.{NEW_LINK}.{part}", source[:80], allowed)
    return {NEW_LINK: template}
