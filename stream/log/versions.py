"""From the file to the log: the configuration that the fold obeys is read, checked and put into use here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from models.configuration.compiled import Configuration, encode, parse
from models.configuration.templates import PARTS, InvalidTemplate, Template
from models.encoding import TEXT
from models.engage.preview import trial
from models.errors import InvalidConfiguration, PerennialError
from models.learning.publication import TOPIC, Publication
from models.log import Use, decode_control
from stream.cluster.compacted import read_key
from stream.cluster.connection import Connection
from stream.cluster.writer import Writer
from stream.log.event_log import ClockName, EventLog, WrongClock
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings, did_you_mean

NAME = "configuration"
SUFFIX = ".liquid"
ATTEMPTS = 20
"""So many others may be ahead in the same moment."""


class Contended(PerennialError):
    """Others put their configurations into use all the time: decide who does, then call it again."""


def configuration(settings: Settings) -> Configuration:
    """Read the sections that travel in the log, with their templates.

    Raises
    ------
    InvalidSettings
        With the file and line, what was found, and what is allowed.
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


def require_rendering(settings: Settings, wanted: Configuration) -> None:
    """Render every template for users with everything, nothing and half of it, as ``perennial check`` does.

    Raises
    ------
    TemplatesFail
        With every template that fails, its file and line, and for whom.
    """
    failures = failing(wanted, read_templates(settings.templates))
    if failures:
        raise TemplatesFail("; ".join(failures))


class TemplatesFail(PerennialError):
    """Templates cannot be rendered for some users."""


def failing(wanted: Configuration, templates: Mapping[str, Template]) -> list[str]:
    """Say which templates cannot be rendered, with file and line, and for whom; see :func:`preview.trial`."""
    found: dict[str, list[str]] = {}
    for failure in trial(wanted, templates, int(time.time() * 1000)):
        whom = found.setdefault(str(failure.error), [])
        if failure.user not in whom:
            whom.append(failure.user)
    return [f"{error} ({', '.join(_WHOM[user] for user in users)})" for error, users in found.items()]


_WHOM = {
    "full": "for a user with everything",
    "empty": "for a user with nothing",
    "half": "for a user with half of it",
    "certain": "with nothing but what the event must have",
}


def read_templates(folder: Path) -> dict[str, Template]:
    """Read every template of a folder: ``<name>/text.liquid`` and its other parts.

    Raises
    ------
    InvalidSettings
        A file is none of the parts, cannot be read, or ``text.liquid`` is missing.
    """
    if not folder.is_dir():
        return {}
    return {
        place.name: _template(place)
        for place in sorted(folder.iterdir())
        if place.is_dir() and not place.name.startswith(".")
    }


def _template(place: Path) -> Template:
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
        fallback=parts.get("fallback"),
    )


class Applied(NamedTuple):
    """What became of a configuration.

    Attributes
    ----------
    version
        Under which it is in use.
    changed
        Whether that is a new version; the same content is sent again under its old one.
    """

    version: int
    changed: bool


async def publish(connection: Connection, wanted: Configuration) -> Applied:
    """Put a configuration into use, for every partition from here on; going back to an old one is a new version.

    First ``versions`` says so, then every partition of ``events``: after a failure in between, the same call again
    completes it, for the same content keeps its version and the fold passes over a version that it has. Of two who
    take one version at once, the first in ``versions`` has it, and the other takes the next.

    Raises
    ------
    KafkaError
        It was not acknowledged: call it again.
    Contended
        Somebody else was first, again and again.
    """
    content = encode(wanted)
    writer = Writer(connection)
    try:
        applied = await _take_version(connection, writer, content)
        await writer.send_everywhere("events", [Publication(applied.version, content).broadcast(NAME)])
    finally:
        await writer.close()
    return applied


async def _take_version(connection: Connection, writer: Writer, content: bytes) -> Applied:
    uses = await read_uses(connection)
    newest = newest_use(uses)
    if newest is not None and _same(newest.content, content):
        return Applied(newest.version, changed=False)
    for _ in range(ATTEMPTS):
        newest = newest_use(uses)
        version = 1 if newest is None else newest.version + 1
        await writer.send([Publication(version, content).output(NAME)])
        uses = await read_uses(connection)
        first = next((use for use in uses if use.version == version), None)
        if first is not None and _same(first.content, content):
            return Applied(version, changed=True)
    raise Contended(f"{ATTEMPTS} versions were taken by others meanwhile; nothing was applied")


def apply(settings: Settings, clock: ClockName = "wall") -> Applied:
    """Read the configuration of a settings file and put it into use; see :func:`configuration` and :func:`publish`.

    Parameters
    ----------
    settings
        The file's.
    clock
        What a log that is still empty goes by from here on. ``wall`` leaves one that a feeder feeds as it is.

    Raises
    ------
    WrongClock
        ``feeder`` was asked for, and the log is a live one.
    TemplatesFail
        A template cannot be rendered for every kind of user.
    """
    wanted = configuration(settings)
    require_rendering(settings, wanted)
    return asyncio.run(_apply(settings, wanted, clock))


async def _apply(settings: Settings, wanted: Configuration, clock: ClockName) -> Applied:
    connection = settings.connection()
    async with EventLog(connection, settings.partitions) as log:
        try:
            await log.ensure_clock(clock)
        except WrongClock as error:
            if (clock, error.found) != ("wall", "feeder"):
                raise
    return await publish(connection, wanted)


async def read_uses(connection: Connection, name: str = NAME) -> list[Use]:
    """Every version of the configuration, or of a model, that ``versions`` still holds, in its order."""
    controls = [decode_control(value) for value in await read_key(connection, TOPIC, 0, name.encode())]
    return [control for control in controls if isinstance(control, Use)]


def newest_use(uses: Sequence[Use]) -> Use | None:
    """Find what is in use: the first of the highest version."""
    return max(uses, key=lambda use: use.version, default=None)


def _same(one: bytes | msgspec.Raw, other: bytes) -> bool:
    return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
