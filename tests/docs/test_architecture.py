"""docs/architecture.md draws the packages as pyproject.toml allows them, and describes each of them."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
ROOTS = ("stream", "models")


def packages(root: str) -> set[str]:
    return {path.parent.name for path in (ROOT / root).glob("*/__init__.py")}


def allowed(root: str) -> dict[str, set[str]]:
    """Return the packages that each package may import, as the contracts say."""
    every, found = packages(root), {}
    for contract in CONTRACTS:
        source = contract.get("source_modules", [""])[0].split(".")
        if contract.get("allow_indirect_imports") and source[0] == root:
            forbidden = {name.split(".")[1] for name in contract["forbidden_modules"]}
            found[source[1]] = every - forbidden - {source[1]}
    return found


def drawn(root: str) -> dict[str, set[str]]:
    section = PAGE.split(f"## Packages of `{root}`")[1].split("## ")[0]
    (drawing,) = re.findall(r"```mermaid\n(.*?)```", section, flags=re.DOTALL)
    arrows = re.findall(r"^ *(\w+) --> (.+)$", drawing, flags=re.MULTILINE)
    return {source: {target.strip() for target in targets.split("&")} for source, targets in arrows}


@pytest.mark.parametrize("root", ROOTS)
def test_each_arrow_of_the_drawing_is_allowed_and_each_allowed_one_is_drawn(root: str) -> None:
    arrows = allowed(root)

    assert len(arrows) > 5
    assert drawn(root) == {source: targets for source, targets in arrows.items() if targets}


@pytest.mark.parametrize("root", ROOTS)
def test_each_package_has_a_contract(root: str) -> None:
    assert packages(root) - {"cli"} == allowed(root).keys()


@pytest.mark.parametrize("root", ROOTS)
def test_each_package_has_a_paragraph(root: str) -> None:
    section = PAGE.split(f"## Packages of `{root}`")[1].split("\n## ")[0]

    assert set(re.findall(r"^\*\*(\w+)\*\*", section, flags=re.MULTILINE)) == packages(root)


@pytest.mark.parametrize("root", ROOTS)
def test_each_package_says_what_it_may_import(root: str) -> None:
    """The docstring of each package lists exactly the packages that its contract allows."""
    for package, targets in allowed(root).items():
        document = (ROOT / root / package / "__init__.py").read_text()
        found = re.search(r"(?:It|This package) (?:may import|imports) ([^.]*)\.", document)

        assert found is not None, f"{root}/{package}/__init__.py does not say what it may import"
        assert set(re.findall(r"``(\w+)``", found[1])) - {root} == targets, f"{root}/{package}/__init__.py"
