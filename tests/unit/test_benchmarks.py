"""Tests of the benchmarks: their load, their stopwatch, their comparisons, and the formula of capacity."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from models.events import Event, OrderLine
from models.log import is_control
from models.units import HOUR
from tests.benchmarks import capacity, engine, everything, guard, latency, open_loop, pipeline, table
from tests.benchmarks.comparison import MAX_REASON, SIDES, skipped
from tests.benchmarks.load import BenchLoad
from tests.benchmarks.load_choice import Workload
from tests.benchmarks.peers import environments
from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.environments import REQUIREMENTS, version_of
from tests.benchmarks.peers.job import Job, pack, unpack
from tests.benchmarks.report import Spread, plain
from tests.support.paths import ROOT


def test_one_percent_of_the_users_causes_a_large_part_of_the_events() -> None:
    done = Counter(key for key, _ in BenchLoad(events=50_000, users=50_000) if not is_control(key))

    assert sum(count for _, count in done.most_common(500)) > 0.3 * 50_000


def test_a_turn_of_the_guard_is_compared_with_the_bare_loops_before_and_after_it() -> None:
    turns = guard.turns_of([2.0, 4.0, 2.0, 2.0], [100.0, 100.0, 400.0])

    assert [turn.bare_us for turn in turns] == [3.0, 3.0, 2.0]
    assert [turn.ratio for turn in turns] == [0.03, 0.03, 0.005]


def test_the_guard_fails_when_most_turns_have_lost_a_fifth_of_their_committed_ratio(tmp_path: Path) -> None:
    committed = tmp_path / "guard.json"
    committed.write_text(
        '{"visits": {"kafka": {"ratios": [0.1, 0.05, 0.04]}}, "single": {"kafka": {"ratios": [0.01, 0.01, 0.01]}}}'
    )

    def share(*costs: float) -> float:
        return guard.share_of(Workload.VISITS, "kafka", [guard.GuardTurn(1.0, cost) for cost in costs], committed)

    assert share(10, 20, 25) == pytest.approx(1.0)
    assert share(10, 20, 250) == pytest.approx(1.0)  # one turn in which the machine was busy elsewhere changes nothing
    assert share(12, 24, 25) == pytest.approx(1 / 1.2)
    guard.check("kafka", share(12, 24, 25))
    with pytest.raises(guard.Slower, match="the ratio fell by 23%"):
        guard.check("kafka", share(13, 26, 25))


def test_the_guard_says_which_ratio_is_not_committed(tmp_path: Path) -> None:
    committed = tmp_path / "guard.json"
    committed.write_text('{"single": {"kafka": {"ratios": [0.1]}}}')

    with pytest.raises(guard.NothingCommitted, match="guard --load visits --broker kafka --commit"):
        guard.share_of(Workload.VISITS, "kafka", [guard.GuardTurn(1.0, 10.0)], committed)


@pytest.mark.parametrize("load", ["visits", "single"])
def test_a_ratio_is_committed_for_every_turn_on_either_broker(load: str) -> None:
    figures = json.loads(guard.COMMITTED.read_text())[load]

    assert {kind: len(figures[kind]["ratios"]) for kind in ("kafka", "embedded")} == {
        "kafka": guard.TURNS,
        "embedded": guard.TURNS,
    }


def test_the_guard_uses_the_embedded_broker_without_a_kafka_distribution(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    assert guard.available() == "embedded"

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kafka-server-start.sh").touch()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert guard.available() == "kafka"


@pytest.mark.parametrize("page", [table.README, table.DETAILS, table.CAPACITY], ids=lambda page: page.name)
def test_each_document_shows_the_committed_figures(page: Path) -> None:
    assert page.read_text() == table.documents()[page], "perennial bench table --write"


def test_the_summary_shows_figure_and_aim_and_how_busy_the_machine_was() -> None:
    engine = {
        "at": "2026-11-22T19:29:58+00:00",
        "broker": "Apache Kafka 4.3.1",
        "machine": {"processor": "Z80", "cores": 2, "memory_gib": 4, "load_average": [0.1], "busy_before": 0.37},
        "versions": {"commit": "abc", "python": "3.11.7"},
        "peer_versions": {"bytewax": "0.21.1"},
        "events_per_second": {"perennial": plain(Spread.of([9.0, 300_000.0, 200_000.0]))},
        "perennial_is_times": {"bytewax": plain(Spread.of([1.5, 1.25]))},
    }

    shown = table.summary({"engine": engine})

    assert "| 200,000 (9 to 300,000) | |" in shown
    assert "| compared with Bytewax 0.21.1, same run | 1.38 x (1.25 to 1.50) | 2.0 x |" in shown
    assert "- engine: 2026-11-22, commit abc, 37%, single events" in shown


def test_a_table_replaces_the_one_with_the_same_headings() -> None:
    page = "text\n| a | b |\n|---|--:|\n| old | 1 |\n| older | 2 |\n\nmore\n"

    assert table.put_instead(page, "| a | b |\n|---|--:|\n| new | 3 |") == (
        "text\n| a | b |\n|---|--:|\n| new | 3 |\n\nmore\n"
    )
    with pytest.raises(table.NoPlace):
        table.put_instead(page, "| a | c |\n|---|--:|")


def test_every_benchmark_of_the_table_is_run_by_make_bench() -> None:
    assert set(table.ROWS) <= {step.name for step in everything.STEPS}
    assert sum(step.minutes for step in everything.STEPS) + everything.GUARD_MINUTES * 2 * guard.COMMITTED_OF <= 37


def test_only_loads_that_are_in_the_documents_can_be_committed() -> None:
    with pytest.raises(everything.Incomplete, match="no figures of visits-10"):
        everything.measure(everything.Choice("kafka", Workload.VISITS_10), folder=None, commit=True)

    assert table.FOLDERS.keys() == {Workload.VISITS, Workload.SINGLE}


def test_each_run_has_percentiles_and_all_runs_together_have_a_histogram() -> None:
    several = latency.summary([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])

    assert several["p50"].runs == (2.0, 5.0)
    assert several["max"].most == 9.0
    assert several["count"] == sum(several["histogram"].values()) == 6


def test_the_tables_of_latency_show_which_processes_used_the_cores() -> None:
    run = latency.summary([[1.0, 2.0]])
    took = {"broker": Spread.of([0.5]), "fold": Spread.of([0.25])}
    loads = {
        name: json.loads(json.dumps({"due": run, "accepted": run, "missing": 0, "cores": cores}, default=asdict))
        for name, cores in (("calm", took), ("hanging", {**took, "deliver": Spread.of([0.125])}))
    }

    *_, cores = latency.tables({"seconds": 1.0, "broker": "a broker", "loads": loads})

    assert cores.headings == ("", "broker", "fold", "deliver")
    assert [tuple(row) for row in cores.rows] == [("calm", "0.50", "0.25", ""), ("hanging", "0.50", "0.25", "0.12")]


def test_percentiles_are_measured_values() -> None:
    values = [float(value) for value in range(1, 1_001)]

    assert [latency.percentile(values, percent) for percent in (50, 99, 99.9)] == [500.0, 990.0, 999.0]
    assert latency.percentile([7.0], 99.9) == 7.0


def test_a_histogram_counts_every_value_once() -> None:
    counts = latency.histogram([0.5, 1.0, 1.5, 30_000.0])

    assert counts["<= 1 ms"] == 2
    assert counts["<= 2 ms"] == 1
    assert counts["more"] == 1
    assert sum(counts.values()) == 4


def test_the_time_of_a_message_counts_from_the_due_time_of_its_event() -> None:
    probes = open_loop.Probes(due={"a": 1.0, "b": 2.0, "early": 0.0}, accepted={"a": 4.0, "b": 2.5})
    probes.read = {"a": 5.0, "b": 3.0, "early": 9.0}

    assert probes.since(probes.due, from_=0.5) == [1_000.0, 4_000.0]
    assert probes.since(probes.accepted, from_=0.5) == [500.0, 1_000.0]


def test_a_program_answers_once_after_the_last_expected_record(tmp_path: Path) -> None:
    task = Task("host:1", "events", "own", 8, 10, tmp_path / "answer.json", tmp_path)
    task.begin()
    task.count(9)
    assert not task.answer.exists()

    task.count(3)
    answered = task.answer.read_bytes()
    task.count(100)

    assert json.loads(answered)["records"] == 12
    assert task.answer.read_bytes() == answered
    assert task.name("profiles") == "own.profiles"


def test_the_job_of_the_peers_updates_a_profile_learns_and_writes_interactions_and_triggers() -> None:
    job, packed, interactions, triggers = Job(), b"", 0, list[str]()
    for number in range(50):
        line = OrderLine(item=f"sku-{number}", price=5)
        event = Event(id=f"m{number}", user="u1", type="purchase", at=1 + number * HOUR, lines=(line,), amount=5)
        profile = unpack(packed)
        written, caused = job.handle(event, profile)
        packed = pack(profile)
        interactions += len(written)
        triggers += [json.loads(one)["kind"] for one in caused]

    assert interactions == 50
    assert triggers.count("first_purchase") == 1
    assert "segment" in triggers
    assert unpack(packed).facts.orders == 50
    assert 0 <= unpack(packed).risk <= 1


def test_needs_grow_with_the_number_of_users_and_there_are_enough_partitions_for_every_fold() -> None:
    costs = capacity.Costs(100.0, 10.0, 20.0, 2.0**28, 2048.0, 11.0, 1e-6)
    few, many = (capacity.needs(users, costs, capacity.Assumptions()) for users in (1_000_000, 100_000_000))

    assert many.fold_cores == pytest.approx(100 * few.fold_cores)
    assert many.disk_tib == pytest.approx(100 * few.disk_tib)
    assert many.partitions >= many.folds >= 100_000_000 * costs.user_bytes / (8 * 2**30)
    assert many.fold_gib <= 8
    assert few.brokers == capacity.Assumptions().replicas  # never fewer machines than copies


def test_capacity_names_the_benchmark_that_must_be_run_first(tmp_path: Path) -> None:
    with pytest.raises(capacity.NotMeasured, match="perennial bench pipeline"):
        capacity.Costs.read(tmp_path)


@pytest.mark.parametrize("peer", [side for side in SIDES if side != "perennial"])
def test_every_peer_has_both_programs_exact_pins_and_a_name_in_the_readme(peer: str) -> None:
    lines = (REQUIREMENTS / f"{peer}.txt").read_text().splitlines()
    programs = [REQUIREMENTS.parent / f"{peer}_{job}.py" for job in ("engine", "pipeline")]

    assert all(line.count("==") == 1 for line in lines)
    assert version_of(peer)
    assert all(program.exists() for program in programs)
    assert table.NAMES[peer]


def test_the_work_of_the_peers_imports_only_packages_that_every_environment_has() -> None:
    program = (
        "import sys; from importlib.metadata import packages_distributions;"
        "import tests.benchmarks.peers.answer, tests.benchmarks.peers.job, tests.benchmarks.peers.wire;"
        "owners = packages_distributions();"
        "print(*{owner for name in sys.modules if name in owners for owner in owners[name]})"
    )
    imported = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = {name.lower() for name in imported.stdout.split()} - {"perennial", "setuptools"}

    for peer in (side for side in SIDES if side != "perennial"):
        files = [REQUIREMENTS / environments.JOB, REQUIREMENTS / f"{peer}.txt"]
        pinned = {line.partition("==")[0].lower() for file in files for line in file.read_text().splitlines()}
        assert wanted <= pinned, f"{peer} lacks {wanted - pinned}"


def test_a_peer_that_pip_cannot_install_is_missing_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "environments")
    (tmp_path / environments.JOB).touch()
    (tmp_path / "nowhere.txt").write_text(f"{tmp_path}/nowhere-1.0-py3-none-any.whl\n")
    said: list[str] = []

    missing = environments.missing_of(["perennial", "nowhere"], said.append)

    assert list(missing) == ["nowhere"]
    assert missing["nowhere"].startswith("cannot be installed here: ")
    assert [line.partition(":")[0] for line in said] == ["perennial", "nowhere"]


def test_the_last_error_of_pip_is_the_reason() -> None:
    log = ["ERROR: ignored versions: 1, 2", "ERROR: No matching distribution found for a==3", "", "a notice"]

    first, *rest = environments.reason_of(log).splitlines()

    assert first == "cannot be installed here: No matching distribution found for a==3"
    assert rest == log
    assert environments.reason_of(["killed"]).splitlines() == ["cannot be installed here: pip failed", "killed"]


def test_a_long_reason_is_shortened_in_a_table_and_cannot_break_it() -> None:
    [(side, shown, *rest)] = skipped({"quix": "a | b " + "word " * 200}, columns=4)

    assert side == "quix"
    assert shown.startswith("skipped: a / b word")
    assert len(shown) <= len("skipped: ") + MAX_REASON
    assert rest == ["", ""]


def test_the_tables_name_the_reason_why_a_system_has_no_figure() -> None:
    reason = "cannot be installed here: No matching distribution found for pathway==0.33.0\nfurther lines"
    rate = plain(Spread.of([100.0]))
    in_engine = {
        "broker": "a broker",
        "peer_versions": {"quix": "3.28.1", "pathway": "0.33.0"},
        "events_per_second": {"perennial": rate, "quix": rate},
        "cpu_us": {"perennial": rate, "quix": rate},
        "perennial_is_times": {"quix": plain(Spread.of([1.0]))},
        "absent": {"pathway": reason},
    }
    side = {"version": "3.28.1", "events_per_second": rate, "cpu_us": rate}
    ratios = {"perennial_is_times_faster": None, "perennial_is_times_cheaper": None}
    in_pipeline = {"broker": "a broker", "peers": {"quix": {**side, **ratios}}, "absent": {"pathway": reason}}

    shown = [*engine.tables(in_engine), *pipeline.tables(in_pipeline)]

    expected = "skipped: cannot be installed here: No matching distribution found for pathway==0.33.0"
    assert [tuple(grid.rows[-1][:2]) for grid in shown] == [("pathway", expected)] * 2
    assert [grid.rows[-2][0] for grid in shown] == ["quix 3.28.1"] * 2
    assert all(len(row) == len(grid.headings) for grid in shown for row in grid.rows)
