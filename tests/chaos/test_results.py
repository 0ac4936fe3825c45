"""Tests of the page of results, which is made from the stored lines alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.chaos.plan import plan
from tests.chaos.playing import Played
from tests.chaos.results import append, line_of, page, read
from tests.chaos.verdict import Verdict


def _played(*findings: str) -> Played:
    verdict = Verdict(list(findings), messages=12, sent=11, unknown=1, repeated=3, examples=900, versions=6)
    deeds = Counter({"kill": 2, "stop@commit.sent": 1})
    return Played(
        verdict, events=3_000, deeds=deeds, exits=Counter({75: 1, 76: 1}), unmet=["fold-0: stop@restore.in:1"],
        learners_ended=2,
    )  # fmt: skip


def test_the_newest_line_of_a_round_counts(tmp_path: Path) -> None:
    file = tmp_path / "rounds.jsonl"
    append(file, line_of(plan(3), _played("a partition stands still"), sabotage="", at="then"))
    append(file, line_of(plan(3), _played(), sabotage="", at="now"))

    (line,) = read(file)
    assert (line.at, line.findings) == ("now", [])


def test_the_page_sums_up_the_rounds_and_names_their_seeds() -> None:
    lines = [line_of(plan(seed), _played(), sabotage="", at="now") for seed in (1, 2)]

    text = page(lines, "Apache Kafka 4.3.1")

    assert "| rounds | 2 |" in text
    assert "| events | 6,000 |" in text
    assert "| `kill -9` of processes | 4 |" in text
    assert "| stalls beyond the session | 2 |" in text
    assert "| processes that ended by their own limit of 9 s after it | 2 |" in text
    assert "| planned, but did not happen | 2 |" in text
    assert "Planned, but did not happen: seed 1, fold-0: stop@restore.in:1; seed 2, fold-0" in text
    assert "| learners that ended or were stalled | 4 |" in text
    assert "| examples learned; versions published | 1,800; 12 |" in text
    assert "| 2 | commit |" in text
    assert "embedded" not in text


def test_rounds_on_the_embedded_broker_have_a_separate_section() -> None:
    plans = [plan(1), plan(1, broker="embedded"), plan(2, broker="embedded")]
    lines = [line_of(one, _played(), sabotage="", at="now") for one in plans]

    kafka, embedded = page(lines, "Apache Kafka 4.3.1").split("## On the embedded broker")

    assert "| rounds | 1 |" in kafka
    assert "| rounds | 2 |" in embedded
    assert "| records written again with the same bytes | 6 |" in embedded


def test_a_round_with_a_broken_promise_counts_only_as_a_proof_of_the_suite() -> None:
    broken = line_of(plan(3), _played("users whose events are not counted once each: 7"), sabotage="fencing", at="now")

    text = page([broken], "Apache Kafka 4.3.1")

    assert "| rounds | 0 |" in text
    assert "| fencing | 1 | 3 | users whose events are not counted once each: 7 |" in text
