"""The rules and templates of the settings file, read and checked before they are published in the log.

Every process reads these from the log (``stream/log/versions.py``), so that all of them use the same version. Here the
file is read, for the commands that check it, show it or put it into use.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from models.configuration.compiled import Configuration
from models.configuration.parsing import parse
from models.configuration.templates import PARTS, InvalidTemplate, Template
from models.encoding import TEXT
from models.engage.preview import trial
from models.engage.template_scope import names_out_of_scope
from models.errors import InvalidConfiguration, PerennialError
from models.spelling import did_you_mean
from models.units import now_ms
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings

SUFFIX = ".liquid"
"""Ending of the name of each file of a template."""

_USERS = {
    "full": "for a user with all values",
    "empty": "for a user without values",
    "half": "for a user with half of the values",
    "certain": "with only the values that every trigger has",
}


class TemplatesFail(PerennialError):
    """Templates that cannot be rendered for some users: correct the named files."""


def read_configuration(settings: Settings) -> Configuration:
    """Read the sections of the file that travel in the log, with their templates.

    Raises
    ------
    InvalidSettings
        A setting cannot be used. The message has the file and line, what was found, and what is allowed.
    """
    templates = read_templates(settings.templates)
    try:
        return parse(settings.definition, templates)
    except InvalidConfiguration as error:
        explained = settings.given.explain(error, secret=False)
        first, _, rest = error.path.partition(".")
        if first == "templates":
            name, _, part = rest.rpartition(".")
            file = settings.templates / name / f"{part}{SUFFIX}"
            line = f":{error.line}" if isinstance(error, InvalidTemplate) else ""
            raise InvalidSettings(f"{file}{line}", "", error.found, explained.allowed) from error
        raise explained from error


def read_templates(folder: Path) -> dict[str, Template]:
    """Read every template of a folder: ``<name>/text.liquid`` and its other parts.

    Raises
    ------
    InvalidSettings
        A file is not one of the parts or cannot be read, or ``text.liquid`` is missing.
    """
    if not folder.is_dir():
        return {}
    return {
        place.name: _read_template(place)
        for place in sorted(folder.iterdir())
        if place.is_dir() and not place.name.startswith(".")
    }


def _read_template(place: Path) -> Template:
    parts: dict[str, str] = {}
    for file in sorted(place.iterdir()):
        if file.name.startswith("."):
            continue
        if file.suffix != SUFFIX or file.stem not in PARTS:
            names = [part + SUFFIX for part in PARTS]
            raise InvalidSettings(
                str(file), "", file.name, f"one of {', '.join(names)}{did_you_mean(file.name, names)}"
            )
        try:
            parts[file.stem] = file.read_text(encoding=TEXT)
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSettings(str(file), "", str(error), "a text file in UTF-8") from error
    if "text" not in parts:
        raise InvalidSettings(str(place), "", sorted(parts), f"a text{SUFFIX}: every message has a plain text")
    return Template(
        subject=parts.get("subject", ""),
        text=parts["text"],
        html=parts.get("html"),
        sms=parts.get("sms"),
        push=parts.get("push"),
        fallback=parts.get("fallback"),
    )


def require_rendering(settings: Settings, configuration: Configuration) -> None:
    """Render every template for users with all values, with none and with half of them, as ``perennial check`` does.

    Raises
    ------
    TemplatesFail
        A template fails. The message has every template that fails, its file and line, and for which users.
    """
    failures = failing_templates(configuration, read_templates(settings.templates))
    failures += dict.fromkeys(map(str, names_out_of_scope(configuration)))
    if failures:
        raise TemplatesFail("; ".join(failures))


def failing_templates(configuration: Configuration, templates: Mapping[str, Template]) -> list[str]:
    """Describe each template that cannot be rendered: its file and line, the error, and for which users.

    The users are those of :func:`models.engage.preview.trial`.
    """
    found: dict[str, list[str]] = {}
    for failure in trial(configuration, templates, now_ms()):
        users = found.setdefault(str(failure.error), [])
        if failure.user not in users:
            users.append(failure.user)
    return [f"{error} ({', '.join(_USERS[user] for user in users)})" for error, users in found.items()]
