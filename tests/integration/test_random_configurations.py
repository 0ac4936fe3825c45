"""With any settings and templates, a command ends with a result or with an error of ours."""

from __future__ import annotations

import secrets
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proofs import configurations, writing


def test_random_installations_neither_hang_nor_crash() -> None:
    seed = secrets.randbelow(1 << 32)

    result = configurations.Proof(seed, range(300), jobs=1).run()

    assert result.trouble == [], f"python -m tests.proofs.configurations --seed {seed} --case N"
    assert result.outcomes.total() == 300
    assert set(result.outcomes) == {"accepted", "refused"}


def test_seed_and_number_determine_a_case() -> None:
    assert configurations.generated(7, 3) == configurations.generated(7, 3)
    assert configurations.generated(7, 3) != configurations.generated(7, 4)


def test_a_case_that_hangs_is_found_and_the_others_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configurations, "MAX_CPU_S", 1.0)

    result = configurations.Proof(1, range(3), jobs=1, stuck=1).run()

    assert result.trouble == [(1, "it was ended")]
    assert (result.outcomes["hung"], result.outcomes.total()) == (1, 3)


@given(random=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_settings_that_hypothesis_writes_are_accepted_or_refused(random: Random, tmp_path: Path) -> None:
    assert configurations.play(writing.case(random), tmp_path) in ("accepted", "refused")
