"""The e-mail that asks the owner of an address to confirm a consent: its name, its text, and its check."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from models.configuration.sending import require_template
from models.configuration.templates import CONFIRM, Template
from models.errors import InvalidConfiguration
from models.events import Channel

_SUBJECT = "Please confirm your e-mail address"
_TEXT = """Hello,

someone, probably you, asked us to send messages to this address. Please confirm that you want them:

{{ confirm_url }}

The link works for 7 days. If it was not you, do nothing. Then you get no messages.
"""
_FALLBACK = f"""Subject: {_SUBJECT}

Please confirm that you want to get messages from us:

{{{{ confirm_url }}}}

The link works for 7 days. If you did not ask for this, do nothing. Then you get no messages.
"""
BUILT_IN = Template(_SUBJECT, _TEXT, fallback=_FALLBACK)
"""The e-mail of an installation that has no template of this name."""


def confirmation(
    templates: Mapping[str, Template], channels: Collection[Channel], names: Collection[str]
) -> dict[str, Template]:
    """Return the template of the e-mail that asks for a confirmation, by its name; empty if the settings need none.

    Parameters
    ----------
    templates
        The templates by name. One of the name :data:`CONFIRM` replaces the built-in one.
    channels
        The channels on which a consent has to be confirmed.
    names
        Names of the rules.

    Raises
    ------
    InvalidConfiguration
        The template has no link, or a rule has its name.
    """
    if not channels:
        return {}
    found = {CONFIRM: BUILT_IN, **templates}
    require_template(found, CONFIRM, "consent.confirm", channels, "transactional")
    for part in ("text", "html", "fallback"):
        source = getattr(found[CONFIRM], part)
        if source is not None and "confirm_url" not in source:
            allowed = "a text with {{ confirm_url }}, the link that confirms"
            raise InvalidConfiguration(f"templates.{CONFIRM}.{part}", source[:80], allowed)
    if CONFIRM in names:
        raise InvalidConfiguration("rules", CONFIRM, "another name; this one belongs to `consent.confirm`")
    return {CONFIRM: found[CONFIRM]}
