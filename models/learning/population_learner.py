"""The learner of the population: it keeps sketches of the buyers and of their gaps, and publishes cut points.

The sketches of the buyers are kept by the day of their slot (:mod:`models.learning.buyers`). Seven days in a row have
each buyer once, so a version merges seven of them. A new day replaces the oldest one. So the values of a version are at
most a week old, and no sketch has to forget a value. The gaps are kept by spans of ninety days.

A version follows when a day has ended, or when twice as many buyers are known as in the version before. The times of
versions follow from the examples alone. Their numbers are those of the sketches (:mod:`models.learning.quantiles`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from models.events import MICROS
from models.learning import population
from models.learning.buyers import PERIOD_DAYS, BuyerExample, GapExample, PopulationExample
from models.learning.learner import OutdatedExample
from models.learning.population import SHARES, Cuts, Population, PopulationGaps
from models.learning.publication import Publication
from models.learning.quantiles import Quantiles
from models.learning.sealed import seal, unseal
from models.units import DAY

NAME = population.NAME
SCHEMA = 1
"""Version of the saved state's form."""
MIN_USERS = 50
"""Minimum number of buyers of a version."""
MIN_GAPS = 20
"""Minimum number of gaps of which a version says how long they are."""
MAX_CURRENCIES = 8
"""Maximum number of currencies with cut points of their own; those with the fewest buyers are left out."""
SPAN_DAYS = 90
"""Number of days whose gaps are in one sketch."""
MAX_SPANS = 5
"""Maximum number of such sketches. A version has the gaps of the last 360 to 450 days."""


class _PackedDay(msgspec.Struct, array_like=True):
    recency: bytes
    frequency: bytes
    monetary: dict[str, bytes]


class _PopulationState(msgspec.Struct, array_like=True):
    examples: int
    days: dict[int, _PackedDay]
    spans: dict[int, bytes]
    as_of: int
    known: int
    newest: Publication | None


class _Day:
    """The buyers of one day of slots.

    Attributes
    ----------
    recency
        The times of the last purchases, negative, so that they ascend like the time since then; milliseconds.
    frequency
        Numbers of orders.
    monetary
        Money spent without refunds, micros, by currency.
    """

    __slots__ = ("frequency", "monetary", "recency")

    def __init__(self, packed: _PackedDay | None = None) -> None:
        self.recency = Quantiles(None if packed is None else packed.recency)
        self.frequency = Quantiles(None if packed is None else packed.frequency)
        monetary = {} if packed is None else packed.monetary
        self.monetary = {currency: Quantiles(content) for currency, content in monetary.items()}

    def add(self, example: BuyerExample) -> None:
        """Add a buyer."""
        self.recency.add(float(-example.bought_at))
        self.frequency.add(float(example.orders))
        for currency, micros in example.spent.items():
            if currency not in self.monetary:
                if len(self.monetary) == MAX_CURRENCIES:
                    del self.monetary[_ranked(self.monetary)[-1]]
                self.monetary[currency] = Quantiles()
            self.monetary[currency].add(float(micros))

    def pack(self) -> _PackedDay:
        """Return what is stored."""
        monetary = {currency: sketch.pack() for currency, sketch in self.monetary.items()}
        return _PackedDay(self.recency.pack(), self.frequency.pack(), monetary)


class PopulationLearner:
    """A learner that publishes the cut points of the buyers, and the gaps between their purchases.

    Attributes
    ----------
    examples
        Number of examples learned so far.
    newest
        The newest version, or ``None`` before the first.

    Examples
    --------
    >>> learner = PopulationLearner()
    >>> for orders in range(1, 51):
    ...     buyer = BuyerExample(day=9, at=10 * DAY, bought_at=9 * DAY, orders=orders, spent={"EUR": orders * MICROS})
    ...     version = learner.learn_one(buyer)
    >>> population.decode(version.content).frequency
    (10.0, 20.0, 30.0, 40.0)
    """

    def __init__(self) -> None:
        self.examples = 0
        self.newest: Publication | None = None
        self._days: dict[int, _Day] = {}
        self._spans: dict[int, Quantiles] = {}
        self._as_of = 0
        self._known = 0

    def __repr__(self) -> str:
        """Show the number of examples and the newest version."""
        version = None if self.newest is None else self.newest.version
        return f"PopulationLearner(examples={self.examples}, version={version})"

    def learn_one(self, example: PopulationExample) -> Publication | None:
        """Learn from one example, and return the version that it completed.

        Raises
        ------
        OutdatedExample
            The example belongs to a day that is no longer kept. Nothing was learned.
        """
        if isinstance(example, GapExample):
            self._add_gap(example)
            self.examples += 1
            return None
        newest = max(self._days, default=example.day)
        if example.day <= newest - PERIOD_DAYS:
            raise OutdatedExample(f"day {example.day} is more than {PERIOD_DAYS} days before day {newest}")
        self._as_of = max(self._as_of, example.at)
        has_ended = example.day > newest and self._users() >= MIN_USERS
        published = self._publish() if has_ended else None
        if example.day > newest:
            self._days = {day: kept for day, kept in self._days.items() if day > example.day - PERIOD_DAYS}
        if example.day not in self._days:
            self._days[example.day] = _Day()
        self._days[example.day].add(example)
        self.examples += 1
        if self._users() >= max(MIN_USERS, 2 * self._known):
            published = self._publish()
        return published

    def state(self) -> bytes:
        """Return everything that was learned, with a checksum."""
        state = _PopulationState(
            examples=self.examples,
            days={day: self._days[day].pack() for day in sorted(self._days)},
            spans={span: self._spans[span].pack() for span in sorted(self._spans)},
            as_of=self._as_of,
            known=self._known,
            newest=self.newest,
        )
        return seal(state, SCHEMA)

    def restore(self, data: bytes) -> None:
        """Continue from bytes that :meth:`state` returned.

        Raises
        ------
        StateMismatch, StateDamaged
            The bytes cannot be read.
        """
        state = unseal(data, _PopulationState, SCHEMA, "learner of the population")
        self.examples, self._as_of, self._known, self.newest = state.examples, state.as_of, state.known, state.newest
        self._days = {day: _Day(packed) for day, packed in state.days.items()}
        self._spans = {span: Quantiles(packed) for span, packed in state.spans.items()}

    def population(self) -> Population:
        """Return the cut points and gaps of the examples so far.

        Raises
        ------
        ValueError
            No buyer is known yet.
        """
        days = list(self._days.values())
        recency = Quantiles.merged(day.recency for day in days)
        frequency = Quantiles.merged(day.frequency for day in days)
        by_currency: dict[str, list[Quantiles]] = {}
        for day in days:
            for currency, sketch in day.monetary.items():
                by_currency.setdefault(currency, []).append(sketch)
        monetary = {currency: Quantiles.merged(sketches) for currency, sketches in by_currency.items()}
        return Population(
            users=recency.count,
            recency=_cuts([max(self._as_of + value, 0.0) / DAY for value in _fifths(recency)]),
            frequency=_cuts(_fifths(frequency)),
            monetary={
                currency: _cuts([value / MICROS for value in _fifths(monetary[currency])])
                for currency in sorted(_ranked(monetary)[:MAX_CURRENCIES])
            },
            gaps=self._gaps(),
        )

    def _users(self) -> int:
        return sum(day.recency.count for day in self._days.values())

    def _add_gap(self, example: GapExample) -> None:
        span = example.at // (SPAN_DAYS * DAY)
        oldest = max(self._spans, default=span) - MAX_SPANS
        if span <= oldest:
            raise OutdatedExample(f"the span {span} of {SPAN_DAYS} days is not after span {oldest}")
        if span not in self._spans:
            self._spans = {one: kept for one, kept in self._spans.items() if one > span - MAX_SPANS}
            self._spans[span] = Quantiles()
        self._spans[span].add(float(example.gap))

    def _gaps(self) -> PopulationGaps | None:
        merged = Quantiles.merged(self._spans.values())
        if merged.count < MIN_GAPS:
            return None
        median, p75, p90 = (merged.quantile(share) / DAY for share in (0.5, 0.75, 0.9))
        return PopulationGaps(median=median, p75=p75, p90=p90, count=merged.count)

    def _publish(self) -> Publication:
        self._known = self._users()
        version = 1 if self.newest is None else self.newest.version + 1
        self.newest = Publication(version, population.encode(self.population()))
        return self.newest


def _fifths(sketch: Quantiles) -> list[float]:
    return [sketch.quantile(share) for share in SHARES]


def _cuts(values: Sequence[float]) -> Cuts:
    first, second, third, fourth = values
    return first, second, third, fourth


def _ranked(sketches: Mapping[str, Quantiles]) -> list[str]:
    """Return the currencies of sketches, those with the most buyers first."""
    return sorted(sketches, key=lambda currency: (-sketches[currency].count, currency))
