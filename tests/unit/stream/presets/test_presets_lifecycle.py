"""The lifecycle of each preset moves simulated users of its trade as a marketer expects it."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from models.configuration.compiled import encode
from models.events import Event, OrderLine
from models.lifecycle.definition import STAGES
from models.log import Control, Tick, Use, opening
from models.units import DAY
from stream.presets import write
from stream.settings.loading import load
from stream.settings.rules import read_configuration
from tests.support.event_logs import START, fold_log, written

DAYS = 420
"""Number of days of a log. Without a learner, nine tenths of the gaps between purchases are at most 90 days."""


class TradeEvent(NamedTuple):
    """An event of a simulated user: the day, and the type or a name of the product's own."""

    day: int
    what: str


def does(what: str, *days: int) -> list[TradeEvent]:
    return [TradeEvent(day, what) for day in days]


class TradeUser(NamedTuple):
    """A user of a trade: what the user does, and the moves that follow, each with its day."""

    does: Sequence[TradeEvent]
    moves: str


SHOP = {
    "looks and leaves": TradeUser(does("product_view", 0, 1, 30), ""),
    "registers only": TradeUser(does("identify", 2), "2 new, 182 dormant, 362 churned"),
    "buys once": TradeUser(
        [*does("product_view", 0, 5, 150), *does("purchase", 5)], "5 activated, 95 at_risk, 185 dormant, 365 churned"
    ),
    "buys often": TradeUser(does("purchase", *range(0, DAYS, 30)), "0 activated, 30 engaged, 90 loyal"),
    "buys again in time": TradeUser(
        does("purchase", 0, 10, 105, 190),
        "0 activated, 10 engaged, 100 at_risk, 105 engaged, 190 loyal, 280 at_risk, 370 dormant",
    ),
    "comes back after half a year": TradeUser(
        does("purchase", 0, 10, 200, 215),
        "0 activated, 10 engaged, 100 at_risk, 190 dormant, 200 won_back, 215 engaged, 215 loyal, 305 at_risk, "
        "395 dormant",
    ),
}
SAAS = {
    "reads the pages": TradeUser(does("page_view", 0, 1, 2), ""),
    "signs up only": TradeUser(does("identify", 3), "3 new, 24 dormant, 45 churned"),
    "tries it": TradeUser(does("Report Created", 1, 2, 3), "1 new, 3 activated, 13 at_risk, 24 dormant, 45 churned"),
    "uses it daily": TradeUser(does("Report Created", *range(DAYS + 1)), "0 new, 2 activated, 9 engaged"),
    "uses it daily and pays monthly": TradeUser(
        [*does("Report Created", *range(DAYS + 1)), *does("purchase", *range(5, DAYS, 30))],
        "0 new, 2 activated, 9 engaged, 65 loyal",
    ),
    "comes back after a pause": TradeUser(
        does("Report Created", 1, 2, 3, *range(40, 50), *range(50, DAYS + 1, 2)),
        "1 new, 3 activated, 13 at_risk, 24 dormant, 40 won_back, 49 engaged",
    ),
    "uses it less and less": TradeUser(
        does("Report Created", *range(14), 19, 28, 37),
        "0 new, 2 activated, 9 engaged, 24 activated, 47 at_risk, 58 dormant, 79 churned",
    ),
}
TRADES = {"shop": SHOP, "saas": SAAS}


@pytest.mark.parametrize(("preset", "name"), [(preset, name) for preset, users in TRADES.items() for name in users])
def test_a_user_of_the_trade_enters_and_leaves_stages_as_expected(preset: str, name: str, tmp_path: Path) -> None:
    user = TRADES[preset][name]

    assert moves(preset, {name: user}, tmp_path).get(name, "") == user.moves


@pytest.mark.parametrize("preset", TRADES)
def test_all_users_of_a_trade_together_move_as_each_alone_does_and_reach_every_stage(
    preset: str, tmp_path: Path
) -> None:
    found = moves(preset, TRADES[preset], tmp_path)

    assert found == {name: user.moves for name, user in TRADES[preset].items() if user.moves}
    assert {move.split()[1] for made in found.values() for move in made.split(", ")} == set(STAGES) - {"visitor"}


def moves(preset: str, users: dict[str, TradeUser], folder: Path) -> dict[str, str]:
    """Fold what users do under the configuration of a preset, and return their moves by day."""
    write(preset, folder)
    configuration = read_configuration(load(folder / "perennial.yaml", environment={}))
    use = Use(name="configuration", version=1, content=msgspec.Raw(encode(configuration)))
    _, given = fold_log(written(contents(use, users)), itertools.repeat(500))
    found: dict[str, list[str]] = defaultdict(list)
    for record in (one for outputs in given for one in outputs.commit.records if one.topic == "signals"):
        signal = json.loads(record.value or b"")
        if signal["kind"] == "lifecycle_moved":
            day, rest = divmod(signal["at"] - START, DAY)
            assert rest == 0
            found[signal["user"]].append(f"{day} {signal['name']}")
    return {user: ", ".join(made) for user, made in found.items()}


def contents(use: Use, users: dict[str, TradeUser]) -> Iterator[Event | Control]:
    yield from (opening("feeder"), Tick(at=START), use)
    numbers = itertools.count()
    for day in range(DAYS + 1):
        yield Tick(at=START + day * DAY)
        for name, user in users.items():
            for one in user.does:
                if one.day == day:
                    yield event(name, one.what, START + day * DAY, next(numbers))


def event(user: str, what: str, at: int, number: int) -> Event:
    common: dict[str, Any] = {"id": f"m{number}", "user": user, "at": at, "origin": "simulate"}
    match what:
        case "purchase":
            lines = (OrderLine("plan", 1, 20_000_000),)
            return Event(type="purchase", order=f"o{number}", amount=20_000_000, currency="EUR", lines=lines, **common)
        case "identify":
            return Event(type="identify", traits={"email": "ada@example.org"}, **common)
        case "product_view":
            return Event(type="product_view", item="lamp", **common)
        case "page_view":
            return Event(type="page_view", **common)
    return Event(type="custom", name=what, **common)
