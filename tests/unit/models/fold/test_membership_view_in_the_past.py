"""``perennial user USER --why SEGMENT --at TIME``: stages, scores, pending history, merged users."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Restored
from models.conditions.entries import mark_of
from models.conditions.parsing import parse_condition
from models.conditions.writing import canonical, digest
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import Event
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.fold.moments import moment
from models.fold.past import PastFold
from models.log import BringHistory, Control, HistoryComplete, Use, opening
from models.profile.codec import unpack
from models.units import DAY, HOUR, MINUTE
from tests.support.configured_versions import population_version
from tests.support.event_logs import START, PartitionRecord, written
from tests.support.lifecycles import purchase
from tests.support.persons import Persons
from tests.support.segment_logs import VIEWERS, identified, segments_in_use, tick, viewed

RISKY = {"name": "risky", "when": {"lifecycle": "at_risk"}}
FRESH = {"name": "fresh", "when": {"score": "recency", "at_least": 4}}
HELD = {"name": "held", "when": {"score": "recency", "at_least": 4, "until_below": 2}}
GAP = 90 * DAY
"""The longest of ten gaps between purchases before a learner has published one."""


def configured(version: int, *segments: dict[str, Any], lifecycle: bool = True) -> Use:
    content = encode(parse({"segments": list(segments), **({"lifecycle": {}} if lifecycle else {})}, {}))
    return Use(name="configuration", version=version, content=msgspec.Raw(content))


def log(*contents: Event | Control) -> list[PartitionRecord]:
    return written([opening("feeder"), *contents])


def asked(records: list[PartitionRecord], at: int, segment: str, user: str = "u") -> dict[str, Any]:
    """Return the answer at a time after the start, as the command computes it from the log."""
    fold = PastFold(0, START + at)
    fold.take(records)
    return explained(fold.finish(), segment, user)


def explained(state: Restored, segment: str, user: str = "u") -> dict[str, Any]:
    memo = read_memo(state)
    return why(user, unpack(state.records[user.encode()]), memo.now, versions_in_use(state, memo), segment)


def clause(answer: dict[str, Any], **expected: Any) -> None:
    """Assert what the answer says about its only clause."""
    assert {name: answer["tree"][name] for name in expected} == expected


# --- stages ----------------------------------------------------------------------------------------------------------

BUYER = log(configured(1, RISKY), tick(0), purchase(1, START), tick(DAY), purchase(2, START + DAY), tick(400 * DAY))


def test_a_stage_is_explained_with_the_time_of_the_move_and_the_next_move_without_an_event() -> None:
    before, in_it, after = (asked(BUYER, at, "risky") for at in (2 * DAY, DAY + GAP, DAY + 2 * GAP))

    assert [answer["since"] for answer in (before, in_it, after)] == [None, moment(START + DAY + GAP), None]
    clause(before, truth=False, value="engaged", bound={"is": "at_risk"}, decided_at=moment(START + DAY))
    clause(before, changes_at=moment(START + DAY + GAP), decided_by=None, covered_from=None)
    clause(in_it, truth=True, value="at_risk", decided_at=moment(START + DAY + GAP))
    clause(in_it, changes_at=moment(START + DAY + 2 * GAP))
    clause(after, truth=False, value="dormant", changes_at=None)
    assert before["failing"] == [{"lifecycle": "at_risk"}]


def test_the_first_stage_has_no_time() -> None:
    records = log(configured(1, RISKY), tick(0), viewed("u", 0), tick(DAY))

    clause(asked(records, DAY, "risky"), value="visitor", decided_at=None, changes_at=None)


# --- scores of buyers ------------------------------------------------------------------------------------------------

CUTS = population_version(7)
"""Cut points of recency, days: 0.01, 0.1, 0.5 and 2."""


def test_a_score_is_explained_with_the_purchase_that_decided_it_and_with_the_time_at_which_it_falls() -> None:
    records = log(configured(1, FRESH, HELD), CUTS, tick(0), purchase(1, START), tick(3 * DAY))
    falls_to = {4: DAY // 100 + 1, 3: DAY // 10 + 1, 2: DAY // 2 + 1, 1: 2 * DAY + 1}

    for at, score in ((0, "5"), (falls_to[4], "4"), (falls_to[3], "3"), (falls_to[1], "1")):
        answer = asked(records, at, "fresh")
        clause(answer, value=score, truth=int(score) >= 4, bound={"at_least": 4}, decided_at=moment(START))
        clause(answer, changes_at=moment(START + falls_to[3]) if int(score) >= 4 else None)
        assert answer["failing"] == ([] if int(score) >= 4 else [FRESH["when"]])
    clause(asked(records, falls_to[2], "held"), truth=True, value="2", bound={"at_least": 4, "until_below": 2})
    clause(asked(records, falls_to[2], "held"), changes_at=moment(START + falls_to[1]))
    clause(asked(records, falls_to[1], "held"), truth=False, changes_at=None)


def test_without_a_purchase_or_cut_points_a_score_is_missing() -> None:
    seen = log(configured(1, FRESH), CUTS, tick(0), viewed("u", 0), tick(DAY))
    bought = log(configured(1, FRESH), tick(0), purchase(1, START), tick(DAY))

    clause(asked(seen, DAY, "fresh"), value="missing", truth=False, decided_at=None, changes_at=None)
    clause(asked(bought, DAY, "fresh"), value="missing", truth=False, decided_at=moment(START), changes_at=None)


def test_consent_names_the_event_that_decided_it() -> None:
    reachable = {
        "name": "reachable",
        "when": {"consent": {"purpose": "marketing", "channel": "email"}, "is": "granted"},
    }
    given = Event(id="c1", user="u", type="consent", at=START, granted=True, channel="email")
    records = log(segments_in_use(1, reachable), tick(0), given, tick(DAY))

    clause(asked(records, HOUR, "reachable"), truth=True, value="granted", decided_at=moment(START))
    clause(asked(records, HOUR, "reachable"), decided_by=f"{mark_of('c1'):08x}")


# --- history ---------------------------------------------------------------------------------------------------------


def test_while_history_is_pending_a_clause_is_unknown_and_says_that_it_waits_for_the_log() -> None:
    number = digest(canonical(parse_condition(VIEWERS["when"], "when")))
    views: list[Event | Control] = [viewed("u", 0), tick(MINUTE), viewed("u", MINUTE), tick(HOUR)]
    records = log(
        tick(0),
        *views,
        segments_in_use(1, VIEWERS),
        BringHistory((number,)),
        tick(2 * HOUR),
        HistoryComplete((number,)),
        tick(3 * HOUR),
    )

    waiting = asked(records, HOUR + MINUTE, "viewers")
    clause(waiting, truth=None, waits_for_history=True, covered_from=moment(START + HOUR), bound={"at_least": 2})
    assert (waiting["since"], waiting["failing"]) == (None, [VIEWERS["when"]])
    complete = asked(records, 2 * HOUR + MINUTE, "viewers")
    clause(complete, waits_for_history=False, covered_from=None, truth=False)


def test_before_a_new_clause_has_seen_its_window_it_is_unknown_until_then() -> None:
    silent = {"name": "silent", "when": {"absent": "product_view", "for": "2d"}}
    records = log(tick(0), viewed("u", 0), tick(DAY), segments_in_use(1, silent), tick(9 * DAY))

    unknown, known = (asked(records, at, "silent") for at in (2 * DAY, 3 * DAY))

    clause(unknown, truth=None, covered_from=moment(START + DAY), unknown_until=moment(START + 3 * DAY))
    clause(known, truth=True, unknown_until=None)
    assert known["since"] == moment(START + 3 * DAY)


# --- one person under two ids ----------------------------------------------------------------------------------------


def test_a_merged_user_is_explained_by_the_events_of_both_ids() -> None:
    persons = Persons(1)
    persons.control(segments_in_use(1, VIEWERS))
    persons.tell(viewed("anonymous:a1", 0), viewed("u", MINUTE))
    persons.settle()
    assert explained(persons.states[0], "viewers")["since"] is None

    login = identified("u", 2 * MINUTE, email="ada@example.org")
    persons.tell(msgspec.structs.replace(login, anonymous="anonymous:a1"))
    persons.settle()

    answer = explained(persons.states[0], "viewers")
    clause(answer, truth=True, value="2", bound={"at_least": 2}, decided_at=moment(START))
    clause(answer, decided_by=f"{mark_of('anonymous:a1-0'):08x}", changes_at=moment(START + 3 * HOUR))
    assert answer["since"] is not None
    visitor = explained(persons.states[0], "viewers", "anonymous:a1")
    assert visitor["since"] is None
    at_login = PastFold(0, persons.now)
    at_login.take(persons.logs[0])
    assert explained(at_login.finish(), "viewers") == answer


# --- the next change -------------------------------------------------------------------------------------------------

STAGES = ("activated", "engaged", "at_risk", "dormant")
STAGED: list[dict[str, Any]] = [{"name": f"in {name}", "when": {"lifecycle": name}} for name in STAGES]
SCORED: list[dict[str, Any]] = [
    {"name": f"recency {score}", "when": {"score": "recency", "at_least": score}} for score in (2, 3, 4, 5)
]


@given(st.integers(0, 1 << 32), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_stages_and_scores_change_exactly_when_the_answer_says_so(seed: int, number: int) -> None:
    days = sorted((seed >> place) % 300 for place in range(number))
    bought = [one for n, day in enumerate(days) for one in (tick(day * DAY), purchase(n, START + day * DAY))]
    records = log(configured(1, *STAGED, *SCORED), CUTS, tick(0), *bought)
    end = days[-1] * DAY

    for segment in (*STAGED, *SCORED):
        answer = asked(records, end, segment["name"])
        changes_at, truth = answer["tree"]["changes_at"], answer["tree"]["truth"]
        if changes_at is None:
            assert asked(records, end + 1_000 * DAY, segment["name"])["tree"]["truth"] is truth
            continue
        change = round(datetime.fromisoformat(changes_at).timestamp() * 1000) - START
        assert asked(records, change - 1, segment["name"])["tree"]["truth"] is truth
        assert asked(records, change, segment["name"])["tree"]["truth"] is not truth
