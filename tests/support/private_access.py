"""Accesses to members with a leading underscore from outside of the class or module that defines them.

``python -m tests.support.private_access`` prints each place that no exception allows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.support.source_tree import SOURCES, TESTS, Module, modules

PUBLIC = frozenset({"_asdict", "_exit", "_fields", "_make", "_replace"})
"""Names that the standard library documents although they begin with an underscore."""

EXCEPTIONS: dict[str, str] = {
    "models/learning/churn.py": "River can start with weights only through this attribute; see test_river.py.",
    "stream/cluster/hanging_transactions.py": "kafka-python can end a hanging transaction only by aborting it; "
    "test_hanging_transactions.py ends some on a real broker.",
    "stream/cluster/patient_fetches.py": "aiokafka has no public way to change the wait of its fetches; see "
    "test_aiokafka.py.",
    "stream/cluster/writer.py": "No public call makes aiokafka abandon its records; see test_aiokafka.py.",
    "stream/transport/consumer.py": "The one place for Faust's consumer; see test_faust.py.",
    "stream/transport/consumer_thread.py": "The one place for Faust's thread and aiokafka's fetcher; see test_faust.py "
    "and test_aiokafka.py.",
    "tests/contracts/test_aiokafka.py": "It checks the private parts of aiokafka on which the source relies.",
    "tests/contracts/test_faust.py": "It checks the private parts of Faust that the source overrides.",
    "tests/contracts/test_river.py": "It checks the private part of river on which the source relies.",
    "tests/unit/stream/transport/test_consumer.py": "It replaces methods that Faust and aiokafka call by these names.",
    "tests/unit/stream/worker/test_watchdog.py": "There is no public way to make a broker without access "
    "control refuse a member.",
}
"""Files that may access private members, each with the reason. This is the only list of exceptions."""


class Access(NamedTuple):
    """An access to a private member.

    Attributes
    ----------
    path
        The file.
    line
        Its line.
    text
        The expression.
    """

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def private_accesses(module: Module) -> Iterator[Access]:
    """Yield each access to a private member of another class or of another module.

    A class may use the private members of its other instances, as ``__eq__`` and factories do.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tests.support.source_tree import module_of
    >>> source = '''
    ... from stream.log import _secret
    ... class A:
    ...     def __init__(self, other): self._own = other._own, other._theirs
    ... monkeypatch.setattr(A, "_own", 1)
    ... '''
    >>> print(*private_accesses(module_of(Path("a.py"), source)), sep="\\n")
    a.py:2: from stream.log import _secret
    a.py:5: monkeypatch.setattr(A, '_own', 1)
    a.py:4: other._theirs
    """
    yield from (Access(str(module.path), line, text) for line, text in _found(module.tree, frozenset()))


def _found(tree: ast.AST, own: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield line and text of each access below a node; ``own`` are private members of the enclosing classes."""
    nested: list[ast.ClassDef] = []
    for node in _walk(tree, nested):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in (*SOURCES, *TESTS):
            for alias in node.names:
                if _is_private(alias.name):
                    yield node.lineno, f"from {node.module} import {alias.name}"
        elif isinstance(node, ast.Attribute) and _is_private(node.attr):
            if not _is_own(node.value) and node.attr not in own:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("getattr", "setattr"):
            for argument in node.args[:2]:
                if isinstance(argument, ast.Constant) and _is_private(str(argument.value).rpartition(".")[2]):
                    yield node.lineno, ast.unparse(node)
    for one in nested:
        yield from _found(one, own | _members(one))


def _walk(tree: ast.AST, nested: list[ast.ClassDef]) -> Iterator[ast.AST]:
    """Yield the nodes below a node, except those inside another class, and collect these classes."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.ClassDef):
            nested.append(child)
        else:
            yield child
            yield from _walk(child, nested)


def _members(tree: ast.ClassDef) -> frozenset[str]:
    """Return the private names that a class defines: its functions, its fields, and the attributes of ``self``."""
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    names |= {ast.unparse(node.target) for node in tree.body if isinstance(node, ast.AnnAssign)}
    names |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_own(node.value)
    }
    return frozenset(filter(_is_private, names))


def _is_own(value: ast.expr) -> bool:
    return ast.unparse(value) in ("self", "cls", "super()")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def forbidden(found: Iterable[Module]) -> list[Access]:
    """Return the accesses that no exception allows."""
    return [access for module in found if str(module.path) not in EXCEPTIONS for access in private_accesses(module)]


def main() -> None:
    """Print the accesses that no exception allows."""
    for access in forbidden(modules(*SOURCES, *TESTS)):
        print(access)


if __name__ == "__main__":
    main()
