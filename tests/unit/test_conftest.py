"""Tests of a promise on which `.ci/run` relies: a test that cannot do its work does not pass silently."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TESTS = """
import pytest

@pytest.mark.kafka
def test_skips_itself():
    pytest.skip("no reason")

@pytest.fixture
def nothing():
    pytest.skip("no broker")

@pytest.mark.kafka
def test_is_skipped_by_its_fixture(nothing): ...

@pytest.mark.kafka
@pytest.mark.skipif(True, reason="no data")
def test_names_what_else_it_needs(): ...

@pytest.mark.kafka
@pytest.mark.xfail
def test_is_known_to_fail():
    raise AssertionError

def test_of_something_else():
    pytest.skip("no reason")
"""


@pytest.mark.parametrize(
    ("home", "outcome"), [("/opt/kafka", "1 failed, 2 skipped, 1 xfailed, 1 error"), ("", "4 skipped, 1 xfailed")]
)
def test_a_kafka_test_may_skip_only_without_a_kafka(home: str, outcome: str, tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    kafka\n")

    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-rA",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:warnings",
            str(tmp_path),
        ],
        cwd=tmp_path,
        env={**os.environ, "KAFKA_HOME": home, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in ended.stdout.splitlines()[-1], ended.stdout + ended.stderr
    assert ended.returncode == (1 if home else 0)
    if home:
        assert "skipped, although KAFKA_HOME is set: Skipped: no broker" in ended.stdout


def test_a_test_of_real_clients_must_not_skip(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS.replace("mark.kafka", "mark.clients"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    clients\n")
    options = ["-p", "tests.conftest", "-rA", "-p", "no:cacheprovider", "-p", "no:warnings"]

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "KAFKA_HOME": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "skipped, although make test-clients installs what it needs: Skipped: no broker" in ended.stdout
