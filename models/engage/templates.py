"""Liquid templates of messages: parsed once by source, rendered with nothing but what they are given.

A template cannot read the machine's clock or zone (our own ``date`` filter replaces Liquid's), cannot open files, and
cannot loop for ever. What a user does not have renders as empty text; a *name* that no message knows is found by
:func:`check` before the template is ever used.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any

import msgspec
from liquid import BoundTemplate, Environment, RenderContext, StrictDefaultUndefined
from liquid.exceptions import LiquidError
from liquid.filter import with_context

from models.engage import zones
from models.errors import InvalidConfiguration

UNSUBSCRIBE_PLACEHOLDER = "https://unsubscribe.invalid/perennial"
"""Stands where the signed link goes: delivery puts it in, so that no secret is ever in the log."""

NAMES: tuple[str, ...] = (
    "user",
    "first_name",
    "traits",
    "items",
    "cart",
    "signal",
    "segment",
    "risk",
    "orders",
    "spent",
    "rule",
    "now",
    "timezone",
    "unsubscribe_url",
)
"""What a template may name; ``messages.context`` gives exactly these."""


class Template(msgspec.Struct, frozen=True, omit_defaults=True):
    """Liquid sources of one message.

    Attributes
    ----------
    subject
        Of an e-mail, one line.
    text
        Plain text: the whole of an SMS, the plain part of an e-mail.
    html
        The HTML part of an e-mail; values put into it are escaped.
    sms
        Instead of ``text`` for an SMS.
    """

    subject: str
    text: str
    html: str | None = None
    sms: str | None = None


class InvalidTemplate(InvalidConfiguration):
    """A template cannot be used.

    Parameters
    ----------
    path, found, allowed
        As in :class:`InvalidConfiguration`.
    line
        Of the file, from 1.
    """

    def __init__(self, path: str, found: object, allowed: str, line: int) -> None:
        super().__init__(path, found, allowed)
        self.line = line


class TemplateError(ValueError):
    """A template cannot be parsed or rendered; the message says why, in Liquid's words."""


class _Plain(Environment):
    context_depth_limit = 10
    loop_iteration_limit = 10_000
    output_stream_limit = 500_000
    local_namespace_limit = 1_000_000

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.filters["date"] = _date
        for tag in ("include", "render"):  # a message is one file: there is nothing to include from
            del self.tags[tag]


@with_context
def _date(value: object, form: object = "%Y-%m-%d", *, context: RenderContext) -> str:
    """Format milliseconds, an RFC 3339 time or ``now`` in the user's time zone."""
    where = zones.zone(str(context.resolve("timezone")))
    at = _instant(context.resolve("now") if value in ("now", "today") else value, where)
    return str(value) if at is None else at.strftime(str(form))


def _instant(value: object, where: tzinfo) -> datetime | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return zones.local(int(value), where)
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at.astimezone(where) if at.tzinfo else at.replace(tzinfo=where)


_TEXT = _Plain()
_HTML = _Plain(autoescape=True)
_TEXT_STRICT = _Plain(undefined=StrictDefaultUndefined)
_HTML_STRICT = _Plain(autoescape=True, undefined=StrictDefaultUndefined)


@lru_cache(maxsize=1024)
def _parsed(source: str, html: bool, strict: bool) -> BoundTemplate:
    environment = (_HTML_STRICT if strict else _HTML) if html else (_TEXT_STRICT if strict else _TEXT)
    return environment.from_string(source)


def render(source: str, context: Mapping[str, Any], *, html: bool = False, strict: bool = False) -> str:
    """Text of a template.

    Parameters
    ----------
    source
        Liquid.
    context
        A value for each of :data:`NAMES`.
    html
        Escape the values.
    strict
        Something undefined is an error (``| default:`` makes up for it) instead of empty.

    Raises
    ------
    TemplateError
        It cannot be parsed or rendered.

    Examples
    --------
    >>> render("Hello {{ first_name | default: 'there' }}", {"first_name": ""})
    'Hello there'
    """
    try:
        return _parsed(source, html, strict).render(**context)
    except Exception as error:
        # Whatever it is: a template is somebody's program, run over anybody's traits. No event must be lost for it.
        raise TemplateError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def check(name: str, template: Template) -> None:
    """Find what is wrong with a template before any message is made of it.

    Raises
    ------
    InvalidTemplate
        Liquid cannot read it, or it uses a name or a filter that does not exist; with the line.
    """
    for part in ("subject", "text", "html", "sms"):
        source: str | None = getattr(template, part)
        if source is None:
            continue
        path = f"templates.{name}.{part}"
        try:
            parsed = _parsed(source, part == "html", strict=False)
            used = parsed.analyze(include_partials=False)
        except LiquidError as error:
            problem, at = str(error).splitlines()[0], -1 if error.token is None else error.token.start_index
            raise InvalidTemplate(path, problem, "what Liquid can read", _line(source, at)) from error
        for variable, places in used.globals.items():
            if variable not in NAMES:
                line = _line(source, places[0].span.index)
                raise InvalidTemplate(path, variable, f"one of {', '.join(NAMES)}", line)
        for used_filter, spans in used.filters.items():
            if used_filter not in _TEXT.filters:
                line = _line(source, spans[0].index)
                raise InvalidTemplate(path, f"| {used_filter}", "a filter of Liquid", line)


def _line(source: str, index: int) -> int:
    """Line of a place, from 1; the last one where Liquid came to the end."""
    return source.rstrip("\n").count("\n") + 1 if index < 0 else source.count("\n", 0, index) + 1
