from __future__ import annotations

import random
from collections import Counter
from math import sqrt

import msgspec
import pytest

from models.errors import PerennialError
from models.learning.examples import SegmentExample
from models.learning.segment_scorer import SegmentScorer
from models.learning.segments import SegmentLearner
from tests.support.populations import FEATURES, SCHEMA, segment_examples


def _learned(count: int, seed: int, clusters: int = 4) -> SegmentLearner:
    learner = SegmentLearner(FEATURES, clusters=clusters)
    for example in segment_examples(count, seed):
        learner.learn(example)
    return learner


@pytest.mark.parametrize("seed", range(6))
def test_users_who_look_alike_share_a_segment_with_a_name_that_says_what_they_do(seed: int) -> None:
    scorer = _learned(2_000, seed).scorer()
    people = {
        "frequent big spenders": [1.1, 4.3, 3.4, 2.2, 6.0, 4.1, 1.0],
        "window shoppers": [1.4, 4.3, 3.0, 0.1, 0.7, 4.4, 1.0],
        "lapsing regulars": [3.8, 4.3, 3.2, 1.8, 2.4, 1.1, 1.0],
        "dormant": [4.1, 4.3, 1.1, 0.1, 0.7, 0.4, 1.0],
    }
    assert {name: scorer.segment(row) for name, row in people.items()} == {name: name for name in people}


@pytest.mark.parametrize("seed", range(4))
def test_no_segment_is_empty_and_none_swallows_the_rest(seed: int) -> None:
    scorer = _learned(2_000, seed, clusters=5).scorer()
    sizes = Counter(scorer.segment(e.row) for e in segment_examples(1_000, seed + 100))
    assert len(sizes) == 5
    assert max(sizes.values()) < 500


def test_scorer_and_river_agree_on_the_cluster_and_on_distances() -> None:
    learner = _learned(1_200, seed=1)
    scorer, inputs = learner.scorer(), range(5)
    for example in segment_examples(500, seed=2):
        assert scorer.cluster(example.row) == learner.predict(example.row)
        scaled = learner._scaled([example.row[axis] for axis in learner._axes])
        by_river = [sqrt(sum((c[i] - scaled[i]) ** 2 for i in inputs)) for c in learner._model.centers.values()]
        assert scorer.distances(example.row) == pytest.approx(by_river, abs=1e-9)


def test_names_hold_from_version_to_version_while_users_stay_as_they_are() -> None:
    learner, held = SegmentLearner(FEATURES, clusters=4), []
    for example in segment_examples(4_000, seed=3):
        completed = learner.learn(example)
        if completed is not None:
            held.append(SegmentScorer.decode(completed.content).names)
    assert len(held) == 20
    assert len(set(held[1:])) == 1


def test_a_name_changes_when_what_its_users_do_has_clearly_changed() -> None:
    learner = SegmentLearner(FEATURES, clusters=4)
    for example in segment_examples(1_000, seed=4):
        learner.learn(example)
    spenders = learner.scorer().names.index("frequent big spenders")
    # everybody of that segment turns, little by little, into somebody who has just come and bought nothing
    then, now = [1.1, 4.3, 3.4, 2.2, 6.0, 4.1, 1.0], [0.3, 4.3, 0.7, 0.1, 0.7, 2.5, 1.0]
    examples = segment_examples(8_000, seed=5)
    for number, example in enumerate(examples):
        share = min(1.0, number / 6_000)
        turned = [a + (b - a) * share for a, b in zip(then, now, strict=True)]
        bought = example.row[4] > 4.0
        learner.learn(msgspec.structs.replace(example, row=turned) if bought else example)
    assert learner.predict(now) == spenders
    assert learner.scorer().segment(now) == "new visitors"


def test_the_first_version_waits_for_enough_examples_to_place_the_centres() -> None:
    learner = SegmentLearner(FEATURES)
    versions = [learner.learn(e) for e in segment_examples(200, seed=6)]
    assert versions[:199] == [None] * 199
    assert versions[199] is not None
    assert versions[199].version == 1


def test_users_who_are_all_the_same_break_nothing() -> None:
    learner = SegmentLearner(FEATURES)
    for i in range(450):
        learner.learn(SegmentExample(user=f"u{i}", at=i, schema=SCHEMA, row=[1.0] * len(FEATURES)))
    assert learner.newest is not None
    assert learner.newest.version == 2
    names = learner.scorer().names
    assert len(set(names)) == len(names) == 5


def test_a_centre_that_nobody_needs_is_placed_anew() -> None:
    learner = _learned(400, seed=7, clusters=4)
    lost = learner._model.centers[2]
    lost.update(dict.fromkeys(range(5), 50.0))
    for example in segment_examples(2_000, seed=8):
        learner.learn(example)
    assert max(abs(value) for value in lost.values()) < 5
    sizes = Counter(learner.predict(e.row) for e in segment_examples(500, seed=9))
    assert len(sizes) == 4


def test_features_that_clusters_cannot_look_at_are_refused() -> None:
    with pytest.raises(ValueError, match="days_since_last"):
        SegmentLearner(("shoe_size", "eye_colour"))


def test_seeds_place_centres_differently_and_reproducibly() -> None:
    examples = segment_examples(200, seed=10)

    def first(seed: int) -> bytes:
        learner = SegmentLearner(FEATURES, seed=seed)
        for example in examples:
            learner.learn(example)
        return learner.state()

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_damage_is_an_error_of_ours() -> None:
    with pytest.raises(PerennialError):
        SegmentLearner(FEATURES).restore(random.Random(0).randbytes(300))
