"""A configuration needs the format level in which its fields and values came into being."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.conditions.clauses import BucketClause, SegmentRule
from models.configuration.compiled import ChurnSettings, Configuration
from models.configuration.levels import ADDITIONS, Addition, require_expressible
from models.errors import InvalidConfiguration
from models.levels import FIRST, NEWEST
from tests.support.vocabulary import vocabulary

LEVEL_1 = set(json.loads(Path(__file__).with_name("level_1.json").read_text()))
"""Everything that the configuration could say in the release that wrote level 1."""


def find_zones(configuration: Configuration) -> Iterator[tuple[str, object]]:
    if configuration.timezone != "UTC":
        yield "timezone", configuration.timezone


ZONES = Addition(NEWEST, frozenset({"Configuration.timezone"}), find_zones)


def test_whatever_the_first_level_could_not_say_is_listed_with_its_level() -> None:
    added = vocabulary(Configuration) - LEVEL_1

    listed = {name for addition in ADDITIONS for name in addition.names}
    assert added == listed, "add new fields and values to ADDITIONS, with the level that code before does not know"
    assert all(FIRST < addition.level <= NEWEST for addition in ADDITIONS)


def test_the_first_level_has_everything_that_it_could_say() -> None:
    assert vocabulary(Configuration) >= LEVEL_1, "logs still have configurations with these names"
    assert {"Configuration.rules", "Trigger.kind=cart_left", "Rule.channels=sms"} <= LEVEL_1


def test_what_only_a_higher_level_can_express_is_refused_with_its_place_and_the_way_out() -> None:
    berlin = Configuration(timezone="Europe/Berlin")

    with pytest.raises(InvalidConfiguration, match=r"timezone: found 'Europe/Berlin'.*level 2.*upgrade finish"):
        require_expressible(berlin, FIRST, [ZONES])

    segments = Configuration(segments=(SegmentRule("staff", BucketClause("x", 0)),))
    with pytest.raises(InvalidConfiguration, match=r"segments\[0\]: found 'staff'.*level 2.*upgrade finish"):
        require_expressible(segments, FIRST)

    merges = Configuration(churn=ChurnSettings(activity=("click", "identity_merge")))
    with pytest.raises(InvalidConfiguration, match=r"churn\.activity\[1\]: found 'identity_merge'.*level 2"):
        require_expressible(merges, FIRST)

    require_expressible(merges, NEWEST)
    require_expressible(segments, NEWEST)
    require_expressible(berlin, NEWEST, [ZONES])
    require_expressible(Configuration(), FIRST, [ZONES])
