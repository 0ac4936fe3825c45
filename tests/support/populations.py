"""Seeded populations with known structure, for tests of learners."""

from __future__ import annotations

import random
from math import exp, log1p

from models.learning.examples import ChurnExample, SegmentExample, fingerprint
from models.units import DAY

FEATURES = ("days_since_last", "days_since_first", "sessions", "orders", "spend_30d", "views_30d", "never_varies")
SCHEMA = fingerprint(FEATURES)


def _row(chance: random.Random, kind: int) -> list[float]:
    days, sessions, orders, spend, views = (
        (2.0, 30.0, 8.0, 400.0, 60.0),  # A user who buys often and much.
        (3.0, 20.0, 0.1, 1.0, 80.0),  # A user who only looks.
        (45.0, 25.0, 5.0, 10.0, 2.0),  # A former regular customer.
        (60.0, 2.0, 0.1, 1.0, 0.5),  # A user who has left.
    )[kind]

    def near(value: float) -> float:
        return log1p(value * exp(chance.gauss(0.0, 0.25)))

    return [near(days), near(70.0), near(sessions), near(orders), near(spend), near(views), 1.0]


def segment_examples(count: int, seed: int = 0) -> list[SegmentExample]:
    """Draw examples of four kinds of users, in equal shares and random order."""
    chance = random.Random(seed)
    return [
        SegmentExample(user=f"u{i}", at=i, schema=SCHEMA, row=_row(chance, chance.randrange(4))) for i in range(count)
    ]


def churn_examples(count: int, seed: int = 0) -> list[ChurnExample]:
    """Draw examples whose probability of churn is a logistic function of recency and number of orders.

    Every third example was taken before the first version.
    """
    chance = random.Random(seed)
    examples = []
    for i in range(count):
        row = _row(chance, chance.randrange(4))
        risk = 1.0 / (1.0 + exp(-(1.5 * (row[0] - 2.5) - 0.5 * row[3])))
        issued = None if i % 3 == 0 else min(1.0, max(0.0, risk + chance.gauss(0.0, 0.05)))
        examples.append(
            ChurnExample(
                user=f"u{i}",
                at=i,
                due=i + 14 * DAY,
                schema=SCHEMA,
                row=row,
                risk=issued,
                version=0 if issued is None else 1,
                churned=chance.random() < risk,
            )
        )
    return examples
