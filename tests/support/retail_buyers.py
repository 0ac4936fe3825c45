"""The buyers of Online Retail twice: from the file alone, and through our reducers. And scores by plain counting."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from models.events import MICROS, Event
from models.fold.rfm import Buyer, RfmScores, buyer_of
from models.learning.population import Cuts, Population
from models.learning.quantiles import Quantiles
from models.profile.numbers import Numbers, new_numbers, put_back
from models.profile.reducers import reduce_facts
from models.profile.state import Facts
from models.units import DAY
from stream.feed.online_retail import read_online_retail
from stream.feed.recording import survey

CURRENCY = "GBP"
RECEIVED = 1_767_571_200_000


def naive_buyers(path: Path) -> dict[str, Buyer]:
    """Read the file line by line, and add up what each customer has bought. Nothing of the product is used."""
    invoices: defaultdict[str, dict[str, str]] = defaultdict(dict)
    paid, given_back = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
    with gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="") as lines:
        for invoice, _, _, quantity, date, price, customer, _ in list(csv.reader(lines))[1:]:
            amount = int(quantity) * Decimal(price)
            if not customer:
                continue
            if int(quantity) < 0:
                given_back[customer] -= amount
            else:
                invoices[customer][invoice] = min(date, invoices[customer].get(invoice, date))
                paid[customer] += amount
    return {
        customer: Buyer(
            bought_at=max(_milliseconds(date) for date in dates.values()),
            orders=len(dates),
            spent={CURRENCY: max(int((paid[customer] - given_back[customer]) * MICROS), 0)} if paid[customer] else {},
        )
        for customer, dates in invoices.items()
    }


def retail_events(path: Path) -> Iterator[Event]:
    """Read the file as events of identified customers."""
    for read in read_online_retail(survey(path), RECEIVED):
        if read.event is not None and read.event.identified:
            yield read.event


def reduced_buyers(path: Path) -> dict[str, Buyer]:
    """Fold the file's events by our reducers, and return the buyers that the fold scores."""
    users: defaultdict[str, tuple[Facts, Numbers]] = defaultdict(lambda: (Facts(), new_numbers()))
    for event in retail_events(path):
        reduce_facts(*users[event.user], event)
    found = {}
    for user, (facts, numbers) in users.items():
        put_back(numbers, facts)
        buyer = buyer_of(facts)
        if buyer is not None:
            found[user] = buyer
    return found


def naive_scores(buyers: Mapping[str, Buyer], now: int) -> dict[str, RfmScores]:
    """Score buyers by sorting all of them: 1 and 1 more for each fifth whose last member has less."""
    recency = _counted({user: now - buyer.bought_at for user, buyer in buyers.items()})
    frequency = _counted({user: buyer.orders for user, buyer in buyers.items()})
    spent = {user: sum(buyer.spent.values()) for user, buyer in buyers.items() if buyer.spent}
    monetary = _counted(spent)
    return {
        user: RfmScores(5 - recency[user], 1 + frequency[user], 1 + monetary[user] if user in spent else 1)
        for user in buyers
    }


def exact_population(buyers: Mapping[str, Buyer], now: int) -> Population:
    """Return the population of these buyers with exact cut points."""
    ages = sorted(now - buyer.bought_at for buyer in buyers.values())
    money = sorted(buyer.spent[CURRENCY] for buyer in buyers.values() if buyer.spent)
    return Population(
        users=len(buyers),
        recency=_cuts([age / DAY for age in _fifths(ages)]),
        frequency=_cuts(_fifths(sorted(buyer.orders for buyer in buyers.values()))),
        monetary={CURRENCY: _cuts([micros / MICROS for micros in _fifths(money)])},
    )


def sketched_population(buyers: Mapping[str, Buyer], now: int) -> Population:
    """Return the population of these buyers with cut points from sketches."""
    recency, frequency, monetary = Quantiles(), Quantiles(), Quantiles()
    for buyer in buyers.values():
        recency.add(float(now - buyer.bought_at))
        frequency.add(float(buyer.orders))
        for micros in buyer.spent.values():
            monetary.add(float(micros))
    shares = (0.2, 0.4, 0.6, 0.8)
    return Population(
        users=recency.count,
        recency=_cuts([recency.quantile(share) / DAY for share in shares]),
        frequency=_cuts([frequency.quantile(share) for share in shares]),
        monetary={CURRENCY: _cuts([monetary.quantile(share) / MICROS for share in shares])},
    )


def differing(
    one: Mapping[str, RfmScores], other: Mapping[str, RfmScores], names: Sequence[str] = RfmScores._fields
) -> dict[str, float]:
    """Return the share of users whose score differs, by the name of the score, and ``any`` for at least one."""
    shares = {name: sum(getattr(one[user], name) != getattr(other[user], name) for user in one) for name in names}
    shares["any"] = sum(one[user] != other[user] for user in one)
    return {name: count / len(one) for name, count in shares.items()}


def _counted(values: Mapping[str, int]) -> dict[str, int]:
    """Return, for each user, how many of the four fifths end below the user's value."""
    ordered = sorted(values.values())
    ends = [ordered[(fifth * len(ordered) + 4) // 5 - 1] for fifth in (1, 2, 3, 4)]
    return {user: sum(end < value for end in ends) for user, value in values.items()}


def _fifths(ordered: Sequence[int]) -> list[int]:
    return [ordered[(fifth * len(ordered) + 4) // 5 - 1] for fifth in (1, 2, 3, 4)]


def _cuts(values: Sequence[float]) -> Cuts:
    first, second, third, fourth = values
    return float(first), float(second), float(third), float(fourth)


def _milliseconds(date: str) -> int:
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * 1000
