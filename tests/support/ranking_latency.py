"""Program that measures the CPU time of recommendations from 40,000 items, and prints the milliseconds as JSON."""

from __future__ import annotations

import json
import time

import numpy as np

from models.profile.recent_items import RecentItem
from models.recommend.model import Hyperparameters, model_of
from models.recommend.recommender import Recommender

ITEMS, TOUCHES, CALLS = 40_000, 30, 500


def main() -> None:
    rng = np.random.default_rng(1)
    names = [f"i{number}" for number in range(ITEMS)]
    hyper = Hyperparameters()
    factors = rng.normal(size=(ITEMS, hyper.dimensions)).astype(np.float32)
    recommender = Recommender(model_of(names, factors, rng.random(ITEMS).astype(np.float32), hyper))
    taken = []
    for _ in range(CALLS):
        recent = [RecentItem(names[item], 1.0, 0) for item in rng.integers(0, ITEMS, TOUCHES)]
        began = time.thread_time()
        recommender.recommend(recent, now=0, k=10)
        taken.append(1000 * (time.thread_time() - began))
    print(json.dumps({"p50_ms": float(np.median(taken)), "p99_ms": float(np.percentile(taken, 99))}))


if __name__ == "__main__":
    main()
