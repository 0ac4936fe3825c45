"""Fixtures for every test: brokers, started once for all that need them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterator
from typing import Any

# Its plugin imports it at the end of a run that has not, for its summary: pytest parses it then, in a process full of
# what tests left, and CPython 3.11's parser does not always survive a collection in between (SystemError).
import hypothesis
import pytest

from stream.cluster.connection import Connection
from stream.installation.embedded_broker import EmbeddedBroker
from tests.support.brokers import ApacheKafka, Cluster, running_kafka

_numbers = itertools.count()

# An example has no time limit: tests share a machine with others, and a limit would fail whichever example was starved.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests: at the end of a run that two processes share, one would wait for the other's."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that skips itself although what it needs is there: it would never run anywhere.

    Tests of Apache Kafka need ``KAFKA_HOME``; those of real clients need what ``make test-clients`` installs. A
    ``skipif`` at the test names another thing that it needs, such as a file that is not ours to give away.
    """
    report = yield
    if not report.skipped or hasattr(report, "wasxfail") or item.get_closest_marker("skipif") is not None:
        return report
    there = {"clients": "make test-clients installs what it needs"}
    if os.environ.get("KAFKA_HOME"):
        there["kafka"] = "KAFKA_HOME is set"
    for marker, why in there.items():
        if item.get_closest_marker(marker) is not None:
            report.outcome = "failed"
            report.longrepr = f"skipped, although {why}: {_reason(report.longrepr)}"
    return report


def _reason(skipped: Any) -> str:
    return str(skipped[2]) if isinstance(skipped, tuple) else str(skipped)


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """One Apache Kafka for the whole session, where ``KAFKA_HOME`` names a distribution."""
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME names no Kafka distribution")
    yield from running_kafka(tmp_path_factory.mktemp("kafka"))


@pytest.fixture(scope="session")
def embedded_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One embedded broker for the whole session."""
    with EmbeddedBroker(None, tmp_path_factory.mktemp("embedded")) as broker:
        yield broker


def _prefix() -> str:
    return f"test{os.getpid()}-{next(_numbers)}."


@pytest.fixture
def kafka(kafka_broker: ApacheKafka) -> Cluster:
    """A fresh prefix on Apache Kafka; mark the test with ``pytest.mark.kafka``."""
    connection = Connection(kafka_broker.address, prefix=_prefix(), session_timeout_s=6)
    return Cluster(connection, kafka_broker)


@pytest.fixture
def embedded(embedded_broker: EmbeddedBroker) -> Cluster:
    """A fresh prefix on the embedded broker."""
    connection = Connection(embedded_broker.address, prefix=_prefix(), transactions=False, session_timeout_s=6)
    return Cluster(connection)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Both brokers, one after the other."""
    found: Cluster = request.getfixturevalue(request.param)
    return found
