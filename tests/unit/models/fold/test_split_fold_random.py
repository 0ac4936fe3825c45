"""Random logs in which a link is split: both profiles equal those of a log without it, except messages."""

from __future__ import annotations

import pytest

from models.batch import Batch, Restored
from models.fold.partition import PartitionFold
from tests.support.persons import Persons
from tests.support.split_worlds import PAIR, USERS, VISITORS, World, counted, followed


def same_in_any_batches(persons: Persons, size: int) -> None:
    for state, log in zip(persons.states, persons.logs, strict=True):
        again = Restored(partition=state.partition)
        fold = PartitionFold(again)
        for begin in range(0, len(log), size):
            records = log[begin : begin + size]
            for outputs in fold.slices(Batch("events", state.partition, records)):
                again.apply(outputs.commit, records[-1].offset + 1)
        assert (again.records, again.memo) == (state.records, state.memo)


@pytest.mark.parametrize("seed", range(12))
def test_both_profiles_equal_those_of_a_log_without_the_link(seed: int) -> None:
    world = World(seed, (PAIR, PAIR, ("u1", "anonymous:a2"), ("u2", "anonymous:a3")))
    world.happen(25)
    world.log_in(PAIR)
    if seed % 2:
        world.settle()
    world.happen(25)
    world.settle()
    world.split(PAIR)
    world.settle()
    world.happen(25, links=seed % 4 == 1)
    world.settle()
    world.pass_days(3)

    other = world.without()
    for user in (*USERS, *VISITORS):
        assert followed(world.real.user(user)) == followed(other.user(user)), user
    assert counted(world.real) == counted(other)
    same_in_any_batches(world.real, 1 + seed * 7)


@pytest.mark.parametrize("seed", range(16))
def test_each_event_counts_once_after_any_splits_of_visitors_who_have_logged_in_as_several_users(seed: int) -> None:
    pairs = [(user, visitor) for user in USERS for visitor in VISITORS[:2]]
    world, splits = World(seed, pairs), 0
    for _ in range(5):
        world.happen(15)
        if world.rng.random() < 0.7:
            world.settle()
        for pair in world.rng.sample(pairs, 2):
            splits += world.split(pair) > 0
    world.settle()
    world.happen(10)
    world.settle()

    other = world.without()
    for user in (*USERS, *VISITORS):
        assert world.real.user(user).facts.events == other.user(user).facts.events, user
    assert splits
    same_in_any_batches(world.real, 1 + seed * 7)
