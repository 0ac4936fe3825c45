"""Fixtures for every test: brokers, each started once for all tests that need it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterator
from typing import Any

# Import hypothesis here, although only its plugin uses it. Otherwise the plugin imports it at the end of the run, for
# its summary. Parsing it that late sometimes fails with a SystemError in CPython 3.11, if a garbage collection
# interferes.
import hypothesis
import pytest

from stream.cluster.connection import Connection
from stream.installation.embedded_broker import EmbeddedBroker
from tests.support.brokers import ApacheKafka, Cluster, running_kafka

_numbers = itertools.count()

# Examples have no time limit, and neither has their generation. Tests share a machine, so a limit would fail any
# example that got no CPU time.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each process of the run begin with its share of the slow tests, and the first one with the longest test.

    Otherwise, one process is left with long tests at the end, while the others are idle. pytest-xdist gives each
    process one part of the list, without gaps. So the slow tests are distributed over the beginnings of these parts.

    The slow tests of a module that is marked ``together`` stay in one process. Otherwise, each process would start the
    installations of the module again.
    """
    groups: dict[str, list[pytest.Item]] = {}
    quick = []
    for item in items:
        marker = item.get_closest_marker("slow")
        if marker is None:
            quick.append(item)
        else:
            name = item.nodeid.partition("::")[0] if "together" in marker.kwargs else item.nodeid
            groups.setdefault(name, []).append(item)
    slow = sorted(groups.values(), key=lambda group: (not _is_longest(group[0]), -len(group)))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ordered: list[pytest.Item] = []
    for number in range(processes):
        size = (len(items) - len(ordered)) // (processes - number)
        share = [item for group in slow[number::processes] for item in group]
        count = max(size - len(share), 0)
        ordered += [*share, *quick[:count]]
        del quick[:count]
    items[:] = [*ordered, *quick]


def _is_longest(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("slow")
    return marker is not None and "longest" in marker.kwargs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that skips itself although everything that it needs is available, because it would never run.

    Tests of Apache Kafka need ``KAFKA_HOME``; those of real clients need what ``make test-clients`` installs. A
    ``skipif`` at the test names any other requirement, such as a file that we are not allowed to distribute.
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
    """One Apache Kafka for the whole session, if ``KAFKA_HOME`` names a distribution."""
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
    """An unused prefix on Apache Kafka; mark the test with ``pytest.mark.kafka``."""
    connection = Connection(kafka_broker.address, prefix=_prefix(), session_timeout_s=6)
    return Cluster(connection, kafka_broker)


@pytest.fixture
def embedded(embedded_broker: EmbeddedBroker) -> Cluster:
    """An unused prefix on the embedded broker."""
    connection = Connection(embedded_broker.address, prefix=_prefix(), transactions=False, session_timeout_s=6)
    return Cluster(connection)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """An unused prefix on a broker; the test runs once on each of the two brokers."""
    found: Cluster = request.getfixturevalue(request.param)
    return found
