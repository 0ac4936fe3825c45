"""Fetches that wait long while there is nothing to read, so that an idle reader costs nearly nothing.

A broker answers a fetch as soon as one of its partitions has a record, so a long wait adds no latency to that record.
But a consumer of aiokafka has only one fetch at a time on its way to a broker. A partition that is not in this fetch
has to wait for its end. So a fetch waits long only if it contains all partitions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

__all__ = ["IDLE_WAIT_MS", "has_read_everything", "wait_longer_when_idle"]

IDLE_WAIT_MS: Final = 2_000
"""How long a broker may keep a fetch of an idle consumer that finds nothing, milliseconds."""
LOOK_AGAIN_S: Final = 1.0
"""How long aiokafka's fetching task sleeps at most if nothing happens, seconds (default 0.2)."""


def has_read_everything(consumer: AIOKafkaConsumer) -> bool:
    """Return whether a consumer has taken all records up to the ends that the newest answers gave.

    ``False`` before the first answer of a partition.
    """
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None or consumer._fetcher._records:
        return False
    states = map(assignment.state_value, assignment.tps)
    return all(
        state.has_valid_position and state.highwater is not None and state.position >= state.highwater
        for state in states
    )


def wait_longer_when_idle(
    consumer: AIOKafkaConsumer,
    *,
    wait_ms: int,
    idle_wait_ms: int = IDLE_WAIT_MS,
    is_idle: Callable[[], bool] = lambda: True,
    on_turn: Callable[[], None] = lambda: None,
) -> None:
    """Choose the wait of each fetch of a consumer that has started.

    Parameters
    ----------
    consumer
        The consumer. It must not have been assigned a partition yet.
    wait_ms
        How long the broker may keep a fetch that finds nothing, milliseconds.
    idle_wait_ms
        The same after the consumer has read everything.
    is_idle
        Returns whether the owner of the consumer is idle too.
    on_turn
        Called whenever the consumer is about to send fetches: for example, after each answer.
    """
    fetcher = consumer._fetcher
    find_actions = fetcher._get_actions_per_node

    def find_patient_actions(assignment: Any) -> Any:
        on_turn()
        fetcher._fetch_max_wait_ms = idle_wait_ms if has_read_everything(consumer) and is_idle() else wait_ms
        return find_actions(assignment)

    fetcher._get_actions_per_node = find_patient_actions
    fetcher._fetcher_timeout = LOOK_AGAIN_S
