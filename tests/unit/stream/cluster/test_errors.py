"""Errors of Kafka's clients become errors of this project."""

from __future__ import annotations

import kafka.errors
import pytest
from aiokafka.errors import KafkaConnectionError

from stream.cluster.errors import BrokerSilent, BrokerUnavailable, is_kafka_error, map_kafka_errors

CLIENT_ERRORS = [KafkaConnectionError("gone"), kafka.errors.KafkaTimeoutError("late"), ConnectionResetError("reset")]


@pytest.mark.parametrize("error", CLIENT_ERRORS, ids=lambda error: type(error).__module__)
def test_errors_of_both_clients_and_of_connections_become_one_error(error: Exception) -> None:
    with (
        pytest.raises(BrokerUnavailable, match="the log cannot be read") as caught,
        map_kafka_errors("the log cannot be read"),
    ):
        raise error

    assert caught.value.__cause__ is error
    assert not isinstance(caught.value, BrokerSilent)


def test_a_timeout_stays_a_timeout() -> None:
    with pytest.raises(TimeoutError) as caught, map_kafka_errors("the log cannot be read"):
        raise TimeoutError

    assert isinstance(caught.value, BrokerSilent)


def test_an_error_that_was_mapped_is_not_mapped_again() -> None:
    expected = pytest.raises(BrokerUnavailable, match=r"^inner: OSError: away$")
    with expected, map_kafka_errors("outer"), map_kafka_errors("inner"):
        raise OSError("away")


def test_other_errors_pass_unchanged() -> None:
    assert not is_kafka_error(ValueError())
    with pytest.raises(ValueError, match="a bug"), map_kafka_errors("the log cannot be read"):
        raise ValueError("a bug")
