from __future__ import annotations

import logging

from stream.processes.logs import Sparing


def record(message: str, *args: object, name: str = "aiokafka.client") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, args, None)


def test_the_same_message_of_a_noisy_logger_is_shown_once_in_a_while() -> None:
    sparing = Sparing(every_s=60)
    assert [sparing.filter(record("Unable connect to %s", node)) for node in range(3)] == [True, False, False]


def test_how_often_it_was_held_back_is_told_with_the_next() -> None:
    sparing = Sparing(every_s=60)
    for _ in range(4):
        sparing.filter(record("Unable connect to %s", 1))
    sparing._every_s = 0
    again = record("Unable connect to %s", 1)
    assert sparing.filter(again)
    assert again.getMessage() == "Unable connect to 1 (and 3 more like it)"


def test_what_kafka_answers_after_every_transaction_is_never_shown() -> None:
    answer = record("Got error produce response, retrying. Error: %s", "NotEnoughReplicasError")
    assert not Sparing().filter(answer)


def test_our_own_messages_are_all_shown() -> None:
    sparing = Sparing(every_s=60)
    assert all(sparing.filter(record("the same", name="stream.engine.lane")) for _ in range(3))
