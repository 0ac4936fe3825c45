"""Tests of the fit of the load: laws are found again, missing data is named, and the page shows the committed fit."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.benchmarks import fit_load, load_data, load_document
from tests.benchmarks.load_data import FILES, MissingData, Purchases
from tests.benchmarks.load_laws import FIT, LengthLaw, Numbers, PauseLaw, ReturnLaw, fitted

COMMITTED = json.loads(FIT.read_text())


def test_the_law_of_lengths_is_found_again_also_without_the_shortest_visits() -> None:
    law, random = LengthLaw(1.2, 0.9), Random(1)
    lengths = np.array([float(law.draw(random)) for _ in range(20_000)])

    for least in (1, 2):
        found = fit_load.fit_length(lengths[lengths >= least], least)
        assert (found.mu, found.sigma) == pytest.approx((law.mu, law.sigma), abs=0.03)


def test_the_mean_length_is_that_of_drawn_visits() -> None:
    law, random = LengthLaw(1.2, 0.9), Random(1)

    assert law.mean() == pytest.approx(np.mean([law.draw(random) for _ in range(40_000)]), rel=0.02)
    assert law.share_of_at_least(1) == 1.0


def test_the_law_of_pauses_is_found_again_from_whole_seconds() -> None:
    law, random = PauseLaw(0.3, 3.0, 1.5), Random(1)
    pauses = np.array([float(round(law.draw(random) / 1e3)) for _ in range(20_000)])

    found = fit_load.fit_pause(pauses)

    assert (found.at_once, found.mu, found.sigma) == pytest.approx((0.3, 3.0, 1.5), abs=0.03)


def test_the_law_of_returns_is_found_again_from_customers_who_begin_at_different_times() -> None:
    law, random = ReturnLaw(0.5, 60.0), np.random.default_rng(1)
    observed: Numbers = random.uniform(200.0, 400.0, size=20_000).astype(np.float64)
    rates = random.gamma(law.shape, size=20_000) / law.scale_days
    counts: Numbers = 1.0 + random.poisson(rates * observed).astype(np.float64)

    found = fit_load.fit_returns([Purchases(np.array([1.0]), counts, observed, 400.0)] * 2)

    assert (found.shape, found.scale_days) == pytest.approx((0.5, 60.0), rel=0.06)


def test_the_days_between_actions_are_those_of_simulated_users() -> None:
    law, random, window = ReturnLaw(0.5, 20.0), np.random.default_rng(1), 100.0
    days = []
    for rate in random.gamma(law.shape, size=20_000) / law.scale_days:
        times = np.sort(random.uniform(0, window, size=random.poisson(rate * window)))
        days += np.diff(times).tolist()
    bounds = np.array([1.0, 5.0, 20.0, 50.0, 99.0])

    shares = np.searchsorted(np.sort(days), bounds) / len(days)

    assert law.cdf(bounds, window) == pytest.approx(shares, abs=0.02)
    assert law.cdf(np.array([window]), window) == pytest.approx(1.0)
    assert law.more_often(10.0).rate == pytest.approx(10 * law.rate)


def test_each_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cdnow").mkdir()
    (tmp_path / FILES["cdnow"]).touch()

    with pytest.raises(MissingData) as error:
        load_data.paths(tmp_path)
    with pytest.raises(SystemExit):
        fit_load.main(tmp_path)

    missing = [file for file in FILES.values() if file != FILES["cdnow"]]
    assert all(str(tmp_path / file) in str(error.value) for file in missing)
    assert FILES["cdnow"] not in str(error.value)
    assert str(tmp_path / missing[0]) in capsys.readouterr().err


def test_the_page_and_its_plot_show_the_committed_fit() -> None:
    for path, text in load_document.documents().items():
        assert path.read_text() == text, "python -m tests.benchmarks.fit_load --write"


def test_the_fitted_laws_are_near_the_data() -> None:
    distances = {one["what"]: one["ks"] for one in COMMITTED["fits"]}

    assert len(distances) == 7
    assert max(distances.values()) < 0.09
    assert sorted(distances.values())[3] < 0.035


def test_the_plot_has_a_line_for_data_and_law_of_each_quantity() -> None:
    assert load_document.plot(COMMITTED).count("<polyline") == 2 * len(COMMITTED["fits"])


@pytest.mark.skipif(
    not all((load_data.DATA / file).exists() for file in FILES.values()),
    reason="the data sets are not beside the repository: ../shared/data",
)
def test_the_committed_laws_are_those_of_the_data() -> None:
    found = fit_load.fit(load_data.DATA)

    assert found["files"] == COMMITTED["files"]
    assert found["buying"] == COMMITTED["buying"]
    for before, row in found["laws"]["following"].items():
        assert row == pytest.approx(COMMITTED["laws"]["following"][before])
    for part in ("lengths", "pauses"):
        for name, law in found["laws"][part].items():
            assert law == pytest.approx(COMMITTED["laws"][part][name], rel=1e-3)
    assert found["laws"]["purchases"] == pytest.approx(COMMITTED["laws"]["purchases"], rel=1e-3)
    assert fitted().mean_length() == pytest.approx(8.9, abs=0.2)
