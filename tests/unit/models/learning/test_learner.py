"""The common part of the learners; the promises of every model are in ``tests/contracts/test_online_models.py``."""

from __future__ import annotations

import msgspec
import pytest

from models.errors import StateMismatch
from models.learning.checks import ModelCase
from models.learning.learner import VersionedLearner
from models.learning.sealed import seal
from tests.support.online_models import MODELS


class OtherState(msgspec.Struct):
    number: int = 1


@pytest.fixture(params=MODELS)
def case(request: pytest.FixtureRequest) -> ModelCase:
    return MODELS[request.param]


def test_versions_come_every_two_hundred_examples(case: ModelCase) -> None:
    learner = case.make(case.features)
    published = {}
    for number, example in enumerate(case.examples(1_000, 4), start=1):
        completed = learner.learn_one(example)
        if completed is not None:
            published[number] = completed.version
    assert published == {200: 1, 400: 2, 600: 3, 800: 4, 1_000: 5}


def test_a_state_of_another_schema_is_not_read(case: ModelCase) -> None:
    learner = case.make(case.features)
    assert isinstance(learner, VersionedLearner)
    with pytest.raises(StateMismatch):
        learner.restore(seal(OtherState(), learner.SCHEMA + 1))


def test_content_whose_numbers_do_not_fit_each_other_is_not_read(case: ModelCase) -> None:
    content = msgspec.json.decode(case.trained(200, 13).scorer().encode())
    with pytest.raises(msgspec.ValidationError):
        case.decode(msgspec.json.encode(content | {"mean": [1.0]}))


def test_a_learner_shows_its_parameters_and_its_newest_version(case: ModelCase) -> None:
    shown = repr(case.trained(200, 14))
    assert "every=200, first=200" in shown
    assert shown.endswith("examples=200, version=1)")
