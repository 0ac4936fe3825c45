"""Fit of the load of a shop to real data: ``python -m tests.benchmarks.fit_load [--data FOLDER] [--write]``.

It prints the fitted laws, and quantiles of the data beside those of the laws. With ``--write`` it also writes them to
``figures/load.json`` and ``docs/load.md``, and draws ``docs/load.svg``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from scipy.optimize import minimize
from scipy.special import gammaln

from models.errors import PerennialError
from models.units import DAY
from tests.benchmarks import load_data, load_document
from tests.benchmarks.load_choice import Records, Workload, load_of, title_of
from tests.benchmarks.load_data import Purchases, TrivagoVisits
from tests.benchmarks.load_laws import FIT, LengthLaw, Numbers, PauseLaw, ReturnLaw, ShopLaws
from tests.benchmarks.load_statistics import statistics
from tests.benchmarks.load_visitor import ShopVisitors
from tests.benchmarks.report import plain, versions

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
POINTS = 40
"""Number of points of each line of the plot."""
SIMULATED = 20_000
"""Number of visits, and of users, that are drawn to compare what was not fitted."""
COUNTED = 100_000
"""Number of events of each load whose statistics are in the document."""
BUSY_RATE = 5_000
"""Rate of the load of a busy shop, events per second."""
MIN_DIGINETICA = 2
"""Minimum number of views of a visit in the file of Diginetica."""
MIN_DAYS = 0.5
"""Minimum time between two purchases that counts as one day when it is rounded, days."""

Cdf = Callable[[Numbers], Numbers]


class Quality(NamedTuple):
    """Data beside the law that was fitted to it.

    Attributes
    ----------
    what
        Name of the quantity, with its unit.
    values
        Values of the data, which are whole numbers.
    cdf
        Function that returns, for each number, the share of values up to this number under the law.
    least
        Minimum value that the data can have.
    """

    what: str
    values: Numbers
    cdf: Cdf
    least: int

    def summary(self) -> dict[str, Any]:
        """Return quantiles of data and law, the largest distance of their cumulative shares, and points of both."""
        ordered = np.sort(self.values)
        every = np.arange(self.least, ordered[-1] * 4 + 2)
        law = self.cdf(every)
        data = np.searchsorted(ordered, every, side="right") / len(ordered)
        seen = np.unique(np.geomspace(1, ordered[-1] + 1 - self.least, POINTS).astype(int)) - 1
        return {
            "what": self.what,
            "count": len(ordered),
            "ks": float(np.abs(law - data).max()),
            "data": [_quantile(every, data, share) for share in QUANTILES],
            "law": [_quantile(every, law, share) for share in QUANTILES],
            "points": [[float(every[place]), float(1 - data[place]), float(1 - law[place])] for place in seen],
        }


def _quantile(values: Numbers, shares: Numbers, share: float) -> float:
    """Return the smallest value whose cumulative share is at least ``share``."""
    return float(values[min(int(np.searchsorted(shares, share - 1e-12)), len(values) - 1)])


def fit_length(lengths: Numbers, least: int) -> LengthLaw:
    """Fit the law of lengths by maximum likelihood, to data that contain only lengths of at least ``least``."""
    values, counts = np.unique(lengths, return_counts=True)

    def surprise(given: Numbers) -> float:
        law = LengthLaw(float(given[0]), float(np.exp(given[1])))
        return _surprise(counts, law.cdf(values, least) - law.cdf(values - 1, least))

    mu, sigma = _least(surprise, (1.0, 0.0))
    return LengthLaw(mu, float(np.exp(sigma)))


def fit_pause(pauses: Numbers) -> PauseLaw:
    """Fit the law of pauses by maximum likelihood to whole seconds."""
    at_once = float((pauses == 0).mean())
    values, counts = np.unique(pauses[pauses > 0], return_counts=True)

    def surprise(given: Numbers) -> float:
        law = PauseLaw(0.0, float(given[0]), float(np.exp(given[1])))
        return _surprise(counts, law.cdf(values) - law.cdf(values - 1))

    mu, sigma = _least(surprise, (3.0, 0.0))
    return PauseLaw(at_once, mu, float(np.exp(sigma)))


def fit_returns(shops: list[Purchases]) -> ReturnLaw:
    """Fit the law of returns by maximum likelihood to all purchases after the first; each shop counts the same.

    At a constant rate, the likelihood of a customer's times depends only on their number and on how long the customer
    was observed. If the customers' rates follow a gamma law, this likelihood is that of a negative
    binomial law.
    """

    def surprise(given: Numbers) -> float:
        shape, scale = np.exp(given)
        total = 0.0
        for shop in shops:
            again, spent = shop.counts - 1.0, shop.observed
            likely = gammaln(shape + again) - gammaln(shape) + shape * np.log(scale)
            total -= float((likely - (shape + again) * np.log(scale + spent)).mean())
        return total

    shape, scale = _least(surprise, (0.0, 4.0))
    return ReturnLaw(float(np.exp(shape)), float(np.exp(scale)))


def _surprise(counts: np.ndarray[Any, Any], shares: Numbers) -> float:
    """Return the mean negative logarithm of the likelihood of values.

    ``counts`` says how often each value occurs, and ``shares`` gives its probability.
    """
    return -float((counts * np.log(np.maximum(shares, 1e-300))).sum() / counts.sum())


def _least(surprise: Callable[[Numbers], float], start: tuple[float, float]) -> tuple[float, float]:
    corners = np.array(start) + np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]])
    options = {"xatol": 1e-5, "fatol": 1e-9, "initial_simplex": corners}
    found = minimize(surprise, corners[0], method="Nelder-Mead", options=options)
    if not found.success:
        raise PerennialError(f"a law could not be fitted: {found.message}")
    return float(found.x[0]), float(found.x[1])


def fit(folder: Path) -> dict[str, Any]:
    """Fit all laws to the data in a folder, and return the content of ``figures/load.json``."""
    files = load_data.paths(folder)
    visits, views = load_data.trivago(files["trivago"]), load_data.diginetica(files["diginetica"])
    retail, cdnow = load_data.online_retail(files["online retail"]), load_data.cdnow(files["cdnow"])
    laws = ShopLaws(
        lengths={"trivago": fit_length(visits.lengths, 1), "diginetica": fit_length(views, MIN_DIGINETICA)},
        pauses={kind: fit_pause(visits.pauses[kind]) for kind in ("page", "view", "click")},
        following={
            before: {kind: count / row.total() for kind, count in sorted(row.items())}
            for before, row in sorted(visits.following.items())
        },
        purchases=fit_returns([retail, cdnow]),
    )
    lengths = laws.lengths
    shops = {"Online Retail": retail, "CDNOW": cdnow}
    qualities = [
        Quality("trivago: events of a visit", visits.lengths, lengths["trivago"].cdf, 1),
        Quality(
            "Diginetica: views of a visit with two or more",
            views,
            lambda counts: lengths["diginetica"].cdf(counts, MIN_DIGINETICA),
            MIN_DIGINETICA,
        ),
        *(
            Quality(f"trivago: pause before a {kind}, s", visits.pauses[kind], law.cdf, 0)
            for kind, law in laws.pauses.items()
        ),
        *(_days_between(name, shop, laws.purchases) for name, shop in shops.items()),
    ]
    about = versions()
    return {
        "commit": about["commit"],
        "python": about["python"],
        "files": {load_data.FILES[name]: load_data.checksum(path) for name, path in files.items()},
        "laws": plain(laws),
        "quantiles": list(QUANTILES),
        "fits": [plain(quality.summary()) for quality in qualities],
        "beside": plain(_beside(visits, views, shops, laws)),
        "buying": {"visits": len(views), "with_purchase": load_data.buying_visits(files["diginetica purchases"])},
    }


def _days_between(name: str, shop: Purchases, law: ReturnLaw) -> Quality:
    def cdf(days: Numbers) -> Numbers:
        return law.cdf(days + 0.5, shop.window, MIN_DAYS)

    return Quality(f"{name}: days between purchases", shop.days, cdf, 1)


def _beside(
    visits: TrivagoVisits, views: Numbers, shops: Mapping[str, Purchases], laws: ShopLaws
) -> dict[str, dict[str, float]]:
    """Compare what was not fitted: views of a visit, kinds of events, and the share of the most active customers."""
    drawn, kinds = _simulated(laws)
    counted = visits.following.values()
    total = sum(row.total() for row in counted)
    found = {}
    for kind in ("page", "view", "click"):
        found[f"trivago: share of {kind}s"] = {
            "data": sum(row[kind] for row in counted) / total,
            "law": kinds[kind] / sum(kinds.values()),
        }
    several = visits.views[visits.views >= MIN_DIGINETICA]
    found["trivago: views of a visit with two or more, mean"] = {"data": several.mean(), "law": drawn.mean()}
    found["trivago: the same, 90% quantile"] = {
        "data": float(np.quantile(several, 0.9)),
        "law": float(np.quantile(drawn, 0.9)),
    }
    found["Diginetica: views of a visit with two or more, mean"] = {
        "data": views.mean(),
        "law": 2.0 + float((1.0 - laws.lengths["diginetica"].cdf(np.arange(2.0, 1_000.0), 2)).sum()),
    }
    for name, shop in shops.items():
        drawn_counts = _simulated_counts(laws.purchases, shop.window)
        for percent in (1, 10):
            found[f"{name}: share of the purchases by the most active {percent}% of the customers"] = {
                "data": _share_of_most_active(shop.counts, percent),
                "law": _share_of_most_active(drawn_counts, percent),
            }
    return found


def _loads() -> dict[str, Records]:
    """Return the loads whose statistics are in the document, by title."""
    found = {title_of({"load": workload}): load_of(workload, COUNTED) for workload in Workload}
    busy = load_of(Workload.VISITS, COUNTED, days=COUNTED / BUSY_RATE * 1_000 / DAY)
    return {**found, f"visits, {BUSY_RATE:,} events/s": busy}


def _simulated(laws: ShopLaws) -> tuple[Numbers, dict[str, int]]:
    """Draw visits as at trivago; return the views of those with two or more, and how often each kind occurs."""
    random = Random(1)
    visitors = ShopVisitors(laws, float("inf"), random, lambda: random.randrange(1_000_000))
    kinds = {"page": 0, "view": 0, "click": 0}
    views = []
    for _ in range(SIMULATED):
        visitor = visitors.begin(0)
        visitor.browses, visitor.left = True, laws.lengths["trivago"].draw(random)
        seen, begins = 0, True
        while visitor.left:
            visitors.advance(visitor, begins=begins)
            kinds[visitor.kind] += 1
            seen += visitor.kind == "view"
            visitor.left -= 1
            begins = False
        if seen >= MIN_DIGINETICA:
            views.append(float(seen))
    return np.array(views), kinds


def _simulated_counts(law: ReturnLaw, window: float) -> Numbers:
    """Draw the number of purchases of users with at least one in a window of days."""
    random = np.random.default_rng(1)
    rates = random.gamma(law.shape, size=10 * SIMULATED) / law.scale_days
    counts = random.poisson(rates * window).astype(float)
    found: Numbers = counts[counts > 0]
    return found


def _share_of_most_active(counts: Numbers, percent: int) -> float:
    ordered = np.sort(counts)[::-1]
    return float(ordered[: len(ordered) * percent // 100].sum() / ordered.sum())


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = load_data.DATA,
    write: Annotated[bool, typer.Option("--write", help="Write figures/load.json, docs/load.md and its plot.")] = False,
) -> None:
    """Fit the load of a shop to real data, and print laws and quantiles."""
    try:
        content = fit(data)
    except PerennialError as error:
        typer.echo(f"fit_load: {error}", err=True)
        sys.exit(1)
    typer.echo(load_document.tables(content))
    if write:
        FIT.write_text(json.dumps(content, indent=1) + "\n")  # the loads below read these laws
        content["loads"] = {title: plain(statistics(load)) for title, load in _loads().items()}
        FIT.write_text(json.dumps(content, indent=1) + "\n")
        for path in load_document.write():
            typer.echo(f"rewritten: {path}", err=True)


if __name__ == "__main__":
    typer.run(main)
