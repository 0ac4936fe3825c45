"""Imported events in the facts: what they set, what they leave, and what an undo takes back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InvalidEvent
from models.events import MICROS, Event
from models.imported import ImportNote, PastTotals
from models.profile import imports
from models.profile.codec import pack, unpack
from models.profile.state import Customer, Facts
from models.units import DAY, HOUR
from tests.support.event_logs import START
from tests.support.statement_logs import StatementLog, event, taken, traits
from tests.support.statement_logs import given as granted

NOW = START + 100 * DAY
TOTALS = PastTotals(START - 300 * DAY, START - 10 * DAY, 4, {"EUR": 200 * MICROS}, START - 20 * DAY)


def imported(at: int, run: str = "r1", stated_at: Any = 0, totals: Any = None, **said: Any) -> Event:
    """Make an event of an import: a consent if it says ``granted``, otherwise an ``identify`` with these traits."""
    note = ImportNote(run, stated_at, said.pop("enters", False), totals)
    if "granted" in said:
        return event("consent", at, id=f"i-{run}-{at}-{stated_at}-{said}", imported=note, **said)
    return event("identify", at, id=f"i-{run}-{at}-{said}-{totals}", traits=said, imported=note)


def undo(at: int, run: str = "r1") -> Event:
    return event("identify", at, id=f"undo-{run}-{at}", imported=ImportNote(run, undoes=True))


def known(facts: Facts) -> dict[str, Any]:
    """Return what an undo brings back."""
    consent = {key: (state.granted, state.at) for key, state in facts.consent.items()}
    names = ("orders", "spent", "first_seen", "last_seen", "sessions", "decayed", "cart", "past", "imports")
    return {"traits": facts.traits, "consent": consent, **{name: getattr(facts, name) for name in names}}


def test_a_newer_trait_is_not_replaced_by_an_older_line() -> None:
    log = StatementLog(
        traits(START, plan="new", city="Bonn"),
        imported(START + HOUR, stated_at=START - DAY, plan="old", city="Köln", age=7),
    )

    assert log.facts.traits == {"plan": "new", "city": "Bonn", "age": 7}


def test_the_totals_count_beside_the_orders_of_the_log_and_later_totals_replace_them() -> None:
    order = event("purchase", START, amount=30 * MICROS, currency="EUR", order="o1")

    one = StatementLog(order, imported(START + 1, totals=TOTALS)).facts
    both = StatementLog(
        order,
        imported(START + 1, totals=TOTALS),
        imported(START + 2, "r2", totals=PastTotals(0, 0, 1, {}, START - DAY)),
    ).facts

    assert (one.orders, one.spent) == (5, {"EUR": 230 * MICROS})
    assert (one.first_seen, one.last_seen) == (TOTALS.first_seen, START), (
        "the log has a visit, so it knows the last one"
    )
    assert (both.orders, both.spent) == (2, {"EUR": 30 * MICROS})


def test_totals_of_a_stranger_give_the_times_too_and_the_first_visit_opens_the_first_session() -> None:
    stranger = StatementLog(imported(START, totals=TOTALS)).facts
    visited = StatementLog(imported(START, totals=TOTALS), event("page_view", START + 1)).facts

    assert (stranger.first_seen, stranger.last_seen) == (TOTALS.first_seen, TOTALS.last_seen)
    assert (visited.sessions, visited.session_at, visited.last_seen) == (1, START + 1, START + 1)


def test_too_many_currencies_are_refused() -> None:
    codes = [
        "EUR",
        "USD",
        "GBP",
        "CHF",
        "SEK",
        "NOK",
        "DKK",
        "PLN",
        "CZK",
        "HUF",
        "JPY",
        "CNY",
        "AUD",
        "CAD",
        "NZD",
        "INR",
    ]
    facts = Facts(spent=dict.fromkeys(codes, 1))

    with pytest.raises(InvalidEvent, match="16 currencies"):
        imports.check(facts, imported(START, totals=PastTotals(0, 0, 1, {"TRY": 1}, START)))


def test_an_imported_grant_has_the_time_of_the_file_and_never_outweighs_a_newer_withdrawal() -> None:
    newer = StatementLog(
        taken(START, "email"), imported(START + HOUR, stated_at=START - 1, granted=True, channel="email")
    )
    older = StatementLog(
        taken(START, "email"), imported(START + HOUR, stated_at=START + 1, granted=True, channel="email")
    )

    assert newer.granted == {"email": False}
    assert older.granted == {"email": True}
    assert older.facts.consent["email"].at == START + 1


def test_an_imported_withdrawal_counts_however_old_it_is() -> None:
    log = StatementLog(
        granted(START, "email"), imported(START + HOUR, stated_at=START - 900 * DAY, granted=False, channel="email")
    )

    assert log.granted == {"email": False}


def test_an_imported_grant_that_must_be_confirmed_sends_no_mail_and_grants_nothing() -> None:
    log = StatementLog(
        traits(START, email="ada@example.org"),
        imported(START + 1, stated_at=START, granted=True, channel="email", reason="old list"),
        imported(START + 2, "r2", city="Bonn"),
        consent={"confirm": ["email"]},
    )

    assert log.granted == {}
    assert log.facts.pending == {}
    assert log.records("messages.email") == []
    assert [one.reason for one in log.rejected] == ["unconfirmed"]


def test_a_confirmed_grant_of_an_import_ends_no_entry_of_the_suppression_list() -> None:
    said: dict[str, Any] = {"granted": True, "channel": "email", "confirmed": True}
    address = traits(START, email="ada@example.org")

    sent = StatementLog(address, event("consent", START + 1, **said), clock="wall")
    brought = StatementLog(address, imported(START + 1, stated_at=START, **said), clock="wall")

    assert len(sent.notices()) == 1
    assert brought.notices() == []
    assert brought.granted == {"email": True}


def test_an_undo_brings_back_what_nothing_newer_has_changed() -> None:
    before = [traits(START, plan="pro", city="Bonn"), granted(START, "sms")]
    run = [
        imported(START + 1, plan="basic", city="Köln", age=7, totals=TOTALS),
        imported(START + 1, stated_at=START + 1, granted=True, channel="email"),
    ]
    since = [traits(START + 2, city="Mainz")]

    facts = StatementLog(*before, *run, *since, undo(START + 3)).facts

    assert facts.traits == {"plan": "pro", "city": "Mainz"}
    assert {key: state.granted for key, state in facts.consent.items()} == {"sms": True}
    assert (facts.orders, facts.spent, facts.past, facts.imports) == (0, {}, None, [])


def test_an_undo_leaves_a_withdrawal_and_never_brings_a_grant_back_over_it() -> None:
    facts = StatementLog(
        granted(START, "email"),
        imported(START + 1, stated_at=START + 1, granted=True, channel="email"),
        taken(START + 2, "email"),
        imported(START + 3, granted=False, channel="sms"),
        undo(START + 4),
    ).facts

    assert {key: state.granted for key, state in facts.consent.items()} == {"email": False, "sms": False}


def test_two_lines_of_a_run_about_one_user_are_taken_back_together() -> None:
    facts = StatementLog(
        traits(START, plan="pro"),
        imported(START + 1, plan="a"),
        imported(START + 1, plan="b", city="x"),
        undo(START + 2),
    ).facts

    assert facts.traits == {"plan": "pro"}


def test_an_undo_of_an_older_run_leaves_what_a_newer_run_has_set() -> None:
    log = [traits(START, plan="pro"), imported(START + 1, "r1", plan="a"), imported(START + 2, "r2", plan="b")]

    assert StatementLog(*log, undo(START + 3, "r1")).facts.traits == {"plan": "b"}
    assert StatementLog(*log, undo(START + 3, "r2")).facts.traits == {"plan": "a"}


def test_the_undo_of_totals_after_newer_orders_leaves_those() -> None:
    order = event("purchase", START + 2, amount=30 * MICROS, currency="EUR", order="o1")

    facts = StatementLog(imported(START + 1, totals=TOTALS), order, undo(START + 3)).facts

    assert (facts.orders, facts.spent) == (1, {"EUR": 30 * MICROS})


def test_what_an_undo_would_do_is_known_before() -> None:
    facts = StatementLog(
        imported(START + 1, plan="a", age=7, totals=TOTALS),
        imported(START + 1, stated_at=START, granted=True, channel="email"),
        imported(START + 1, stated_at=START, granted=True, channel="sms"),
        traits(START + 2, age=8),
        taken(START + 2, "sms"),
    ).facts

    left = imports.undo_of(facts, "r1")

    assert left == imports.UndoEffect(("plan",), ("email",), True, ("sms",))
    assert left.changes
    assert imports.undo_of(facts, "other") is None


def test_only_the_newest_runs_are_remembered_and_large_values_are_not() -> None:
    runs = [imported(START + number, f"r{number}", **{f"t{number}": "x"}) for number in range(6)]
    facts = StatementLog(*runs).facts
    large = StatementLog(
        traits(START, **{f"t{i}": "y" * 1_000 for i in range(12)}, small="z"),
        imported(START + 1, **{f"t{i}": "x" for i in range(12)}, small="x"),
    ).facts

    assert [one.run for one in facts.imports] == ["r2", "r3", "r4", "r5"]
    assert len(msgspec.msgpack.encode(large.imports)) <= imports.MAX_BYTES
    assert large.imports[0].traits["small"] == "z"


def test_a_user_with_imports_is_stored_and_read_again() -> None:
    facts = StatementLog(imported(START, plan="a", totals=TOTALS)).facts

    again = unpack(pack(Customer(facts))).facts

    assert (again.past, again.imports) == (facts.past, facts.imports)


NAMES = st.sampled_from(["plan", "city", "email"])
VALUES = st.sampled_from(["a@example.org", "b@example.org"])
CHANNELS = st.sampled_from(["email", "sms", None])
TIMES = st.integers(START - 5, START + 5)


@st.composite
def ordinary(draw: st.DrawFn, at: int) -> Event:
    """Draw an event that is not imported."""
    kind = draw(st.sampled_from(["traits", "given", "taken", "order", "view"]))
    if kind == "traits":
        return traits(at, **draw(st.dictionaries(NAMES, VALUES, min_size=1)))
    if kind == "order":
        return event("purchase", at, amount=draw(st.integers(0, 3)) * MICROS, currency="EUR")
    if kind == "view":
        return event("page_view", at)
    return (granted if kind == "given" else taken)(at, draw(CHANNELS))


@st.composite
def lines(draw: st.DrawFn, at: int) -> Event:
    """Draw an event of the run ``r1``, which does not withdraw."""
    if draw(st.booleans()):
        return imported(at, stated_at=draw(TIMES), granted=True, channel=draw(CHANNELS))
    spent = draw(st.integers(0, 9)) * MICROS
    totals = PastTotals(START - 50, START - 40, 2, {"EUR": spent} if spent else {}, START - 45)
    return imported(at, totals=draw(st.sampled_from([None, totals])), **draw(st.dictionaries(NAMES, VALUES)))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_import_and_its_undo_give_the_former_state(data: st.DataObject) -> None:
    before = [data.draw(ordinary(START + number)) for number in range(data.draw(st.integers(0, 4)))]
    run = [data.draw(lines(START + 10 + number)) for number in range(data.draw(st.integers(1, 4)))]
    anchor = event("custom", START, name="anchor")  # so that there is a user without an import

    former, after = StatementLog(anchor, *before).facts, StatementLog(anchor, *before, *run, undo(START + 20)).facts

    found, wanted = known(after), known(former)
    if sum(one.imported is not None and one.imported.totals is not None for one in run) > 1:
        del found["decayed"], wanted["decayed"]  # exact only up to the last bits of a float
    assert found == wanted


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_import_and_no_undo_gives_a_yes_against_a_newer_no(data: st.DataObject) -> None:
    log: list[Event] = []
    for number in range(data.draw(st.integers(1, 7))):
        at, run = START + number, f"r{number % 2}"
        kind = data.draw(st.sampled_from(["given", "taken", "yes", "no", "undo"]))
        if kind == "undo":
            log.append(undo(at, run))
        elif kind in ("yes", "no"):
            log.append(imported(at, run, data.draw(TIMES), granted=kind == "yes", channel="email"))
        else:
            log.append((granted if kind == "given" else taken)(at, "email"))

    answer = StatementLog(event("custom", START, name="anchor"), *log).granted.get("email", False)

    withdrawn = [one.stated_at for one in log if one.granted is False]
    grants = [one.stated_at for one in log if one.granted is True]
    if answer:
        assert grants
        assert max(grants) > max(withdrawn, default=0)
