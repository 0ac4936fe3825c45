"""The benchmarks can be started only from a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stream import cli
from stream.cli.bench import checkout
from stream.installation.commands import perennial
from tests.support.paths import ROOT


def test_an_installed_package_has_no_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkout(tmp_path / "site-packages" / "stream") is None

    monkeypatch.setattr("stream.cli.checkout", lambda: None)

    assert "bench" not in cli.commands()


def test_every_benchmark_is_a_command_in_a_checkout() -> None:
    assert checkout() == ROOT

    helped = subprocess.run(perennial("bench", "--help"), capture_output=True, text=True, check=True)

    for name in ("engine", "pipeline", "latency", "memory", "restart", "scaling", "guard", "profile", "all", "table"):
        assert f" {name} " in helped.stdout


def test_a_wrong_option_of_a_benchmark_is_reported_in_one_line(tmp_path: Path) -> None:
    refused = subprocess.run(
        perennial("bench", "engine", "--runs", "none"), cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert refused.returncode == 2
    assert refused.stderr.startswith("perennial: Invalid value for '--runs'")
