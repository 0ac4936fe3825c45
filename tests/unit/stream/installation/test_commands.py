"""Commands of this project can be started as child processes."""

from __future__ import annotations

import subprocess

from stream.installation.commands import perennial


def test_a_command_runs_in_this_interpreter() -> None:
    answer = subprocess.run(perennial("--help"), capture_output=True, text=True, check=True)

    assert "Perennial: a self-hosted" in answer.stdout
