"""The answers of a supervisor at ``/ready`` and ``/health`` cover all processes that it runs."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import pytest

from stream.processes.overview import Overview, describe
from stream.processes.programs import Status
from stream.processes.worker_report import WorkerReport

HEALTHY = Status(
    "fold", "running", 7, 0, None, report=WorkerReport(ready=True, healthy=True, lookups=8391), silence_s=0.5
)


def get(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def judged(*statuses: Status) -> tuple[bool, bool]:
    found = describe(statuses)
    return found["ready"], found["healthy"]


def test_all_are_ready_and_healthy_when_each_is() -> None:
    assert judged(HEALTHY, replace(HEALTHY, name="learn")) == (True, True)


@pytest.mark.parametrize(
    ("other", "ready", "healthy"),
    [
        (replace(HEALTHY, report=WorkerReport(ready=False, healthy=True)), False, True),
        (replace(HEALTHY, report=WorkerReport(ready=True, healthy=False)), True, False),
        (replace(HEALTHY, silence_s=30.0), False, False),
        (replace(HEALTHY, report=None, silence_s=30.0), False, True),
        (replace(HEALTHY, state="waiting", pid=None, report=None, silence_s=None), False, False),
        (replace(HEALTHY, state="ended", pid=None, report=None, silence_s=None), False, False),
    ],
    ids=["not ready", "not healthy", "silent", "starting", "waiting", "ended"],
)
def test_one_process_that_is_not_ready_or_not_healthy_decides_for_all(
    other: Status, ready: bool, healthy: bool
) -> None:
    assert judged(HEALTHY, replace(other, name="fold-2")) == (ready, healthy)


def test_a_process_without_reports_is_healthy_while_it_runs() -> None:
    assert judged(Status("collector", "running", 7, 0, None)) == (True, True)


def test_http_answers_have_a_status_that_a_probe_understands() -> None:
    statuses = [HEALTHY]
    with Overview(lambda: statuses, "127.0.0.1", 0) as overview:
        status, body = get(overview.port, "/ready")
        process = json.loads(body)["processes"][0]
        assert status == 200
        assert (process["name"], process["lookups"], process["restarts"]) == ("fold", 8391, 0)
        assert get(overview.port, "/health")[0] == 200
        assert get(overview.port, "/elsewhere")[0] == 404
        assert b"perennial_process_ends_total" in get(overview.port, "/metrics")[1]

        statuses[0] = replace(HEALTHY, state="waiting")
        assert get(overview.port, "/ready")[0] == 503
        assert get(overview.port, "/health")[0] == 503


def test_a_port_that_is_taken_is_replaced_by_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with Overview(list, "127.0.0.1", taken) as overview:
            assert overview.port != taken
            assert get(overview.port, "/ready")[0] == 200
