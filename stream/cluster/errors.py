"""Kafka's errors, mapped at one boundary to errors of ours.

Each client library has its own error classes. A lost connection or a timeout may also be one of Python's own errors.
:func:`map_kafka_errors` turns all of them into :class:`BrokerUnavailable`. So code outside ``cluster`` catches one
class and imports no client library for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import PerennialError

__all__ = ["BrokerSilent", "BrokerUnavailable", "is_kafka_error", "map_kafka_errors", "name_of"]


class BrokerUnavailable(PerennialError, ConnectionError):
    """Kafka gave no answer, or answered with an error: try again, because this also happens while a broker restarts.

    It is also a :class:`ConnectionError`, as other failures of a connection are in Python.
    """


class BrokerSilent(BrokerUnavailable, TimeoutError):
    """Kafka gave no answer in time."""


def is_kafka_error(error: BaseException) -> bool:
    """Return whether an error comes from a Kafka client, a connection or a timeout."""
    if isinstance(error, OSError):  # a TimeoutError is an OSError
        return True
    # A library's error can exist only after the library was loaded. Loading one here would delay every command.
    libraries = (sys.modules.get("aiokafka.errors"), sys.modules.get("kafka.errors"))
    return any(library is not None and isinstance(error, library.KafkaError) for library in libraries)


def name_of(error: BaseException) -> str:
    """Return the class name of an error, for metrics; for a :class:`BrokerUnavailable`, the class name of its cause.

    Examples
    --------
    >>> try:
    ...     with map_kafka_errors("the log cannot be read"):
    ...         raise ConnectionResetError
    ... except BrokerUnavailable as error:
    ...     name_of(error)
    'ConnectionResetError'
    """
    client_error = error.__cause__ if isinstance(error, BrokerUnavailable) else None
    return type(client_error or error).__name__


@contextmanager
def map_kafka_errors(failure: str) -> Iterator[None]:
    """Raise errors of Kafka's clients, connections and timeouts as :class:`BrokerUnavailable`.

    Parameters
    ----------
    failure
        What does not work, such as ``the suppression list cannot be read``; the beginning of the new error's text.

    Raises
    ------
    BrokerUnavailable
        An error of a client or a connection; the original is its cause.
    BrokerSilent
        A timeout.

    Examples
    --------
    >>> with map_kafka_errors("the log cannot be read"):
    ...     raise ConnectionResetError("reset by peer")
    Traceback (most recent call last):
    stream.cluster.errors.BrokerUnavailable: the log cannot be read: ConnectionResetError: reset by peer
    """
    try:
        yield
    except BrokerUnavailable:
        raise
    except TimeoutError as error:
        raise BrokerSilent(f"{failure}: no answer in time") from error
    except Exception as error:
        if not is_kafka_error(error):
            raise
        raise BrokerUnavailable(f"{failure}: {type(error).__name__}: {error}") from error
