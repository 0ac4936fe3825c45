"""Sizes of files, classes, functions and signatures, measured against their limits.

``python -m tests.support.sizes [PATH ...]`` prints each size above its limit, except the listed exceptions.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tests.support.paths import ROOT

SOURCES = ("agents", "models", "monitoring", "stream", "tests")
MAX_LINES = {"file": 400, "class": 250, "function": 60}
"""Maximum number of lines of each kind."""
MAX_PARAMETERS = 6
"""Maximum number of parameters of a function, without ``self`` and ``cls``."""

TYPER = "A typer command has one parameter per option."
EXCEPTIONS: dict[str, str] = {
    "stream/cli/apply.py:apply": TYPER,
    "stream/cli/dlq.py:replay": TYPER,
    "stream/cli/import_suppressions.py:suppressions": TYPER,
    "stream/cli/import_users.py:consent": TYPER,
    "stream/cli/import_users.py:people": TYPER,
    "stream/cli/preview.py:preview": TYPER,
    "stream/cli/simulate.py:simulate": TYPER,
    "stream/cli/suppressions.py:remove": TYPER,
    "stream/cli/user.py:user": TYPER,
    "tests/benchmarks/commands.py:engine": TYPER,
    "tests/benchmarks/commands.py:latency": TYPER,
    "tests/benchmarks/commands.py:pipeline": TYPER,
    "tests/benchmarks/commands.py:scaling": TYPER,
    "tests/chaos/__main__.py:run": TYPER,
}
"""Places above a limit, as ``path`` or ``path:name``, each with the reason. This is the only list of exceptions."""


Definition: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Size(NamedTuple):
    """A file, class, function or signature above its limit.

    Attributes
    ----------
    place
        ``path`` for a file, ``path:name`` for anything in it; the name of a method is ``Class.method``.
    kind
        ``file``, ``class``, ``function`` or ``signature``.
    size, limit
        Number of lines, or of parameters.
    """

    place: str
    kind: str
    size: int
    limit: int


def above(paths: Iterable[Path] | None = None) -> Iterator[Size]:
    """Yield everything above a limit in the given files and folders; by default, in the whole repository."""
    for path in _files(paths):
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
        text = path.read_text(encoding="utf-8")
        yield from _over(name, "file", text.count("\n"), MAX_LINES["file"])
        for place, node in _definitions(name, ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                yield from _over(place, "class", _lines(node), MAX_LINES["class"])
            else:
                yield from _over(place, "function", _lines(node), MAX_LINES["function"])
                yield from _over(place, "signature", _parameters(node), MAX_PARAMETERS)


def _definitions(path: str, tree: ast.AST, outer: str = "") -> Iterator[tuple[str, Definition]]:
    """Yield every class and function with its place; the place of a method contains the name of its class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path}:{outer}{node.name}", node
            yield from _definitions(path, node, f"{outer}{node.name}.")
        else:
            yield from _definitions(path, node, outer)


def _files(paths: Iterable[Path] | None) -> Iterator[Path]:
    for path in paths or [ROOT / name for name in SOURCES]:
        whole = path.resolve()
        yield from (
            sorted(p for p in whole.rglob("*.py") if "node_modules" not in p.parts) if whole.is_dir() else [whole]
        )


def _over(place: str, kind: str, size: int, limit: int) -> Iterator[Size]:
    if size > limit:
        yield Size(place, kind, size, limit)


def _lines(node: Definition) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([argument for argument in every if argument.arg not in {"self", "cls"}])


def main(arguments: list[str]) -> int:
    """Print each size above its limit, except the listed exceptions, and return the exit status."""
    found = [size for size in above([Path(argument) for argument in arguments]) if size.place not in EXCEPTIONS]
    for size in found:
        print(f"{size.place}: {size.kind} of {size.size}, at most {size.limit}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
