"""``perennial up`` ends in order, and says why where it cannot begin."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream import presets
from stream.supervisor import perennial
from tests.brokers import free_ports


@contextmanager
def up(folder: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run it in a folder and on ports of its own."""
    presets.write("shop", folder)
    broker, http, worker = free_ports(3)
    ports = {"HTTP__PORT": http, "WORKER__PORT": worker}
    ports |= {f"METRICS__{name}": 0 for name in ("FOLD", "DELIVER", "LEARN", "RETRAINER", "COLLECTOR", "WORKER")}
    given = {f"PERENNIAL_{name}": str(port) for name, port in {**ports, **more}.items()}
    process = subprocess.Popen(
        perennial("up", "--broker-port", str(broker)),
        cwd=folder,
        env={**os.environ, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # its children go with it


@pytest.mark.slow
def test_ctrl_c_is_answered_with_stopped(tmp_path: Path) -> None:
    with up(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=90)

    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "stopped"


@pytest.mark.slow
def test_what_a_process_that_refuses_to_start_has_said_is_shown(tmp_path: Path) -> None:
    with up(tmp_path, DELIVERY__UNSUBSCRIBE_SECRETS="[{env: NO_SUCH_VARIABLE}]") as process:
        out, err = process.communicate(timeout=120)

    assert process.returncode == 2, out + err
    assert "refused to start: " in err
    assert "NO_SUCH_VARIABLE" in err
    assert "logs: " in err
