"""The lifecycle in the fold: signals with reasons, what a decision sees, silent moves, timers, and the counts."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from models.batch import Restored
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event
from models.fold.members import key_of, read_members
from models.fold.stages import STAGES_KEY, StagesInUse, read_stages
from models.log import Tick, Use, opening
from models.profile.codec import unpack
from models.profile.ledger import Stage
from models.units import DAY, HOUR
from tests.support.configured_versions import gaps_version
from tests.support.event_logs import START, PartitionRecord, fold_log, written
from tests.support.lifecycles import purchase

RISKY = {"name": "risky", "when": {"lifecycle": ["at_risk", "dormant"]}}
TEMPLATES = {"plain": Template(subject="Hello", text="Come back. {{ unsubscribe_url }}", fallback="Subject: H\n\nT.")}
GAP = 10 * DAY


def configuration(version: int, lifecycle: dict[str, Any] | None = None, **sections: Any) -> Use:
    """Return a configuration with the default lifecycle, or with another one."""
    stated = {"lifecycle": {} if lifecycle is None else lifecycle, **sections}
    content = encode(parse({name: one for name, one in stated.items() if one != {"no": True}}, TEMPLATES))
    return Use(name="configuration", version=version, content=msgspec.Raw(content))


def bought(number: int, at: int, user: str = "u1") -> Event:
    return purchase(number, START + at, user)


def identify(user: str, at: int = 0) -> Event:
    traits = {"email": f"{user}@example.org"}
    return Event(id=f"i{user}", user=user, type="identify", at=START + at, traits=traits)


def viewed(number: int, at: int, user: str = "u1") -> Event:
    return Event(id=f"v{number}", user=user, type="product_view", at=START + at, item="s1")


def tick(at: int) -> Tick:
    return Tick(at=START + at)


def fold(*contents: Any, size: int = 1_000) -> tuple[Restored, list[tuple[str, dict[str, Any]]]]:
    state, given = fold_log(records(*contents), itertools.repeat(size))
    return state, [(r.topic, json.loads(r.value)) for o in given for r in o.commit.records if r.value and r.key]


def records(*contents: Any) -> list[PartitionRecord]:
    return written([opening("feeder"), tick(0), *contents])


def moves(outputs: list[tuple[str, dict[str, Any]]]) -> list[tuple[int, str, str]]:
    """Return the moves: time after the start, the stage before, and the stage after."""
    return [(one["at"] - START, one["origin"], one["name"]) for one in signals(outputs)]


def signals(outputs: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [one for topic, one in outputs if topic == "signals" and one["kind"] == "lifecycle_moved"]


def stage(state: Restored, user: str = "u1") -> Stage | None:
    return unpack(state.records[user.encode()]).ledger.stage


def counts(state: Restored) -> StagesInUse:
    return read_stages(state.records.get(STAGES_KEY))


LIFE = (
    *(configuration(1), gaps_version(1, 10.0), identify("u1"), tick(DAY), bought(1, DAY), tick(2 * DAY)),
    *(bought(2, 2 * DAY), tick(80 * DAY), bought(3, 80 * DAY), tick(81 * DAY)),
)
MOVES = [
    (0, "visitor", "new"),
    (DAY, "new", "activated"),
    (2 * DAY, "activated", "engaged"),
    (2 * DAY + GAP, "engaged", "at_risk"),
    (2 * DAY + 2 * GAP, "at_risk", "dormant"),
    (2 * DAY + 4 * GAP, "dormant", "churned"),
    (80 * DAY, "churned", "won_back"),
]


@pytest.mark.parametrize("size", [1, 7, 500])
def test_a_user_moves_by_events_and_by_timers_at_the_instant(size: int) -> None:
    state, outputs = fold(*LIFE, size=size)
    rounded = 10 * DAY - 4 * HOUR  # of the grid of gaps

    assert [(origin, target) for _, origin, target in moves(outputs)] == [(o, t) for _, o, t in MOVES]
    scale = moves(outputs)[3][0] - 2 * DAY
    assert abs(scale - rounded) < GAP // 10
    assert [at for at, _, _ in moves(outputs)] == [
        *(0, DAY, 2 * DAY, 2 * DAY + scale, 2 * DAY + 2 * scale, 2 * DAY + 4 * scale, 80 * DAY)
    ]
    assert stage(state) == Stage("won_back", START + 80 * DAY)


def test_a_log_in_batches_of_any_size_gives_the_same_bytes() -> None:
    results = []
    for size in (1, 7, 500):
        state, given = fold_log(records(*LIFE), itertools.repeat(size))
        results.append((dict(state.records), state.memo, [r for o in given for r in o.commit.records]))

    assert results[0] == results[1] == results[2]


def test_a_signal_states_the_clauses_that_have_changed_and_the_cause() -> None:
    _, outputs = fold(*LIFE)

    first, at_risk = signals(outputs)[1], signals(outputs)[3]
    assert [json.loads(clause) for clause in first["clauses"]] == [
        {"event": "purchase", "times": {"at_least": 1}, "within": "ever"}
    ]
    assert first["cause"] == "m1"
    assert [json.loads(clause) for clause in at_risk["clauses"]] == [{"absent": "purchase", "for": "1 p90 gap"}]
    assert at_risk["cause"] == "timer:clauses"


def test_a_rule_on_the_event_that_moves_the_user_sees_the_move_and_so_does_a_segment() -> None:
    rules = [
        {"name": name, "category": "transactional", "when": when, "channels": ["email"], "template": "plain"}
        for name, when in (("back", {"entered_stage": "won_back"}), ("risk", {"entered_segment": "risky"}))
    ]
    contents = (configuration(1, segments=[RISKY], rules=rules), *LIFE[1:])

    state, outputs = fold(*contents)

    assert [one["rule"] for topic, one in outputs if topic == "decisions"] == ["risk", "back"]
    assert read_members(state.records[key_of("risky")]).number == 0


def test_a_segment_of_the_first_stage_has_every_new_user_at_once() -> None:
    visitors = {"name": "visitors", "when": {"lifecycle": "visitor"}}
    state, _ = fold(configuration(1, segments=[visitors]), viewed(1, 0), viewed(2, 0, "u2"), identify("u2", 1))

    assert read_members(state.records[key_of("visitors")]).number == 1
    assert stage(state) is None


def test_the_users_in_each_stage_and_the_moves_of_each_day_are_counted() -> None:
    others = [viewed(10 + n, DAY, f"v{n}") for n in range(3)]
    state, _ = fold(*LIFE[:4], *others, *LIFE[4:6])

    found = counts(state)
    assert found.users == {"activated": 1, "visitor": 3}
    assert [day.moves for day in found.days] == [
        {">visitor": 1, "visitor>new": 1},
        {">visitor": 3, "new>activated": 1},
    ]


def test_users_who_were_there_before_get_their_stage_silently() -> None:
    users = [identify(f"u{n}") for n in range(20)]
    state, outputs = fold(tick(0), *users, tick(DAY), configuration(1), tick(2 * DAY), tick(3 * DAY))

    assert moves(outputs) == []
    assert counts(state).users == {"visitor": 20}  # what they did before is not known
    state, outputs = fold(tick(0), *users, tick(DAY), configuration(1), tick(2 * DAY), bought(1, 2 * DAY, "u3"))
    assert moves(outputs) == [(2 * DAY, "visitor", "activated")]
    assert counts(state).users == {"activated": 1, "visitor": 19}


def test_new_gaps_are_adopted_silently_and_keep_what_is_known() -> None:
    begin = (configuration(1), gaps_version(1, 100.0), bought(1, 0), tick(30 * DAY))

    state, outputs = fold(*begin, gaps_version(2, 10.0), tick(31 * DAY))

    assert moves(outputs) == [(0, "visitor", "activated")]
    assert stage(state) == Stage("dormant", START + 30 * DAY + 1)  # when the user came to the new gaps
    assert counts(state).users == {"dormant": 1}
    _, outputs = fold(*begin, gaps_version(2, 10.0), tick(31 * DAY), tick(60 * DAY))
    assert [target for _, _, target in moves(outputs)] == ["activated", "churned"]


def test_nearly_the_same_gaps_change_no_conditions() -> None:
    begin = (configuration(1), gaps_version(1, 10.0), bought(1, 0), tick(DAY))

    one, _ = fold(*begin, gaps_version(2, 10.01), tick(2 * DAY))
    other, _ = fold(*begin, tick(2 * DAY))

    users = [unpack(state.records[b"u1"]) for state in (one, other)]
    for user in users:
        user.ledger.rfm = None  # which names the version of the cut points
    assert users[0] == users[1]


def test_a_changed_lifecycle_keeps_stages_and_a_removed_one_forgets_them() -> None:
    begin = (configuration(1), bought(1, 0), tick(HOUR))
    fewer = {"moves": [{"from": "activated", "to": "engaged", "when": "never"}]}

    state, outputs = fold(*begin, configuration(2, fewer), bought(2, 2 * HOUR), tick(3 * HOUR))
    assert moves(outputs) == [(0, "visitor", "activated")]
    assert counts(state).users == {"activated": 1}

    segments = [{"name": "s", "when": {"event": "click", "within": "1d"}}]
    gone = configuration(2, {"no": True}, segments=segments)
    again = (gone, tick(2 * HOUR), tick(3 * HOUR), configuration(3), tick(4 * HOUR), tick(5 * HOUR))
    state, _ = fold(*begin, *again)
    assert counts(state).users == {"visitor": 1}  # the clauses were forgotten, so the purchase is not known
    assert stage(state) is None


def test_without_a_lifecycle_nothing_is_stored() -> None:
    state, _ = fold(configuration(1, {"no": True}), bought(1, 0), tick(DAY))

    assert stage(state) is None
    assert STAGES_KEY not in state.records
