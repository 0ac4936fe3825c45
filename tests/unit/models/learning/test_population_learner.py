"""The learner of the population: which buyers a version has, when versions come, and what is saved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest

from models.errors import StateDamaged
from models.events import MICROS
from models.learning import population
from models.learning.buyers import (
    PERIOD_DAYS,
    BuyerExample,
    GapExample,
    PopulationExample,
    slot_after,
    slot_before,
)
from models.learning.learner import OutdatedExample
from models.learning.population import Population
from models.learning.population_learner import MAX_CURRENCIES, MIN_GAPS, MIN_USERS, PopulationLearner
from models.learning.quantiles import RANK_ERROR, K, Quantiles
from models.units import DAY

MAX_STATE_BYTES = 900_000


def buyer(day: int, orders: int = 1, days_ago: float = 0.0, **spent: int) -> BuyerExample:
    at = day * DAY + DAY // 2
    money = {currency: amount * MICROS for currency, amount in (spent or {"EUR": 10}).items()}
    return BuyerExample(day=day, at=at, bought_at=max(at - int(days_ago * DAY), 0), orders=orders, spent=money)


def versions(learner: PopulationLearner, examples: Sequence[PopulationExample]) -> list[tuple[int, int, Population]]:
    """Return the versions as the number of examples before them, the version's number, and its content."""
    found = []
    for number, example in enumerate(examples, start=1):
        published = learner.learn_one(example)
        if published is not None:
            found.append((number, published.version, population.decode(published.content)))
    return found


def test_versions_come_when_the_buyers_have_doubled_and_when_a_day_has_ended() -> None:
    found = versions(PopulationLearner(), [buyer(20)] * 130 + [buyer(21)] * 10)

    assert [(number, version, content.users) for number, version, content in found] == [
        (MIN_USERS, 1, 50), (2 * MIN_USERS, 2, 100), (131, 3, 130),
    ]  # fmt: skip


def test_a_shop_with_few_buyers_has_no_version() -> None:
    assert versions(PopulationLearner(), [buyer(day) for day in range(20, 26) for _ in range(8)]) == []


def test_a_version_at_the_end_of_a_day_has_each_buyer_of_the_last_seven_slots_once() -> None:
    learner, days = PopulationLearner(), range(20, 41)
    weekly = [buyer(day, orders=1 + number) for day in days for number in range(10)]

    found = versions(learner, weekly)

    at_ends = [content for number, _, content in found if number % 10 == 1]
    assert [content.users for content in at_ends][-14:] == [10 * PERIOD_DAYS] * 14
    assert at_ends[-1].frequency == (2.0, 4.0, 6.0, 8.0)


def test_cut_points_are_those_of_the_fifths() -> None:
    examples: list[PopulationExample] = [buyer(200, number, float(number), EUR=2 * number) for number in range(1, 101)]

    *_, (_, _, content) = versions(PopulationLearner(), examples)

    assert content.recency == (20.0, 40.0, 60.0, 80.0)
    assert content.frequency == (20.0, 40.0, 60.0, 80.0)
    assert content.monetary == {"EUR": (40.0, 80.0, 120.0, 160.0)}


def test_recency_is_as_of_the_version_and_not_of_the_slot() -> None:
    early: list[PopulationExample] = [buyer(20, days_ago=1.0)] * 60

    *_, (_, _, content) = versions(PopulationLearner(), [*early, buyer(23)])

    assert content.recency == (4.0, 4.0, 4.0, 4.0)


def test_an_example_of_a_day_that_is_not_kept_is_left_out() -> None:
    learner = PopulationLearner()
    learner.learn_one(buyer(30))
    learner.learn_one(buyer(30 - PERIOD_DAYS + 1))
    before = learner.state()

    with pytest.raises(OutdatedExample, match="day 23"):
        learner.learn_one(buyer(30 - PERIOD_DAYS))
    assert learner.state() == before


def test_a_version_has_the_currencies_with_the_most_buyers() -> None:
    rare: list[PopulationExample] = [buyer(20, **{f"X{number:02d}": 5}) for number in range(40)]
    frequent: list[PopulationExample] = [buyer(20, EUR=5 + number % 3) for number in range(60)]
    mixed = [one for pair in zip(frequent, rare, strict=False) for one in pair] + frequent[40:]

    *_, (_, _, content) = versions(PopulationLearner(), mixed)

    assert len(content.monetary) == MAX_CURRENCIES
    assert content.monetary["EUR"] == (5.0, 6.0, 6.0, 7.0)


def test_gaps_are_quantiles_of_the_last_year_and_follow_when_there_are_enough() -> None:
    learner = PopulationLearner()
    old = [GapExample(at=10 * DAY, gap=DAY)] * 50
    few = [GapExample(at=900 * DAY, gap=days * DAY) for days in range(1, MIN_GAPS)]
    for gap in old + few:
        learner.learn_one(gap)
    for number in range(MIN_USERS):
        learner.learn_one(buyer(901, orders=1 + number))
    assert learner.population().gaps is None

    learner.learn_one(GapExample(at=901 * DAY, gap=MIN_GAPS * DAY))

    gaps = learner.population().gaps
    assert gaps is not None
    assert (gaps.median, gaps.p75, gaps.p90, gaps.count) == (10.0, 15.0, 18.0, MIN_GAPS)
    with pytest.raises(OutdatedExample):
        learner.learn_one(old[0])


def random_examples(seed: int, count: int) -> list[PopulationExample]:
    chance, examples = Random(seed), list[PopulationExample]()
    for number in range(count):
        day = 100 + number * 14 // count
        if chance.random() < 0.3:
            examples.append(GapExample(at=day * DAY, gap=chance.randrange(1, 90 * DAY)))
        else:
            money = {chance.choice(("EUR", "SEK")): chance.randrange(1, 500)}
            examples.append(buyer(day, chance.randrange(1, 30), chance.random() * 300, **money))
    return examples


def test_a_restored_learner_continues_as_an_uninterrupted_one() -> None:
    examples = random_examples(1, 800)  # few enough for each sketch to keep all of its numbers
    uninterrupted, restored = PopulationLearner(), PopulationLearner()
    for number, example in enumerate(examples):
        if number % 97 == 0:
            state, restored = restored.state(), PopulationLearner()
            restored.restore(state)
        assert restored.learn_one(example) == uninterrupted.learn_one(example)
    assert restored.newest is not None
    assert (restored.newest, restored.examples) == (uninterrupted.newest, len(examples))
    assert restored.population() == uninterrupted.population()


def test_the_times_of_versions_follow_from_the_examples_although_sketches_are_random() -> None:
    examples = random_examples(2, 12_000)
    one, other = versions(PopulationLearner(), examples), versions(PopulationLearner(), examples)

    assert [each[:2] for each in one] == [each[:2] for each in other]
    assert [each[2].users for each in one] == [each[2].users for each in other]


def test_a_damaged_state_is_refused() -> None:
    learner = PopulationLearner()
    learner.learn_one(buyer(20))
    state = bytearray(learner.state())
    state[-1] ^= 1

    with pytest.raises(StateDamaged, match="learner of the population"):
        PopulationLearner().restore(bytes(state))


def test_the_state_is_bounded() -> None:
    learner, chance = PopulationLearner(), Random(3)
    for number in range(60_000):
        day = 1_000 + number // 1_000
        currency = f"C{chance.randrange(MAX_CURRENCIES + 2)}"
        learner.learn_one(
            buyer(day, chance.randrange(1, 99), chance.random() * 99, **{currency: chance.randrange(999)})
        )
        if number % 8 == 0:
            learner.learn_one(GapExample(at=day * DAY, gap=chance.randrange(1, 10**9)))
    assert len(learner.state()) < MAX_STATE_BYTES


def test_a_sketch_is_exact_while_it_is_small_and_within_its_error_when_it_is_large() -> None:
    small, large = Quantiles(), Quantiles()
    for number in range(K - 1, -1, -1):
        small.add(number)
    assert [small.quantile(share) for share in (0.0, 0.25, 0.5, 1.0)] == [0.0, 99.0, 199.0, 399.0]
    shuffled = list(range(50_000))
    Random(4).shuffle(shuffled)
    for number in shuffled:
        large.add(number)
    found = [large.quantile(share) / 50_000 for share in (0.2, 0.4, 0.6, 0.8)]
    # Three times the error that is exceeded with a probability of 1%, so that this test does not fail by chance.
    assert found == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=3 * RANK_ERROR)


def test_an_empty_sketch_has_no_quantiles() -> None:
    with pytest.raises(ValueError, match="empty"):
        Quantiles().quantile(0.5)


def test_any_seven_days_of_slots_have_each_user_once() -> None:
    for user in (b"u1", b"u2", "käufer".encode()):
        slots = [slot_before(user, 500 * DAY)]
        while len(slots) < 6:
            slots.append(slot_after(user, slots[-1]))
        assert [late - early for early, late in pairwise(slots)] == [7 * DAY] * 5
        assert slot_before(user, slots[3]) == slot_before(user, slots[4] - 1) == slots[3]
