from dataclasses import replace
from typing import Any

import msgspec
import pytest

from models.errors import StateMismatch
from models.fold.versions import POPULATION, Versions
from models.learning import population
from models.learning.population import Cuts, Population, PopulationGaps
from models.units import DAY

FIFTHS = Population(
    users=900,
    recency=(7.0, 30.0, 60.0, 180.0),
    frequency=(1.0, 1.0, 2.0, 5.0),
    monetary={"SEK": (200.0, 500.0, 900.0, 4000.0), "EUR": (20.0, 50.0, 120.0, 400.0)},
    gaps=PopulationGaps(median=21.0, p75=48.0, p90=110.5, count=2400),
)


def damaged(**changes: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(population.encode(FIFTHS)) | changes)


def test_content_is_read_back_exactly() -> None:
    assert population.decode(population.encode(FIFTHS)) == FIFTHS


def test_the_order_of_currencies_does_not_change_the_bytes() -> None:
    turned = msgspec.structs.replace(FIFTHS, monetary=dict(reversed(FIFTHS.monetary.items())))
    assert population.encode(turned) == population.encode(FIFTHS)


@pytest.mark.parametrize(
    "changes",
    [
        {"recency": [7.0, 30.0, 29.0, 180.0]},
        {"frequency": [-1.0, 1.0, 2.0, 3.0]},
        {"monetary": {"EUR": [2.0, 1.0, 3.0, 4.0]}},
        {"monetary": {"EUR": [1.0, 2.0, 3.0]}},
        {"recency": [1.0, 2.0, 3.0, None]},
        {"gaps": {"median": 3.0, "p75": 2.0, "p90": 4.0, "count": 9}},
        {"users": 0},
    ],
)
def test_content_that_makes_no_fifths_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.DecodeError):
        population.decode(damaged(**changes))


def test_content_of_another_schema_is_refused() -> None:
    with pytest.raises(StateMismatch):
        population.decode(damaged(schema=99))


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        ((1.0, 2.0, 3.0, 4.0), {0.5: 1, 1.0: 1, 1.1: 2, 2.0: 2, 3.5: 4, 4.0: 4, 4.1: 5}),
        ((1.0, 1.0, 1.0, 2.0), {1.0: 1, 2.0: 4, 3.0: 5}),
        ((1.0, 1.0, 1.0, 1.0), {1.0: 1, 2.0: 5}),
    ],
)
def test_the_score_counts_the_cut_points_below_the_value(cuts: Cuts, expected: dict[float, int]) -> None:
    assert {value: population.score_of(value, cuts) for value in expected} == expected


def test_a_partition_uses_a_newer_version_and_ignores_an_older_one() -> None:
    versions = Versions()
    assert versions.use(POPULATION, 2, population.encode(FIFTHS))
    assert not versions.use(POPULATION, 1, damaged(users=5))
    assert (versions.population, versions.population_number, versions.number(POPULATION)) == (FIFTHS, 2, 2)


def test_a_partition_begins_without_a_version() -> None:
    assert (Versions().population, Versions().population_number) == (None, 0)


def test_a_version_that_cannot_be_read_changes_nothing() -> None:
    versions = Versions()
    versions.use(POPULATION, 1, population.encode(FIFTHS))
    before = replace(versions, numbers=dict(versions.numbers))
    with pytest.raises(msgspec.DecodeError):
        versions.use(POPULATION, 2, damaged(users=0))
    assert versions == before


def test_cut_points_in_days_are_whole_milliseconds() -> None:
    assert population.milliseconds((0.1, 7.0, 7.0, 30.5)) == (8_640_000, 7 * DAY, 7 * DAY, 30 * DAY + DAY // 2)
