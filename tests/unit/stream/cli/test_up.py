"""``perennial up`` ends cleanly, and gives the reason if it cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream import presets
from stream.installation.commands import perennial
from tests.support.brokers import free_ports


@contextmanager
def up(folder: Path, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``perennial up`` in a folder, on free ports."""
    presets.write("shop", folder)
    broker, http, worker = free_ports(3)
    ports = {"HTTP__PORT": http, "WORKER__PORT": worker}
    ports |= {f"METRICS__{name}": 0 for name in ("FOLD", "DELIVER", "LEARN", "RETRAINER", "COLLECTOR", "WORKER")}
    given = {f"PERENNIAL_{name}": str(port) for name, port in {**ports, **more}.items()}
    process = subprocess.Popen(
        perennial("up", "--broker-port", str(broker), *arguments),
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
            process.kill()  # its children end with it


@pytest.mark.slow
def test_up_shows_why_a_process_refused_to_start(tmp_path: Path) -> None:
    with up(tmp_path, HTTP__HOST="192.0.2.1") as process:  # not an address of this machine
        out, err = process.communicate(timeout=120)

    assert process.returncode == 2, out + err
    assert "refused to start: " in err
    assert "cannot listen on 192.0.2.1" in err
    assert "logs: " in err


LIVE = {"DELIVERY__MODE": "live", "DELIVERY__SMTP": "{host: 127.0.0.1, port: 2525, from: shop@shop.example}"}


def test_up_names_every_failed_finding_and_starts_nothing(tmp_path: Path) -> None:
    with up(tmp_path, **LIVE, DELIVERY__UNSUBSCRIBE_SECRETS="[{env: NO_SUCH_VARIABLE}]") as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (2, "")
    assert "secrets.unsubscribe: " in err
    assert "NO_SUCH_VARIABLE" in err
    assert "delivery.public_url: http.public_url is not set: unsubscribe links would begin with http://127" in err
    assert not (tmp_path / ".perennial" / "logs").exists()


@pytest.mark.slow
def test_up_logs_each_overridden_finding_starts_and_prints_stopped_after_ctrl_c(tmp_path: Path) -> None:
    forced = ("--force", "delivery.public_url", "--force", "delivery.provider.sms")
    with up(tmp_path, *forced, **LIVE) as process:
        assert process.stdout is not None
        assert any(line.startswith("ready") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)

    says = "--force delivery.public_url: started although http.public_url is not set"
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "stopped"
    assert says in err
    assert says in (tmp_path / ".perennial" / "logs" / "up.log").read_text()


def test_up_refuses_to_override_a_finding_that_has_not_failed_and_lists_the_failed_ones(tmp_path: Path) -> None:
    with up(tmp_path, "--force", "delivery.publik_url", **LIVE) as process:
        _, err = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "--force delivery.publik_url" in err
    assert "failed: delivery.provider.sms, delivery.public_url" in err
