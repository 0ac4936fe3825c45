from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry

from monitoring.declarations import DECLARED
from monitoring.metrics import METRICS, declare
from monitoring.testing import value
from tests.support.paths import ROOT


def test_names_are_snake_case_unique_and_carry_a_meaning() -> None:
    names = [declared.name for declared in DECLARED]

    assert len(set(names)) == len(names)
    for declared in DECLARED:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", declared.name)
        assert declared.meaning.endswith(".")
        assert declared.meaning[0].isupper() or declared.meaning[0].isdigit()


def test_a_metric_of_time_has_seconds_in_its_name_and_in_its_meaning() -> None:
    for declared in DECLARED:
        if declared.name.endswith("_timestamp_seconds"):
            assert "Unix time" in declared.meaning
        elif declared.name.endswith("_seconds"):
            assert "seconds" in declared.meaning
        for other in ("millisecond", "_ms", "minutes"):
            assert other not in declared.name


def test_no_label_can_take_as_many_values_as_there_are_users_or_messages() -> None:
    for declared in DECLARED:
        assert not {"user", "item", "message", "id", "email"} & set(declared.labels)


def test_every_declaration_is_a_metric_of_its_kind() -> None:
    registry = CollectorRegistry()

    made = declare(registry)

    assert made.keys() == METRICS.keys() == {declared.name for declared in DECLARED}
    for declared in DECLARED:
        assert type(made[declared.name]).__name__.lower() == declared.kind


def test_rare_and_alarming_counters_exist_at_zero_before_their_first_event() -> None:
    registry = CollectorRegistry()
    declare(registry)

    assert value("deliveries", registry, channel="email", status="unknown") == 0
    assert value("retrains", registry, outcome="failed") == 0


SOURCES = "\n".join(
    path.read_text()
    for package in ("models", "agents", "stream", "monitoring")
    for path in (ROOT / package).rglob("*.py")
    if path != ROOT / "monitoring/declarations.py"
)
# stream/worker/metrics.py makes these names from the figures in a learner's version.
QUALITY = {"learner_auc", "learner_log_loss"}


@pytest.mark.parametrize("name", sorted(METRICS.keys() - QUALITY))
def test_every_metric_is_written_somewhere(name: str) -> None:
    assert f'"{name}"' in SOURCES
