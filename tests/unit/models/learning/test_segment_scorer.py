from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from models.learning.segment_scorer import SegmentCentres, SegmentScorer

CENTRES = SegmentCentres(
    features=("a", "b", "c"),
    axes=(2, 0),
    mean=(1.0, 2.0),
    std=(0.5, 2.0),
    centres=((0.0, 0.0), (1.0, 1.0), (-2.0, 0.5)),
    names=("x", "y", "z"),
)


def test_a_row_belongs_to_the_nearest_centre_in_scaled_space() -> None:
    scorer = SegmentScorer(CENTRES)
    # c = 1.5 and a = 4 are each one standard deviation above the mean.
    assert [far**2 for far in scorer.distances([4.0, 99.0, 1.5])] == pytest.approx([2.0, 0.0, 9.25])
    assert scorer.segment([4.0, 99.0, 1.5]) == "y"
    assert scorer.segment([2.0, -99.0, 1.0]) == "x"


def test_the_first_of_two_equally_near_centres_is_chosen() -> None:
    tied = msgspec.structs.replace(CENTRES, centres=((1.0, 0.0), (-1.0, 0.0), (5.0, 5.0)))
    assert SegmentScorer(tied).segment([2.0, 0.0, 1.0]) == "x"


def test_a_centre_is_always_in_the_segment_of_that_centre() -> None:
    scorer, chance = SegmentScorer(CENTRES), random.Random(0)
    for number, centre in enumerate(CENTRES.centres):
        row = [2.0 + centre[1] * 2.0, chance.random(), 1.0 + centre[0] * 0.5]
        assert scorer.predict_one(row) == number


@pytest.mark.parametrize(
    "damage",
    [
        {"axes": [2, 3]},
        {"names": ["x"]},
        {"centres": [[0.0], [1.0], [2.0]]},
        {"centres": [], "names": []},
        {"std": [1.0]},
    ],
)
def test_numbers_that_do_not_fit_each_other_are_not_read(damage: dict[str, object]) -> None:
    content = msgspec.json.decode(SegmentScorer(CENTRES).encode())
    with pytest.raises(msgspec.ValidationError):
        SegmentScorer.decode(msgspec.json.encode(content | damage))


def test_many_rows_by_column_have_the_segments_of_single_rows() -> None:
    chance = random.Random(4)
    axes = tuple(range(5))
    centres = tuple(tuple(chance.uniform(-1, 1) for _ in axes) for _ in range(6))
    names = tuple("abcdef")
    many = SegmentCentres(
        features=tuple("vwxyz"), axes=axes, mean=(0.5,) * 5, std=(2.0, 1.0, 0.0, 1.5, 1.0), centres=centres, names=names
    )
    rows = [[chance.uniform(-2, 2) for _ in axes] for _ in range(300)]

    assert SegmentScorer(many).predict(np.array(rows).T) == [SegmentScorer(many).predict_one(row) for row in rows]
