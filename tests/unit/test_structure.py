"""Structure of the repository: sizes, unique names, imports, loggers, and the mirror of the source in tests/unit."""

from __future__ import annotations

import graphlib
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support import sizes
from tests.support.paths import ROOT
from tests.support.private_access import EXCEPTIONS, forbidden, private_accesses
from tests.support.source_tree import (
    SOURCES,
    TESTS,
    imports,
    misnamed_loggers,
    modules,
    public_classes,
    sleeps_in_tests,
    type_imports_between_packages,
)

# Each process of the run would have to parse all files again.
pytestmark = pytest.mark.slow(together=True)

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
UNIT = ROOT / "tests" / "unit"


@pytest.fixture(scope="module")
def above() -> dict[str, str]:
    """Everything above a limit, with its size, by place."""
    return {size.place: f"{size.kind} of {size.size}, at most {size.limit}" for size in sizes.above()}


def test_nothing_is_above_its_limit_except_the_listed_places(above: dict[str, str]) -> None:
    assert {place: text for place, text in above.items() if place not in sizes.EXCEPTIONS} == {}


def test_each_exception_of_the_limits_is_needed_and_has_a_reason(above: dict[str, str]) -> None:
    assert sizes.EXCEPTIONS.keys() - above.keys() == set()
    assert [place for place, reason in sizes.EXCEPTIONS.items() if len(reason.split()) < 4] == []


def test_a_file_a_class_a_function_and_a_signature_above_their_limits_are_found(tmp_path: Path) -> None:
    methods = "\n".join(f"    def f{number}(self): ...\n" for number in range(130))
    long = "    def long(self, *, a, b, c, d, e, f, g):\n" + "        pass\n" * 60
    (tmp_path / "large.py").write_text(f"class Large:\n{methods}\n{long}" + "\n" * 200)

    found = list(sizes.above([tmp_path]))

    assert [(size.place.rpartition("/")[2], size.kind, size.size) for size in found] == [
        ("large.py", "file", 522),
        ("large.py:Large", "class", 322),
        ("large.py:Large.long", "function", 61),
        ("large.py:Large.long", "signature", 7),
    ]


def test_no_two_public_classes_have_the_same_name() -> None:
    places = public_classes(modules(*SOURCES, *TESTS))

    assert len(places) > 500
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("roots", [SOURCES, (*SOURCES, *TESTS)])
def test_no_modules_import_each_other(roots: tuple[str, ...]) -> None:
    graph = imports(modules(*roots))

    assert sum(map(len, graph.values())) > 500
    graphlib.TopologicalSorter(graph).prepare()  # raises an error with the modules of a cycle


def test_no_package_imports_another_one_for_its_types_only() -> None:
    assert type_imports_between_packages(modules(*SOURCES, *TESTS)) == []


def test_private_members_are_used_only_by_their_class_and_module_and_by_the_listed_files() -> None:
    every = modules(*SOURCES, *TESTS)

    assert list(map(str, forbidden(every))) == []
    needed = {path for module in every if (path := str(module.path)) in EXCEPTIONS and list(private_accesses(module))}
    assert EXCEPTIONS.keys() - needed == set(), "an exception that is no longer needed"
    assert [path for path, reason in EXCEPTIONS.items() if len(reason.split()) < 4] == []


def test_the_name_of_each_contract_says_what_the_contract_allows() -> None:
    checked = 0
    for contract in CONTRACTS:
        found = re.fullmatch(r"(stream|models)\.(\w+) may import (?:no other package of \w+|(.*))", contract["name"])
        if found is None:
            continue
        root, package, named = found.groups()
        every = {path.parent.name for path in (ROOT / root).glob("*/__init__.py")} - {package}
        forbidden = {name.removeprefix(f"{root}.") for name in contract["forbidden_modules"]}
        assert every - forbidden == set(named.split(", ") if named else ()), contract["name"]
        assert contract["source_modules"] == [f"{root}.{package}"]
        checked += 1
    assert checked > 25


def test_each_module_calls_its_logger_logger() -> None:
    every = modules(*SOURCES, *TESTS)

    assert [place for module in every for place in misnamed_loggers(module)] == []


def test_each_unit_test_is_named_after_its_module(capsys: pytest.CaptureFixture[str]) -> None:
    """A file is called test_<module>.py or test_<module>_<theme>.py, in the folder that mirrors its package.

    Instead of a module, it may name the package itself, or a folder with data in it.
    """
    sources = defaultdict[Path, set[str]](set)
    for module in modules(*SOURCES):
        sources[module.path.parent].add(module.path.stem.strip("_"))
    tests = [path.relative_to(UNIT) for path in sorted(UNIT.rglob("test_*.py")) if path.parent != UNIT]
    named = {path: _twins(path, sources[path.parent]) for path in tests}
    tested = {path.parent / twin for path, twins in named.items() for twin in twins}
    every = {folder / stem for folder, stems in sources.items() for stem in stems if stem != "init"}

    with capsys.disabled():
        print(f"\n{len(every - tested)} of {len(every)} modules have no unit test of their name:")
        print(*sorted(map(str, every - tested)), sep=", ")
    assert len(tests) > 100
    assert [str(path) for path, twins in named.items() if not twins] == []


def _twins(test: Path, stems: set[str]) -> set[str]:
    """Return the modules and folders that a test may be named after."""
    folders = {path.name for path in (ROOT / test.parent).iterdir() if path.is_dir()}
    name = test.stem.removeprefix("test_")
    return {stem for stem in {*stems, *folders, test.parent.name} if f"{name}_".startswith(f"{stem}_")}


def test_unit_and_integration_tests_await_conditions_instead_of_sleeping() -> None:
    assert sleeps_in_tests() == []
