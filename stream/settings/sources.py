"""Sources of settings: the file (with its lines), the environment and flags; later ones win.

A path such as ``kafka.sasl.username`` or ``rules[0].when`` names a setting everywhere: in errors, in flags, and in the
environment as ``PERENNIAL_KAFKA__SASL__USERNAME``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from msgspec import inspect

from models.encoding import TEXT
from models.errors import InvalidConfiguration
from models.spelling import did_you_mean
from stream.settings import plain_yaml

ENVIRONMENT = "PERENNIAL_"
RESERVED = ("PERENNIAL_CONFIG", "PERENNIAL_DEBUG", "PERENNIAL_BEATS")
"""Variables of ours that are not settings."""
FILE_ONLY = ("outbound",)
"""Sections that the environment cannot set. ``outbound`` opens private addresses, so only the file may do it."""
# Kubernetes sets these in every container for a service whose name begins with `perennial`.
_KUBERNETES = re.compile(r"^PERENNIAL_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")
_KUBERNETES_PORT = re.compile(r"^PERENNIAL_(\w+_)?PORT$")
_KUBERNETES_ADDRESS = re.compile(r"^(tcp|udp|sctp)://")
_UNKNOWN = re.compile(r"^one of (.+)$")


class InvalidSettings(InvalidConfiguration):
    """A setting that cannot be used: correct it where the message says, to what the message allows.

    Parameters
    ----------
    origin
        Where it was given: ``perennial.yaml:12``, ``PERENNIAL_KAFKA__SERVERS``, ``a flag``.
    path, found, allowed
        See :class:`InvalidConfiguration`.
    """

    def __init__(self, origin: str, path: str, found: object, allowed: str) -> None:
        super().__init__(path, found, allowed)
        self.origin = origin
        shown = "nothing" if found is None else repr(found)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        where = ": ".join(part for part in (origin, path) if part)
        self.args = (f"{where}: found {shown}; allowed: {allowed}",)


class NotYaml(InvalidSettings):
    """A file, or the value of a variable, that is not YAML; ``problem`` has the parser's words."""

    def __init__(self, origin: str, problem: str, path: str = "") -> None:
        super().__init__(origin, path, problem, "YAML")
        self.args = (f"{origin} is not YAML: {problem}",)


@dataclass(slots=True)
class Given:
    """Values that were given, and the place of each.

    Attributes
    ----------
    values
        Nested mappings, in the form of the file.
    origins
        Where each value was given, by its path; also for values inside others.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def origin(self, path: str) -> str:
        """Return where ``path`` or, if it was not given, its nearest enclosing value was given; or ``default``."""
        return next((self.origins[place] for place in _enclosing(path) if place in self.origins), "default")

    def source(self, path: str) -> str:
        """Return the exact place where this setting was given.

        It is ``default`` if the setting was not given, even if its section was given.
        """
        held: Any = self.values
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            if name and isinstance(held, Mapping) and name in held:
                held = held[name]
            elif index and isinstance(held, list | tuple) and int(index) < len(held):
                held = held[int(index)]
            else:
                return "default"
        return self.origin(path)

    def set(self, path: str, value: Any, origin: str) -> None:
        """Replace the value at ``path``."""
        *outer, last = path.split(".")
        inside = self.values
        for step in outer:
            held = inside.get(step)
            if not isinstance(held, dict):
                inside[step] = held = {}
            inside = held
        inside[last] = value
        for known in [known for known in self.origins if known.startswith((f"{path}.", f"{path}["))]:
            del self.origins[known]
        self.origins[path] = origin

    def explain(self, error: InvalidConfiguration, secret: bool) -> InvalidSettings:
        """Add to an error where the value was given and which name may have been meant; hide a secret."""
        allowed = error.allowed
        names = _UNKNOWN.match(allowed)
        if names and isinstance(error.found, str):
            allowed += did_you_mean(error.found, names[1].split(", "))
        origin = self.origin(error.path)
        found = "***" if secret and error.found is not None else error.found
        return InvalidSettings("" if origin == "default" else origin, error.path, found, allowed)


def _enclosing(path: str) -> Iterator[str]:
    """Yield a path, then each path that encloses it.

    Examples
    --------
    >>> list(_enclosing("rules[0].when"))
    ['rules[0].when', 'rules[0]', 'rules']
    """
    yield path
    for end in range(len(path) - 1, 0, -1):
        if path[end] in ".[":
            yield path[:end]


def read_file(path: Path) -> Given:
    """Read a YAML file.

    Raises
    ------
    InvalidSettings
        The file is missing, is not YAML (:class:`NotYaml`) or not a mapping, or has a key twice.
    """
    try:
        with path.open(encoding=TEXT) as file:
            text = file.read(plain_yaml.MAX_CHARACTERS + 1)
    except OSError as error:
        raise InvalidSettings(str(path), "", error.strerror or str(error), "a file that can be read") from error
    except UnicodeDecodeError as error:
        raise NotYaml(str(path), str(error)) from error
    try:
        values, lines = plain_yaml.read(text)
    except plain_yaml.Unreadable as error:
        where = f"{path}:{error.line}" if error.line else str(path)
        if error.allowed:
            raise InvalidSettings(where, error.path, error.problem, error.allowed) from error
        raise NotYaml(where, error.problem) from error
    if not isinstance(values, dict):
        raise InvalidSettings(str(path), "", values, "a mapping that begins with `version: 1`")
    given = Given(values, {where: f"{path}:{line}" for where, line in lines.items()})
    if values.get("version") is None:
        raise InvalidSettings(str(path), "version", None, "1 (write `version: 1` as the first line)")
    return given


def add_environment(given: Given, environment: Mapping[str, str], forms: Iterable[type]) -> None:
    """Replace settings of the file by those of the environment.

    Parameters
    ----------
    given
        Changed in place.
    environment
        Such as ``os.environ``.
    forms
        Structs that describe the file. Their fields give the names of settings, and how to read a value.

    Raises
    ------
    InvalidSettings
        A variable does not name a setting, names one of ``FILE_ONLY``, or its value cannot be read.
    """
    known = _variables(tuple(forms))
    misspelt: dict[str, str] = {}
    for name in sorted(environment):
        if name in RESERVED:
            continue
        meant = _meant(name, known)
        if meant is None and not name.startswith(ENVIRONMENT):
            continue
        if name not in known:
            if _is_of_kubernetes(name, environment[name]):
                continue
            misspelt[name] = "a setting's name" + did_you_mean(meant or name, [*known, *RESERVED])
            continue
        path, kind = known[name]
        if path.partition(".")[0] in FILE_ONLY:
            raise InvalidSettings(name, path, environment[name], "this setting in perennial.yaml alone")
        given.set(path, _value(environment[name], kind, name, path), name)
    if misspelt:  # their values are not shown: one may be a secret
        allowed = next(iter(misspelt.values()))
        if len(misspelt) > 1:
            allowed = "; ".join(f"for {name} {meant}" for name, meant in misspelt.items())
        raise InvalidSettings("the environment", "", ", ".join(misspelt), allowed)


def _meant(name: str, known: Collection[str]) -> str | None:
    """Return the variable that was meant by a name in another case or with a misspelt prefix; ``None`` without one.

    Examples
    --------
    >>> [_meant(name, ["PERENNIAL_HTTP__PORT"]) for name in ("PERENIAL_HTTP__PORT", "perennial_http__port", "PORT")]
    ['PERENNIAL_HTTP__PORT', 'PERENNIAL_HTTP__PORT', None]
    """
    prefix, separator, rest = name.upper().partition("_")
    meant = ENVIRONMENT + rest
    if not separator or meant not in known:
        return None
    return meant if difflib.get_close_matches(prefix, [ENVIRONMENT.rstrip("_")], cutoff=0.85) else None


def _is_of_kubernetes(name: str, value: str) -> bool:
    """Return whether Kubernetes set a variable: its ports are addresses, and the ports of our settings are numbers."""
    if _KUBERNETES_PORT.match(name):
        return bool(_KUBERNETES_ADDRESS.match(value))
    return bool(_KUBERNETES.match(name))


@cache
def _variables(forms: tuple[type, ...]) -> dict[str, tuple[str, inspect.Type]]:
    """Return the path and the type of every setting, by the name of its variable."""
    kinds = [inspect.type_info(form) for form in forms]
    return {_variable(path): (path, kind) for form in kinds for path, kind in _settings(form, "")}


def environment_name(path: str) -> str:
    """Return the name of the variable for a setting.

    Examples
    --------
    >>> environment_name("kafka.sasl.username")
    'PERENNIAL_KAFKA__SASL__USERNAME'
    """
    return _variable(path)


def environment_value(value: Any) -> str:
    """Return the text that is read back from the environment as ``value``."""
    if isinstance(value, str | Path):
        return str(value)
    return str(yaml.safe_dump(value, default_flow_style=True, width=1 << 20)).removesuffix("\n...\n").strip()


def _variable(path: str) -> str:
    return ENVIRONMENT + path.replace(".", "__").upper()


def _settings(kind: inspect.Type, path: str) -> Iterator[tuple[str, inspect.Type]]:
    kind = _bare(kind)
    if path:
        yield path, kind
    if isinstance(kind, inspect.StructType):
        for member in kind.fields:
            yield from _settings(member.type, f"{path}.{member.encode_name}".lstrip("."))


def _bare(kind: inspect.Type) -> inspect.Type:
    while True:
        if isinstance(kind, inspect.Metadata):
            kind = kind.type
        elif isinstance(kind, inspect.UnionType):
            inner = [t for t in kind.types if not isinstance(t, inspect.NoneType)]
            if len(inner) != 1:
                return kind
            kind = inner[0]
        else:
            return kind


def _value(text: str, kind: inspect.Type, name: str, path: str) -> Any:
    if plain_yaml.is_torn(text):
        raise InvalidSettings(name, path, text.encode("utf-8", "backslashreplace").decode(), "text in UTF-8")
    if isinstance(kind, inspect.StrType) or (
        isinstance(kind, inspect.LiteralType) and all(isinstance(value, str) for value in kind.values)
    ):
        return text
    if isinstance(kind, inspect.ListType | inspect.VarTupleType) and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return plain_yaml.read(text)[0]
    except plain_yaml.Unreadable as error:
        if error.allowed:
            raise InvalidSettings(name, path, error.problem, error.allowed) from error
        raise NotYaml(name, error.problem, path) from error
