from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.learned_names import LEARNED_NAMES, may_be_learned
from models.learning.naming import ARCHETYPES, AXES, name_centres

CENTRE = st.lists(st.floats(-4, 4), min_size=len(AXES), max_size=len(AXES))


@given(st.lists(CENTRE, min_size=1, max_size=12))
def test_names_are_unique_within_a_version(centres: list[list[float]]) -> None:
    names = name_centres(AXES, centres)
    assert len(set(names)) == len(centres)


def test_a_centre_that_looks_like_an_archetype_gets_its_name() -> None:
    assert name_centres(AXES, list(ARCHETYPES.values())) == tuple(ARCHETYPES)


def test_every_name_that_a_centre_gets_is_known_as_a_name_of_learned_segments() -> None:
    assert tuple(ARCHETYPES) == LEARNED_NAMES
    assert all(map(may_be_learned, name_centres(AXES, [[0.0] * len(AXES)] * 100)))
    assert not any(map(may_be_learned, ("dormant 1", "dormant2", "Dormant", "very dormant", "dormant 02", "")))


def test_names_do_not_depend_on_the_order_of_the_centres() -> None:
    chance = random.Random(0)
    centres = [[chance.gauss(0, 1) for _ in AXES] for _ in range(5)]
    named = dict(zip(map(tuple, centres), name_centres(AXES, centres), strict=True))
    shuffled = centres[::-1]
    assert [named[tuple(c)] for c in shuffled] == list(name_centres(AXES, shuffled))


def test_a_centre_between_two_names_keeps_its_name() -> None:
    one, other = "loyal regulars", "frequent big spenders"
    for share in (0.4, 0.5, 0.6):
        between = [a * (1 - share) + b * share for a, b in zip(ARCHETYPES[one], ARCHETYPES[other], strict=True)]
        assert name_centres(AXES, [between], held=[one]) == (one,)
        assert name_centres(AXES, [between], held=[other]) == (other,)


def test_a_centre_whose_users_have_clearly_changed_gets_another_name() -> None:
    assert name_centres(AXES, [ARCHETYPES["dormant"]], held=["loyal regulars"]) == ("dormant",)


def test_a_name_that_no_longer_exists_is_replaced() -> None:
    assert name_centres(AXES, [ARCHETYPES["dormant"]], held=["night owls"]) == ("dormant",)


def test_more_clusters_than_names_are_numbered() -> None:
    centres = [ARCHETYPES["dormant"]] * (len(ARCHETYPES) + 1)
    names = name_centres(AXES, centres)
    assert len(set(names)) == len(centres)
    assert {"dormant", "dormant 2"} <= set(names)


def test_an_unknown_axis_is_an_error() -> None:
    with pytest.raises(ValueError, match="not in"):
        name_centres(("shoe_size",), [[0.0]])
