from typing import Any

import pytest

from models.conditions.parsing import parse_condition
from models.configuration.compiled import decode, encode
from models.configuration.parsing import parse
from models.errors import InvalidConfiguration
from models.lifecycle.choosing import lifecycle_of
from models.lifecycle.definition import STAGES, LifecycleMove

NEWS = {"event": "News Read", "within": "7d"}
READER = {"from": "new", "to": "engaged", "when": NEWS}


def test_an_empty_section_is_the_default_lifecycle() -> None:
    assert parse({"lifecycle": {}}, {}).lifecycle == lifecycle_of("purchases")
    assert parse({}, {}).lifecycle is None


def test_the_lifecycle_travels_in_the_log_with_its_defaults() -> None:
    for defaults in ("purchases", "usage"):
        read = parse({"lifecycle": {"defaults": defaults, "moves": [READER]}}, {})
        assert decode(encode(read)) == read
        assert read.lifecycle is not None
        assert LifecycleMove("new", "engaged", parse_condition(NEWS, "when")) in read.lifecycle.moves


def test_one_move_may_lead_out_of_several_stages_and_never_removes_a_default() -> None:
    moves: list[dict[str, Any]] = [
        {"from": ["engaged", "loyal"], "to": "at_risk", "when": {"absent": "purchase", "for": "45d"}},
        {"from": "new", "to": "dormant", "when": "never"},
    ]
    read = parse({"lifecycle": {"moves": moves}}, {}).lifecycle

    assert read is not None
    changed = {(m.origin, m.target) for m in read.moves if m.when == parse_condition(moves[0]["when"], "when")}
    assert changed == {("engaged", "at_risk"), ("loyal", "at_risk")}
    assert ("new", "dormant") not in {(m.origin, m.target) for m in read.moves}


def test_stages_of_your_own_need_no_defaults() -> None:
    section = {"defaults": "none", "stages": ["out", "in"], "moves": [{"from": "out", "to": "in", "when": NEWS}]}
    read = parse({"lifecycle": section}, {}).lifecycle

    assert read is not None
    assert read.stages == ("out", "in")


def lifecycle(**section: Any) -> dict[str, Any]:
    return {"lifecycle": section}


def moves(*written: dict[str, Any]) -> dict[str, Any]:
    return lifecycle(moves=list(written))


@pytest.mark.parametrize(
    ("written", "path", "found", "allowed"),
    [
        (lifecycle(defaults="shops"), "lifecycle.defaults", "shops", "purchases"),
        (moves({**READER, "from": "old"}), "lifecycle.moves[0].from", "old", "visitor, new"),
        (moves({**READER, "to": "old"}), "lifecycle.moves[0].to", "old", "at_risk"),
        (moves({**READER, "to": "new"}), "lifecycle.moves[0].to", "new", "another stage"),
        (moves({**READER, "from": []}), "lifecycle.moves[0].from", [], ""),
        (moves(READER, READER), "lifecycle.moves[1]", "from new to engaged", "not stated yet"),
        (moves({**READER, "from": ["new", "new"]}), "lifecycle.moves[0]", "from new to engaged", "not stated yet"),
        (moves({**READER, "when": "never"}), "lifecycle.moves", "never from new to engaged", "a default move"),
        (moves({**READER, "when": "always"}), "lifecycle.moves[0].when", "always", ""),
        (moves({**READER, "when": {"segment": "x"}}), "lifecycle.moves[0].when", "segment x", "before segments"),
        (moves({**READER, "when": {"lifecycle": "new"}}), "lifecycle.moves[0].when", "lifecycle", "no lifecycle"),
        (moves({**READER, "when": {"not": {"mark": "m", "set": True}}}), "lifecycle.moves[0].when", "mark", "no mark"),
        (moves({**READER, "when": {"evnt": "x"}}), "lifecycle.moves[0].when.evnt", "evnt", "event"),
        (
            moves({**READER, "when": {"event": "A", "since": "entry"}}),
            "lifecycle.moves[0].when.since",
            "entry",
            "another window",
        ),
        (lifecycle(stages=["a", "b"]), "lifecycle.stages", ["a", "b"], "defaults: none"),
        (lifecycle(defaults="none", stages=["a"]), "lifecycle.stages", ["a"], "two different names"),
        (lifecycle(defaults="none", stages=["a", "a"]), "lifecycle.stages", ["a", "a"], "two different names"),
        (lifecycle(defaults="none"), "lifecycle.moves", [], "at least one move"),
    ],
)
def test_a_mistake_is_reported_with_its_path(written: dict[str, Any], path: str, found: object, allowed: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse(written, {})

    assert (caught.value.path, caught.value.found) == (path, found)
    assert allowed in caught.value.allowed


@pytest.mark.parametrize("value", ["at_risk", ["at_risk", "dormant"], {"in": ["loyal"]}])
def test_segments_may_ask_for_stages(value: Any) -> None:
    segments = [{"name": "s", "when": {"not": {"lifecycle": value}}}]

    assert len(parse({"segments": segments, "lifecycle": {}}, {}).segments) == 1
    with pytest.raises(InvalidConfiguration, match=r"segments\[0\]\.when: .*section `lifecycle`"):
        parse({"segments": segments}, {})


def test_a_segment_cannot_ask_for_a_stage_that_does_not_exist() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse({"segments": [{"name": "s", "when": {"lifecycle": ["loyal", "lost"]}}], "lifecycle": {}}, {})

    assert (caught.value.path, caught.value.found) == ("segments[0].when.lifecycle", "lost")
    assert caught.value.allowed == f"one of {', '.join(STAGES)}"
