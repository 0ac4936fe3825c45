"""Queries over the syntax trees of source and tests: classes, imports, loggers and calls.

``python -m tests.support.source_tree`` prints what ``tests/unit/test_structure.py`` finds, one finding per line. It
finds class names that are used twice, cycles of imports, imports for types only, misnamed loggers, and sleeps in tests.
"""

from __future__ import annotations

import ast
import graphlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

SOURCES = ("agents", "models", "monitoring", "stream")
TESTS = ("tests",)


class Module(NamedTuple):
    """A Python file with its syntax tree.

    Attributes
    ----------
    path
        Path below the root of the repository.
    name
        Dotted name. For an ``__init__.py``, the name of its package.
    tree
        Syntax tree.
    nodes
        All nodes of the tree, because to walk through the tree takes longer than most queries.
    """

    path: Path
    name: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]


def modules(*roots: str) -> tuple[Module, ...]:
    """Return the modules below these top-level folders of the repository, ordered by path."""
    return tuple(module for root in sorted(roots) for module in _below(root))


@cache
def _below(root: str) -> tuple[Module, ...]:
    files = sorted(path for path in (ROOT / root).rglob("*.py") if "node_modules" not in path.parts)
    return tuple(module_of(path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in files)


def module_of(path: Path, source: str) -> Module:
    """Parse the source of a module.

    Examples
    --------
    >>> module_of(Path("stream/log/__init__.py"), "").name
    'stream.log'
    """
    parts = path.with_suffix("").parts
    tree = ast.parse(source)
    return Module(path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts), tree, tuple(ast.walk(tree)))


def public_classes(found: Iterable[Module]) -> dict[str, list[str]]:
    """Map the name of each class without a leading underscore to the places where it is defined.

    Examples
    --------
    >>> public_classes([module_of(Path("a.py"), "class A:\\n    class _B: ...")])
    {'A': ['a.py:1']}
    """
    places = defaultdict[str, list[str]](list)
    for module in found:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{module.path}:{node.lineno}")
    return dict(places)


def imports(found: Iterable[Module]) -> dict[str, set[str]]:
    """Map each module to the modules among ``found`` that it imports, anywhere in its text.

    An import of ``p.a`` also runs ``p/__init__.py``. This does not count as an import of ``p``.

    Examples
    --------
    >>> a, b = module_of(Path("p/a.py"), "from p import b"), module_of(Path("p/b.py"), "def f():\\n    import p.a")
    >>> imports([a, b])
    {'p.a': {'p.b'}, 'p.b': {'p.a'}}
    """
    every = list(found)
    names = {module.name for module in every}
    return {module.name: set(_imported(module, names)) - {module.name} for module in every}


def _imported(module: Module, names: set[str]) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from [whole] if whole in names else [node.module] if node.module in names else []


def imports_for_types_only(module: Module) -> Iterator[tuple[str, int]]:
    """Yield module name and line of each import below ``if TYPE_CHECKING``.

    Examples
    --------
    >>> source = "if TYPE_CHECKING:\\n    from stream.log.instructions import Instruction"
    >>> list(imports_for_types_only(module_of(Path("a.py"), source)))
    [('stream.log.instructions', 2)]
    """
    for node in module.nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test).removeprefix("typing.") == "TYPE_CHECKING":
            for inner in ast.walk(node):
                if isinstance(inner, ast.ImportFrom) and inner.module is not None:
                    yield inner.module, inner.lineno
                elif isinstance(inner, ast.Import):
                    yield from ((alias.name, inner.lineno) for alias in inner.names)


def misnamed_loggers(module: Module) -> Iterator[str]:
    """Yield each place that assigns a logger and is not exactly ``logger = logging.getLogger(__name__)``.

    Examples
    --------
    >>> list(misnamed_loggers(module_of(Path("a.py"), "log = logging.getLogger(__name__)")))
    ['a.py:1: log = logging.getLogger(__name__)']
    """
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and _is_call_of(node.value, "getLogger"):
            text = ast.unparse(node)
            if text != "logger = logging.getLogger(__name__)":
                yield f"{module.path}:{node.lineno}: {text}"


def sleeps(module: Module) -> Iterator[str]:
    """Yield each call of ``sleep`` with a constant outside a ``while`` loop.

    In such a loop, the call polls a condition. ``sleep(0)`` does not count, because it only lets other tasks run.

    Examples
    --------
    >>> source = "asyncio.sleep(0)\\nwhile not is_done():\\n    time.sleep(0.1)\\ntime.sleep(0.2)"
    >>> list(sleeps(module_of(Path("a.py"), source)))
    ['a.py:4: time.sleep(0.2)']
    """
    polling = {
        inner for node in module.nodes if isinstance(node, ast.While) for part in node.body for inner in ast.walk(part)
    }
    for node in module.nodes:
        if isinstance(node, ast.Call) and _is_call_of(node, "sleep") and node not in polling:
            match node.args:
                case [ast.Constant(value=seconds)] if seconds != 0:
                    yield f"{module.path}:{node.lineno}: {ast.unparse(node)}"


def _is_call_of(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name


def package_of(name: str) -> tuple[str, ...]:
    """Return the first two parts of a module's name.

    Examples
    --------
    >>> package_of("stream.log.instructions")
    ('stream', 'log')
    """
    return tuple(name.split(".")[:2])


def type_imports_between_packages(found: Iterable[Module]) -> list[str]:
    """Return each place that imports from another package of ours below ``if TYPE_CHECKING``."""
    return [
        f"{module.path}:{line}: {name}"
        for module in found
        for name, line in imports_for_types_only(module)
        if name.partition(".")[0] in {*SOURCES, *TESTS} and package_of(name) != package_of(module.name)
    ]


def sleeps_in_tests() -> list[str]:
    """Return each place in unit and integration tests that sleeps for a fixed time instead of awaiting a condition."""
    return [
        place
        for module in modules(*TESTS)
        if module.path.parts[1] in ("unit", "integration")
        for place in sleeps(module)
    ]


def main() -> None:
    """Print everything that the structure tests refuse, except sizes and the names of unit tests."""
    every = modules(*SOURCES, *TESTS)
    for name, places in sorted(public_classes(every).items()):
        if len(places) > 1:
            print(f"class {name}: {', '.join(places)}")
    try:
        graphlib.TopologicalSorter(imports(every)).prepare()
    except graphlib.CycleError as error:
        print("cycle:", " -> ".join(error.args[1]))
    for place in type_imports_between_packages(every):
        print(f"import for types only: {place}")
    for module in every:
        for place in misnamed_loggers(module):
            print(f"logger: {place}")
    for place in sleeps_in_tests():
        print(f"sleep: {place}")


if __name__ == "__main__":
    main()
