"""A rule that waits for a segment which can never exist is reported."""

from __future__ import annotations

import pytest

from models.configuration.compiled import Configuration
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.learning.publication import Publication
from stream.cluster import topics
from stream.cluster.writer import Writer
from stream.installation.segment_names import names_in_use, notes
from tests.support.brokers import Cluster

IN_USE = ("dormant", "frequent big spenders", "window shoppers")


def waiting_for(segment: str) -> Configuration:
    rule = {"name": "big", "when": {"entered_segment": segment}}
    return parse({"rules": [rule]}, {"big": Template("Hi", "text")})


@pytest.mark.parametrize("known", [None, IN_USE])
def test_a_misspelt_name_is_reported_with_the_possible_names(known: tuple[str, ...] | None) -> None:
    (note,) = notes(waiting_for("freqent big spenders"), known)

    assert "rule big waits for the segment 'freqent big spenders'" in note
    assert "did you mean frequent big spenders?" in note
    assert "dormant" in note


@pytest.mark.parametrize("known", [None, IN_USE])
def test_a_name_in_use_is_not_reported(known: tuple[str, ...] | None) -> None:
    assert list(notes(waiting_for("dormant"), known)) == []


def test_a_name_that_a_later_model_may_give_is_reported_only_if_the_names_in_use_are_known() -> None:
    assert list(notes(waiting_for("new visitors"), None)) == []
    (note,) = notes(waiting_for("new visitors"), IN_USE)
    assert "segments in use: dormant, frequent big spenders, window shoppers" in note


@pytest.mark.parametrize("known", [None, IN_USE])
def test_a_segment_by_rule_may_be_waited_for(known: tuple[str, ...] | None) -> None:
    segment = {"name": "big_baskets", "when": {"event": "purchase", "within": "90d"}}
    rules = [{"name": "big", "when": {"entered_segment": name}} for name in ("big_baskets", "big_basket")]
    one, other = (parse({"rules": [rule], "segments": [segment]}, {"big": Template("Hi", "text")}) for rule in rules)

    assert list(notes(one, known)) == []
    (note,) = notes(other, known)
    assert "did you mean big_baskets?" in note


async def test_the_names_in_use_are_those_of_the_newest_version(embedded: Cluster) -> None:
    connection = embedded.connection
    topics.create(connection, 1)
    assert await names_in_use(connection) is None

    writer = Writer(connection)
    for version, names in ((1, '["dormant"]'), (2, '["new visitors","dormant"]')):
        await writer.send([Publication(version, f'{{"names":{names}}}'.encode()).output("segments")])
    await writer.close()

    assert await names_in_use(connection) == ("new visitors", "dormant")
