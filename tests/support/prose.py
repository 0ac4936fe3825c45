"""Mechanical rules of the project's English, for docstrings, comments, messages and pages.

``python -m tests.support.prose [PATH ...]`` prints every violation, one per line, and exits with 1 if there is any.
CONTRIBUTING.md lists all ten rules; this module checks those that a program can check.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.support.paths import ROOT

SOURCES = ("agents", "models", "monitoring", "stream", "tests")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "tests/benchmarks/peers/README.md")
COMMENTED = (
    ".ci/run",
    "Dockerfile",
    "Makefile",
    "docker-compose.yml",
    "monitoring/prometheus/*.yml",
    "pyproject.toml",
    "stream/presets/*/perennial.yaml",
)
"""Files whose comments begin with ``#``."""
MAX_WORDS = 25
"""Maximum number of words in a sentence; code between backticks counts as one word."""


def _listed(name: str) -> list[str]:
    return Path(__file__).with_name(name).read_text(encoding="ascii").splitlines()


VERBS = frozenset(" ".join(_listed("verbs.txt")).split())
"""Verbs that may begin a function's docstring. A new one is added to the file if it says what a function does."""

FORBIDDEN_STARTS = frozenset(_listed("bad_starts.txt"))
"""Words that begin no docstring; :func:`_bad_start` has exceptions for some kinds of docstrings."""

DIALECT = dict(line.split("\t") for line in _listed("dialect.txt"))
"""Patterns of words that are translated word for word from German, and the plain words to use instead.

The lists are in files, so that this module does not contain the words that it forbids.
"""

_DIALECT = re.compile(r"(?<!--)\b(?:" + "|".join(f"(?:{pattern})" for pattern in DIALECT) + r")\b", re.IGNORECASE)
_CODE = re.compile(r"``[^`]+``|:[a-z]+:`[^`]+`|`[^`]+`|<[a-zA-Z/!][^>]{0,200}>|\]\([^)]*\)|https?://\S+")
_END = re.compile(r"(?<=[.?!])[*)\"']*\s+|\n\s*\n|\n\s*(?:[-*|>]|\d+\.)\s")
_WORD = re.compile(r"[\w'-]*[A-Za-z][\w'-]*")
_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
_UNITS = {"seconds": ("_S",), "milliseconds": ("_MS",), "bytes": ("_BYTES",)}
_SETTING = re.compile(r"[a-z_]+: ?[^a-z ]|[a-z_]+: \S+(?:\s+#|$)")
"""A setting that is commented out. It is not prose, but a comment after it is prose."""
_TIME_UNIT = re.compile(r",\s*(?:in )?(seconds|milliseconds|bytes)\.?$", re.MULTILINE)

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Violation:
    """A place that breaks a rule.

    Attributes
    ----------
    path, line
        File, and number of the line.
    rule
        Short name of the rule.
    message
        The text found, and the text allowed.
    """

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        """Format as compilers do, so that editors can jump to the place."""
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def violations(paths: Iterable[Path] | None = None) -> Iterator[Violation]:
    """Yield every violation in the given files and folders; by default, in the whole repository."""
    for path in _files(paths):
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
        text = path.read_text(encoding="utf-8")
        match path.suffix:
            case ".md":
                yield from in_page(name, text)
            case ".py":
                yield from in_module(name, text)
            case _:
                yield from in_comments(name, text)


def in_module(path: str, source: str) -> Iterator[Violation]:
    """Yield the violations in a Python module: its docstrings, comments, constants and messages.

    Examples
    --------
    >>> source = 'def first(x):\\n    "What comes first."'
    >>> [violation.rule for violation in in_module("m.py", source)]
    ['start']
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            yield from _definition(path, node)
    for line, text in _comments(source):
        yield from _text(path, line, text, "comment")
    docs = {id(constant) for constant in _documentation(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield from _dialect(path, node.lineno, node.value) if " " in node.value else ()
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_test(node):
            yield from _dialect(path, node.lineno, node.name.replace("_", " "))


def in_page(path: str, text: str) -> Iterator[Violation]:
    """Yield the violations in a Markdown page, outside its blocks of code; each cell of a table is a separate text.

    A block of code is between fences, or is indented by four columns.

    Examples
    --------
    >>> [str(violation) for violation in in_page("a.md", "Nobody is here." + chr(10))]
    ["a.md:1: plain: 'Nobody'; plain: no one, or name the thing"]
    """
    text = re.sub(r"^```.*?^```", lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    for number, block in _blocks(text):
        if block.startswith("    "):
            continue
        if not block.lstrip().startswith("|"):
            yield from _text(path, number, block, "page")
            continue
        for line, row in enumerate(block.splitlines(), number):
            for cell in row.strip().strip("|").split(" | "):
                yield from _text(path, line, cell, "table")


def in_comments(path: str, source: str) -> Iterator[Violation]:
    """Yield the violations in the comments of a file whose comments begin with ``#``, such as YAML or a Makefile.

    Examples
    --------
    >>> [violation.line for violation in in_comments("a.yaml", "a: 1" + chr(10) + "b: 2  # nobody")]
    [2]
    >>> list(in_comments("a.yaml", "# key: {file: nobody}" + chr(10) + "# folder: nobody  # a default"))
    []
    """
    block, start = list[str](), 0
    for number, line in enumerate([*source.splitlines(), ""], 1):
        found = re.search(r"(?:^|\s)#+\s(.*)", line)
        whole = line.lstrip().startswith("#")
        if found and whole and _SETTING.match(found[1]):
            found, whole = re.search(r"\s#\s(.*)", found[1]), False
        if block and not (found and whole):
            yield from _text(path, start, "\n".join(block), "comment")
            block = []
        if found:
            start = start if block else number
            block.append(found[1])
            if not whole:
                yield from _text(path, number, "\n".join(block), "comment")
                block = []


def _files(paths: Iterable[Path] | None) -> Iterator[Path]:
    if paths is None:
        yield from _files([ROOT / name for name in SOURCES])
        for pattern in (*PAGES, *COMMENTED):
            found = sorted(path for path in ROOT.glob(pattern) if not path.is_symlink())
            if not found:
                raise FileNotFoundError(f"{pattern} matches no file")
            yield from found
        return
    for path in paths:
        whole = path.resolve()
        yield from (
            sorted(p for p in whole.rglob("*.py") if "node_modules" not in p.parts) if whole.is_dir() else [whole]
        )


def _definition(path: str, node: Definition | ast.Module) -> Iterator[Violation]:
    document = ast.get_docstring(node)
    if document:
        line = node.body[0].lineno
        if not isinstance(node, ast.Module):
            yield from _bad_start(path, line, node, document)
        yield from _text(path, line, _prose(document), "docstring")
    if isinstance(node, ast.Module | ast.ClassDef):
        for target, line, document in _constants(node):
            yield from _constant(path, line, target, document)
            yield from _text(path, line, document, "docstring")


def _bad_start(path: str, line: int, node: Definition, document: str) -> Iterator[Violation]:
    word = document.split()[0].rstrip(",.;:")
    if isinstance(node, ast.ClassDef):
        third = word.removesuffix("s")
        if word in FORBIDDEN_STARTS or (word != third and third in VERBS - _NOUNS):
            yield Violation(path, line, "start", f"class {node.name}: {word!r}; begin with a noun phrase")
    elif _is_property(node) or _is_test(node):
        if word in FORBIDDEN_STARTS - {"Whether"}:
            yield Violation(path, line, "start", f"{node.name}: {word!r}; begin with a noun phrase, or with Whether")
    elif word not in VERBS and not document.startswith("Called when "):
        yield Violation(path, line, "start", f"{node.name}: {word!r}; begin with a verb in the imperative")


_NOUNS = frozenset(
    re.findall(
        r"\w+",
        "Answer Call Change Count Group Limit Name Number Offer Order Plan Rank Record Report Result Set ",
    )
)
"""Verbs whose form with an s can also be the plural of a noun."""


def _is_property(node: Definition) -> bool:
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(
        "property" in decorator or decorator.endswith("fixture") or ".fixture(" in decorator for decorator in decorators
    )


def _is_test(node: Definition) -> bool:
    return node.name.startswith("test_")


def _constants(node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, int, str]]:
    for before, after in zip(node.body, node.body[1:], strict=False):
        if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
            continue
        match before:
            case ast.Assign(targets=[target, *_]) | ast.AnnAssign(target=target):
                yield ast.unparse(target), after.lineno, str(after.value.value)


def _constant(path: str, line: int, name: str, document: str) -> Iterator[Violation]:
    word = document.split()[0].rstrip(",.;:")
    if word in FORBIDDEN_STARTS - {"How", "Whether"}:
        yield Violation(
            path, line, "start", f"{name}: {word!r}; begin with a noun phrase, or with How long and the unit"
        )
    bare = name.lstrip("_").upper()
    if not name.lstrip("_").isupper():
        return
    for word_, prefix in (("Maximum", "MAX_"), ("Minimum", "MIN_")):
        if (word == word_) != bare.startswith(prefix):
            yield Violation(
                path, line, "constant", f"{name} is documented as {word!r}: {prefix} and {word_} go together"
            )
    first = document.strip().split("\n\n")[0].split(". ")[0]
    for unit in _TIME_UNIT.findall(first):
        if not bare.endswith(_UNITS[unit]):
            yield Violation(path, line, "constant", f"{name} is in {unit}: its name ends in {_UNITS[unit][0]}")
    if word == "How" and document.startswith("How long") and not bare.endswith(("_S", "_MS", "_H", "_DAYS")):
        yield Violation(path, line, "constant", f"{name} is a duration: its name ends in _S or _MS")


def _prose(document: str) -> str:
    """Return a docstring without its examples, its literal blocks and the names of its parameters."""
    parts = _SECTION.split(document)
    kept = [parts[0]]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if title.strip() not in {"Examples", "References"}:
            kept.append("\n".join("\n" if line and not line.startswith(" ") else line for line in body.splitlines()))
    text = "\n\n".join(kept)
    text = re.sub(r"::\n\n(?:[ \t]+.*\n|\n)+", ".\n\n", text + "\n")
    return re.sub(r"^>>>.*?(?:\n\n|\Z)", "", text, flags=re.DOTALL | re.MULTILINE)


def _text(path: str, line: int, text: str, where: str) -> Iterator[Violation]:
    plain = _CODE.sub("x", text)
    for sentence in _END.split(plain):
        words = _WORD.findall(sentence or "")
        if len(words) > MAX_WORDS:
            yield Violation(path, line, "long", f"{where} with {len(words)} words: {' '.join(words[:6])} ...")
    yield from _dialect(path, line, plain)


def _dialect(path: str, line: int, text: str) -> Iterator[Violation]:
    for found in _DIALECT.finditer(text):
        plain = next(words for pattern, words in DIALECT.items() if re.fullmatch(pattern, found[0], re.IGNORECASE))
        yield Violation(path, line, "plain", f"{' '.join(found[0].split())!r}; plain: {plain}")


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield comments with their first line; those on successive lines are one text."""
    start, block, column = 0, list[str](), 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        text = token.string.lstrip("#").strip()
        if block and token.start[0] == start + len(block) and token.start[1] == column:
            block.append(text)
            continue
        if block:
            yield start, " ".join(block)
        start, column, block = token.start[0], token.start[1], [text]
    if block:
        yield start, " ".join(block)


def _documentation(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield the constants that are documentation: strings that are whole statements."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    line = 1
    for block in re.split(r"(\n\s*\n)", text):
        if block.strip():
            yield line, block
        line += block.count("\n")


def main(arguments: list[str]) -> int:
    """Print the violations in the given paths, and return the exit status."""
    found = list(violations([Path(argument) for argument in arguments] or None))
    for violation in found:
        print(violation)
    print(f"{len(found)} violations", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
