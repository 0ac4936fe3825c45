"""The rate limit on logs hides repeated messages of noisy libraries, and nothing else."""

from __future__ import annotations

import logging

from stream.processes.logs import RateLimitFilter


class MonotonicHand:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def record(message: str, *args: object, name: str = "aiokafka.client") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, args, None)


def test_the_same_message_of_a_noisy_logger_is_shown_once_per_interval() -> None:
    limit = RateLimitFilter(every_s=60, clock=MonotonicHand())

    assert [limit.filter(record("Unable connect to %s", node)) for node in range(3)] == [True, False, False]


def test_the_next_shown_log_message_counts_the_hidden_ones() -> None:
    clock = MonotonicHand()
    limit = RateLimitFilter(every_s=60, clock=clock)
    for _ in range(4):
        limit.filter(record("Unable connect to %s", 1))
    clock.now += 60
    again = record("Unable connect to %s", 1)

    assert limit.filter(again)
    assert again.getMessage() == "Unable connect to 1 (and 3 more like it)"


def test_kafkas_usual_answer_after_a_transaction_is_never_shown() -> None:
    answer = record("Got error produce response, retrying. Error: %s", "NotEnoughReplicasError")

    assert not RateLimitFilter().filter(answer)


def test_our_own_messages_are_all_shown() -> None:
    limit = RateLimitFilter(every_s=60)

    assert all(limit.filter(record("the same", name="stream.engine.lane")) for _ in range(3))
