"""The list in ``models.errors`` contains all errors of the project, each below its base class."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator

import pytest

from models import errors
from models.errors import InvalidConfiguration, InvalidEvent, PerennialError, StateMismatch
from tests.support.paths import ROOT

_LINE = re.compile(r"^( *)- ``(\w+)``(?:, ([\w.]+):| is the base)")


def documented() -> dict[str, tuple[str, str]]:
    """Return the package and the base class of each error in the list."""
    found: dict[str, tuple[str, str]] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        indent, name, module = len(match[1]), match[2], match[3]
        above = [(width, base) for width, base in above if width < indent]
        if above:
            found[name] = module, above[-1][1]
        above.append((indent, name))
    return found


def classes() -> Iterator[tuple[str, str, list[str]]]:
    """Yield the name, the package and the base classes of each class of the product."""
    for package in ("agents", "models", "monitoring", "stream"):
        for path in sorted((ROOT / package).rglob("*.py")):
            place = ".".join(path.relative_to(ROOT).with_suffix("").parts[:2])
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    yield node.name, place, [ast.unparse(base).rpartition(".")[2] for base in node.bases]


def test_the_list_of_errors_is_complete_and_shows_their_bases() -> None:
    found: dict[str, tuple[str, str]] = {}
    known = {"PerennialError"}
    everything = list(classes())
    while added := [
        (name, module, bases) for name, module, bases in everything if name not in known and known & set(bases)
    ]:
        for name, module, bases in added:
            known.add(name)
            found[name] = module, next(base for base in bases if base in known)

    public = {name: place for name, place in found.items() if not name.startswith("_")}
    assert documented() == public


@pytest.mark.parametrize(
    "error",
    [
        InvalidConfiguration("rules[2].when", 7, "a name"),
        InvalidEvent("bad_time", "timestamp", "yesterday", "milliseconds"),
        StateMismatch("profile", 9, 5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_whole_from_another_process(error: PerennialError) -> None:
    came = pickle.loads(pickle.dumps(error))
    assert (type(came), str(came), vars(came)) == (type(error), str(error), vars(error))
