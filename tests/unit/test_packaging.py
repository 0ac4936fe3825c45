"""The wheel contains our packages with their data files, and no tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGES = ("models", "agents", "stream", "monitoring")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    # Build from a copy, so that an old or half-written build folder cannot change the content of the wheel.
    source = tmp_path_factory.mktemp("source")
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    made = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*pip, "--wheel-dir", str(made), str(source)], check=True, timeout=120)
    return zipfile.ZipFile(next(made.glob("perennial-*.whl")))


def test_the_wheel_contains_our_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_contains_no_tests(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if name.startswith("tests/") or Path(name).name.startswith("test_")] == []


def test_the_wheel_contains_every_module_and_every_data_file(wheel: zipfile.ZipFile) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    }

    assert wanted - set(wheel.namelist()) == set()


def test_the_wheel_installs_the_command(wheel: zipfile.ZipFile) -> None:
    scripts = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))

    assert "perennial = stream.cli:main" in wheel.read(scripts).decode()
