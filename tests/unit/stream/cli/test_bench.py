"""The benchmarks are reached from a checkout, and only from there."""

from __future__ import annotations

from pathlib import Path

import pytest

import stream
from stream import cli
from stream.cli.bench import NeedsCheckout, checkout


def test_an_installed_package_says_that_it_has_no_benchmarks(tmp_path: Path) -> None:
    with pytest.raises(NeedsCheckout, match="checkout of the repository"):
        checkout(tmp_path / "site-packages" / "stream")


def test_in_a_checkout_every_benchmark_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert checkout(Path(stream.__path__[0])).is_dir()

    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "--help"])

    assert not ended.value.code

    told = capsys.readouterr().out
    for name in ("engine", "pipeline", "latency", "memory", "restart", "scaling", "guard", "profile", "all", "table"):
        assert f" {name} " in told
