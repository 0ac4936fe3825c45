from __future__ import annotations

import random
from collections import Counter

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
        learner.learn_one(example)
    return learner


@pytest.mark.parametrize("seed", range(6))
def test_users_who_behave_alike_share_a_segment_with_a_name_that_describes_them(seed: int) -> None:
    scorer = _learned(2_000, seed).scorer()
    people = {
        "frequent big spenders": [1.1, 4.3, 3.4, 2.2, 6.0, 4.1, 1.0],
        "window shoppers": [1.4, 4.3, 3.0, 0.1, 0.7, 4.4, 1.0],
        "lapsing regulars": [3.8, 4.3, 3.2, 1.8, 2.4, 1.1, 1.0],
        "dormant": [4.1, 4.3, 1.1, 0.1, 0.7, 0.4, 1.0],
    }
    assert {name: scorer.segment(row) for name, row in people.items()} == {name: name for name in people}


@pytest.mark.parametrize("seed", range(4))
def test_no_segment_is_empty_and_no_segment_contains_most_users(seed: int) -> None:
    scorer = _learned(2_000, seed, clusters=5).scorer()
    sizes = Counter(scorer.segment(e.row) for e in segment_examples(1_000, seed + 100))
    assert len(sizes) == 5
    assert max(sizes.values()) < 500


def test_scorer_and_river_agree_on_the_cluster_and_on_distances() -> None:
    learner = _learned(1_200, seed=1)
    scorer = learner.scorer()
    for example in segment_examples(500, seed=2):
        assert scorer.predict_one(example.row) == learner.predict_one(example.row)
        assert scorer.distances(example.row) == pytest.approx(learner.distances(example.row), abs=1e-9)


def test_names_stay_from_version_to_version_while_users_behave_as_before() -> None:
    learner, held = SegmentLearner(FEATURES, clusters=4), []
    for example in segment_examples(4_000, seed=3):
        completed = learner.learn_one(example)
        if completed is not None:
            held.append(SegmentScorer.decode(completed.content).names)
    assert len(held) == 20
    assert len(set(held[1:])) == 1


def test_a_name_changes_when_its_users_clearly_behave_differently() -> None:
    learner = SegmentLearner(FEATURES, clusters=4)
    for example in segment_examples(1_000, seed=4):
        learner.learn_one(example)
    spenders = learner.scorer().names.index("frequent big spenders")
    # All users of that segment turn, little by little, into new users who have bought nothing.
    then, now = [1.1, 4.3, 3.4, 2.2, 6.0, 4.1, 1.0], [0.3, 4.3, 0.7, 0.1, 0.7, 2.5, 1.0]
    examples = segment_examples(8_000, seed=5)
    for number, example in enumerate(examples):
        share = min(1.0, number / 6_000)
        turned = [a + (b - a) * share for a, b in zip(then, now, strict=True)]
        bought = example.row[4] > 4.0
        learner.learn_one(msgspec.structs.replace(example, row=turned) if bought else example)
    assert learner.predict_one(now) == spenders
    assert learner.scorer().segment(now) == "new visitors"


def test_the_first_version_waits_for_enough_examples_to_place_the_centres() -> None:
    learner = SegmentLearner(FEATURES)
    versions = [learner.learn_one(e) for e in segment_examples(200, seed=6)]
    assert versions[:199] == [None] * 199
    assert versions[199] is not None
    assert versions[199].version == 1


def test_identical_users_cause_no_error() -> None:
    learner = SegmentLearner(FEATURES)
    for i in range(450):
        learner.learn_one(SegmentExample(user=f"u{i}", at=i, schema=SCHEMA, row=[1.0] * len(FEATURES)))
    assert learner.newest is not None
    assert learner.newest.version == 2
    names = learner.scorer().names
    assert len(set(names)) == len(names) == 5


def test_a_centre_without_users_is_placed_again() -> None:
    learner = SegmentLearner(FEATURES, clusters=4)
    for number, example in enumerate(segment_examples(200, seed=7)):
        far = [value + 30.0 for value in example.row]
        learner.learn_one(msgspec.structs.replace(example, row=far) if number % 4 == 0 else example)
    far_away = learner.predict_one(far)
    assert max(map(abs, learner.scorer().model.centres[far_away])) > 1.5
    for example in segment_examples(2_000, seed=8):
        learner.learn_one(example)
    assert max(map(abs, learner.scorer().model.centres[far_away])) < 1.5
    sizes = Counter(learner.predict_one(e.row) for e in segment_examples(500, seed=9))
    assert len(sizes) == 4


def test_features_that_clusters_cannot_use_are_refused() -> None:
    with pytest.raises(ValueError, match="days_since_last"):
        SegmentLearner(("shoe_size", "eye_colour"))


def test_seeds_place_centres_differently_and_reproducibly() -> None:
    examples = segment_examples(200, seed=10)

    def first(seed: int) -> bytes:
        learner = SegmentLearner(FEATURES, seed=seed)
        for example in examples:
            learner.learn_one(example)
        return learner.state()

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_damaged_bytes_raise_an_error_of_the_project() -> None:
    with pytest.raises(PerennialError):
        SegmentLearner(FEATURES).restore(random.Random(0).randbytes(300))
