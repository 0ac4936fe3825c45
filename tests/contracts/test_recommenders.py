"""The promises of recommenders, checked for each one in ``tests/support/recommenders.py``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from models.recommend.checks import CHECKS, RecommenderCase
from tests.support.recommenders import RECOMMENDERS

GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [pytest.param(name, marks=GPU if name == "cuda" else ()) for name in RECOMMENDERS])
def test_every_recommender_passes_every_check(name: str, check: Callable[[RecommenderCase], None]) -> None:
    check(RECOMMENDERS[name])
