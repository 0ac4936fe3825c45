"""New items get a bounded share of the places, and a reason that is true."""

from __future__ import annotations

from collections import Counter

import pytest

from models.recommend.new_items import NEW, POOL, seed_of, with_new
from models.recommend.recommender import Recommendation
from models.units import DAY

KNOWN = [Recommendation(f"known{i}", 1.0 - i / 100, "popular") for i in range(100)]
UNKNOWN = [f"new{i}" for i in range(200)]


def _new(k: int, seed: str, found: int | None = None) -> list[str]:
    shown = with_new(KNOWN[: k if found is None else found], UNKNOWN, (), k, seed)
    assert len(shown) == k
    return [each.item for each in shown if each.why == NEW]


@pytest.mark.parametrize("k", [10, 20, 100])
def test_one_place_in_ten_is_for_new_items(k: int) -> None:
    assert {len(_new(k, f"user{i}")) for i in range(50)} == {k // 10}


@pytest.mark.parametrize("k", [1, 3, 5, 17])
def test_short_answers_have_one_place_in_ten_on_average(k: int) -> None:
    shown = sum(len(_new(k, f"user{i}")) for i in range(2_000))

    assert shown / 2_000 == pytest.approx(k / 10, rel=0.15)


def test_places_that_the_model_cannot_fill_are_for_new_items() -> None:
    assert len(_new(10, "u", found=4)) == 6
    assert _new(10, "u", found=0) != []
    assert len(_new(100, "u", found=0)) == 100


def test_the_answer_is_not_changed_if_there_are_no_new_items() -> None:
    assert with_new(KNOWN[:10], (), (), 10, "u") == KNOWN[:10]
    assert with_new(KNOWN[:10], ["new0"], {"new0"}, 10, "u") == KNOWN[:10]


def test_new_items_come_after_known_ones_the_newest_first() -> None:
    shown = with_new(KNOWN[:20], UNKNOWN, (), 20, "u")
    new = [each for each in shown if each.why == NEW]

    assert shown[-2:] == new
    assert [each.item for each in shown[:-2]] == [each.item for each in KNOWN[:18]]
    assert [UNKNOWN.index(each.item) for each in new] == sorted(UNKNOWN.index(each.item) for each in new)
    assert {each.score for each in new} == {shown[17].score}


def test_hidden_items_are_not_shown_as_new() -> None:
    hidden = set(UNKNOWN[:199])

    assert [each.item for each in with_new([], UNKNOWN, hidden, 5, "u")] == ["new199"]


def test_the_choice_changes_with_user_version_and_day_and_not_within_a_day() -> None:
    noon = 20_000 * DAY + DAY // 2
    seeds = [seed_of("u", 1, noon), seed_of("v", 1, noon), seed_of("u", 2, noon), seed_of("u", 1, noon + DAY)]

    assert seed_of("u", 1, noon + 1) == seeds[0]
    assert len(set(seeds)) == 4
    assert len({tuple(_new(50, seed)) for seed in seeds}) == 4


def test_the_newest_items_get_equal_shares() -> None:
    shown = Counter(item for i in range(3_000) for item in _new(10, f"user{i}"))

    assert set(shown) == set(UNKNOWN[:POOL])
    assert max(shown.values()) < 3 * min(shown.values())
