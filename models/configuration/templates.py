"""Liquid templates of messages. Each source is parsed once, and rendered only from the values that are passed.

A template cannot open files or loop forever. It cannot read the machine's clock or time zone, because our ``date``
filter replaces Liquid's. A value that a user does not have is nil, and renders as empty text. A *name* that does not
exist is found by :func:`check` before the template is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from liquid import BoundTemplate, StrictDefaultUndefined
from liquid.exceptions import LiquidError, LiquidSyntaxError

from models.errors import InvalidConfiguration
from models.liquid.environment import MessageEnvironment

UNSUBSCRIBE_PLACEHOLDER = "https://unsubscribe.invalid/perennial"
"""Placeholder for the signed link. Delivery replaces it, so the log never contains a secret."""

CONFIRM_PLACEHOLDER = "https://confirm.invalid/perennial"
"""Placeholder for the signed link that confirms a consent. Delivery replaces it."""
CONFIRM = "confirm_consent"
"""Name of the template of the e-mail that asks to confirm a consent, and of the rule that sends it."""
NEW_LINK = "preference_link"
"""Name of the template of the e-mail with a new link to the user's choices, and of the rule that sends it."""

NAMES: tuple[str, ...] = (
    "user",
    "first_name",
    "traits",
    "items",
    "cart",
    "signal",
    "entry",
    "mark",
    "segment",
    "risk",
    "orders",
    "spent",
    "rule",
    "now",
    "timezone",
    "sender",
    "unsubscribe_url",
    "preferences_url",
    "confirm_url",
)
"""Names that a template may use; ``models.engage.composing.context`` gives a value for each."""


PARTS: tuple[str, ...] = ("subject", "text", "html", "sms", "push", "fallback")
"""Fields of a :class:`Template`; each is a file."""


class Template(msgspec.Struct, frozen=True, omit_defaults=True):
    """Liquid sources of one message.

    Attributes
    ----------
    subject
        Subject of an e-mail and title of a push message, one line.
    text
        Plain part of an e-mail, and the text of an SMS or a push message if there is no ``sms`` or ``push``.
    html
        HTML part of an e-mail. Values are escaped.
    sms
        Text of an SMS.
    push
        Text of a push message.
    fallback
        Text of a transactional message whose other parts fail; see :func:`fallback_parts`.
    """

    subject: str
    text: str
    html: str | None = None
    sms: str | None = None
    push: str | None = None
    fallback: str | None = None


FALLBACK_NAMES: tuple[str, ...] = ("user", "signal", "rule", "now", "timezone", "preferences_url", "confirm_url")
"""Names that a fallback may use; ``models.engage.composing.certain`` gives a value for each."""

CONFIRM_NAMES: tuple[str, ...] = ("signal", "rule", "now", "timezone", "confirm_url")
"""Names that the template :data:`CONFIRM` may use: nothing that the sender of a grant with a browser key can choose.

Anyone can have this e-mail sent to any address. With a trait or an id in it, they could send their own text.
"""

_SUBJECT = re.compile(r"subject:[ \t]*([^\n]*)(?:\n|$)", re.IGNORECASE)


def fallback_parts(source: str) -> tuple[str, str, int]:
    r"""Split a fallback into subject, text, and the number of lines before the text.

    Examples
    --------
    >>> fallback_parts("Subject: Your order\n\nThank you.\n")
    ('Your order', '\nThank you.\n', 1)
    >>> fallback_parts("Thank you.")
    ('', 'Thank you.', 0)
    """
    first = _SUBJECT.match(source)
    return ("", source, 0) if first is None else (first[1].strip(), source[first.end() :], 1)


def file_of(name: str, part: str) -> str:
    """Return the file of a template's part, relative to the folder of the settings.

    Examples
    --------
    >>> file_of("first_order", "text")
    'templates/first_order/text.liquid'
    """
    return f"templates/{name}/{part}.liquid"


class InvalidTemplate(InvalidConfiguration):
    """A template cannot be used.

    Parameters
    ----------
    path, found, allowed
        As in :class:`InvalidConfiguration`.
    line
        Line of the file, from 1.
    """

    def __init__(self, path: str, found: object, allowed: str, line: int) -> None:
        super().__init__(path, found, allowed)
        self.line = line


class TemplateError(ValueError):
    """A template cannot be parsed or rendered.

    Parameters
    ----------
    problem
        The reason, as Liquid reports it.
    line
        Line of the source, from 1; 0 for the whole source.
    file
        File of the source, such as ``templates/first_order/text.liquid``; empty if unknown.
    """

    def __init__(self, problem: str, line: int = 0, file: str = "") -> None:
        place = ":".join(str(part) for part in (file, line) if part)
        super().__init__(f"{place}: {problem}" if file else problem)
        self.problem = problem
        self.line = line
        self.file = file

    def within(self, file: str, lines_before: int = 0) -> TemplateError:
        """Return this error with the file of the source, and the line in that file.

        ``lines_before`` is the number of lines in the file before the source.
        """
        return TemplateError(self.problem, self.line + lines_before if self.line else 0, file)


_TEXT = MessageEnvironment()
_HTML = MessageEnvironment(autoescape=True)
_TEXT_STRICT = MessageEnvironment(undefined=StrictDefaultUndefined)
_HTML_STRICT = MessageEnvironment(autoescape=True, undefined=StrictDefaultUndefined)


@lru_cache(maxsize=1024)
def _parsed(source: str, html: bool, strict: bool) -> BoundTemplate:
    environment = (_HTML_STRICT if strict else _HTML) if html else (_TEXT_STRICT if strict else _TEXT)
    try:
        return environment.parsed(source)
    except RecursionError as error:
        raise LiquidSyntaxError("nested too deeply", token=None) from error


def render(source: str, context: Mapping[str, Any], *, html: bool = False, strict: bool = False) -> str:
    """Render a template.

    Parameters
    ----------
    source
        Liquid source.
    context
        Value of each name in :data:`NAMES`.
    html
        Whether values are escaped for HTML.
    strict
        Whether an undefined value without ``| default:`` is an error. Otherwise it renders as empty text.

    Raises
    ------
    TemplateError
        The source cannot be parsed or rendered.

    Examples
    --------
    >>> render("Hello {{ first_name | default: 'there' }}", {"first_name": ""})
    'Hello there'
    """
    try:
        return _parsed(source, html, strict).render(**context)
    except LiquidError as error:
        raise TemplateError(*_problem(source, error)) from error
    except Exception as error:
        # A template is a program of the shop, and it runs with any customer's traits. No error of a template may lose
        # an event.
        raise TemplateError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def check(name: str, template: Template) -> None:
    """Check a template before any message is made from it.

    Raises
    ------
    InvalidTemplate
        Liquid cannot read the template, or the template uses an unknown name or filter. The error gives the line.
    """
    for part in PARTS:
        source: str | None = getattr(template, part)
        if source is None:
            continue
        path = f"templates.{name}.{part}"
        try:
            parsed = _parsed(source, part == "html", strict=False)
            used = parsed.analyze(include_partials=False)
        except LiquidError as error:
            problem, line = _problem(source, error)
            raise InvalidTemplate(path, problem, "what Liquid can read", line) from error
        names = CONFIRM_NAMES if name == CONFIRM else FALLBACK_NAMES if part == "fallback" else NAMES
        for variable, places in used.globals.items():
            if variable not in names:
                line = _line(source, places[0].span.index)
                raise InvalidTemplate(path, variable, f"one of {', '.join(names)}", line)
        for used_filter, spans in used.filters.items():
            if used_filter not in _TEXT.filters:
                line = _line(source, spans[0].index)
                raise InvalidTemplate(path, f"| {used_filter}", "a filter of Liquid", line)


class NamedMember(NamedTuple):
    """A member of a variable that a template names, such as ``plan`` of ``entry.plan``, with its part and line."""

    part: str
    line: int
    member: str


def members_of(template: Template, variable: str) -> Iterator[NamedMember]:
    """Yield the members of a variable that a template names. A member that is computed is left out.

    Examples
    --------
    >>> [one.member for one in members_of(Template("{{ entry.plan }}", "{{ entry['seats'] }} {{ entry }}"), "entry")]
    ['plan', 'seats']
    """
    for part in PARTS:
        source: str | None = getattr(template, part)
        if source is None or variable not in source:
            continue
        used = _parsed(source, part == "html", strict=False).analyze(include_partials=False)
        for place in used.globals.get(variable, ()):
            if len(place.segments) > 1 and isinstance(place.segments[1], str):
                yield NamedMember(part, _line(source, place.span.index), place.segments[1])


def _problem(source: str, error: LiquidError) -> tuple[str, int]:
    """Return the description of an error, and its line in the source."""
    cause = error.__cause__ if error.token is None and isinstance(error.__cause__, RecursionError) else None
    problem = "nested too deeply" if cause else str(error.message or type(error).__name__).splitlines()[0]
    return problem, _line(source, -1 if error.token is None else error.token.start_index)


def _line(source: str, index: int) -> int:
    """Return the line of an index, from 1. A negative index is the end of the source."""
    return source.rstrip("\n").count("\n") + 1 if index < 0 else source.count("\n", 0, index) + 1
