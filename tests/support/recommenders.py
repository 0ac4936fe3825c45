"""The project's recommenders, listed for the checks; a new one is added here and is tested from then on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.recommend.checks import RecommenderCase
from models.recommend.factors import fit_factors, fit_items
from models.recommend.model import Hyperparameters, model_of, pack_model, unpack_model
from models.recommend.recommender import Recommender

HYPER = Hyperparameters(dimensions=8, regularization=0.02, trend=0.0)
NARROW = Hyperparameters(dimensions=64, regularization=0.02, trend=0.0)


def _recommender(likes: csr_array, factors: NDArray[np.float32], hyper: Hyperparameters = HYPER) -> Recommender:
    names = [str(item) for item in range(likes.shape[1])]
    return Recommender(model_of(names, factors, likes.sum(axis=0), hyper))


def _trained_on(device: str, hyper: Hyperparameters = HYPER) -> RecommenderCase:
    def train(likes: csr_array) -> Recommender:
        return _recommender(likes, fit_factors(likes, hyper, device=torch.device(device)).items, hyper)

    return RecommenderCase(f"iALS on {device}, {hyper.dimensions} dimensions", train)


def _continued(likes: csr_array) -> Recommender:
    start = fit_items(likes, HYPER)
    start[::7] = 0.0
    return _recommender(likes, fit_items(likes, HYPER, start=start))


def _published(likes: csr_array) -> Recommender:
    trained = _recommender(likes, fit_items(likes, HYPER)).model
    return Recommender(unpack_model(pack_model(trained)), version=3)


RECOMMENDERS: dict[str, RecommenderCase] = {
    "cpu": _trained_on("cpu"),
    "cpu-narrow": _trained_on("cpu", NARROW),
    "cuda": _trained_on("cuda"),
    "continued": RecommenderCase("iALS that continued from known factors", _continued),
    "published": RecommenderCase("iALS that was packed and read back", _published),
}
"""Cases of all recommenders, by name; ``cuda`` needs a CUDA device."""
