"""Real data to which the load of a shop is fitted: visits of trivago and Diginetica, purchases of two shops.

The files are beside the repository, because their owners set the terms. ``../shared/data/README.md`` says where each
data set comes from.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.errors import PerennialError
from tests.benchmarks.load_laws import Numbers
from tests.support.paths import ROOT

DATA = ROOT.parent / "shared" / "data"
FILES = {
    "trivago": "trivago/trivago_100k.csv.gz",
    "diginetica": "diginetica/train_sessions.txt.gz",
    "diginetica purchases": "diginetica/train-purchases.csv.gz",
    "online retail": "online_retail/online_retail.csv.gz",
    "cdnow": "cdnow/CDNOW_master.txt.gz",
}
"""File of each data set, relative to the folder of the data."""
PAGES = ("search for destination", "search for poi", "filter selection", "change of sort order")
"""Actions of trivago that show a list and no item."""


class MissingData(PerennialError):
    """Files of the data sets are missing. The message names each of them."""


class TrivagoVisits(NamedTuple):
    """The visits of trivago.

    Attributes
    ----------
    lengths
        Number of actions of each visit.
    views
        Number of product views of each visit.
    pauses
        Pauses before the actions of each kind, whole seconds.
    following
        Number of actions of each kind after an action of each kind, and at the ``start``.
    """

    lengths: Numbers
    views: Numbers
    pauses: dict[str, Numbers]
    following: dict[str, Counter[str]]


class Purchases(NamedTuple):
    """Purchases of the customers of a shop; several on one day count as one.

    Attributes
    ----------
    days
        Days between two purchases of a customer.
    counts, observed
        Number of purchases of each customer, and days from the first one to the end of the data.
    window
        Number of days that the data covers.
    """

    days: Numbers
    counts: Numbers
    observed: Numbers
    window: float


def paths(folder: Path = DATA) -> dict[str, Path]:
    """Return the file of each data set.

    Raises
    ------
    MissingData
        At least one file is missing.
    """
    found = {name: folder / file for name, file in FILES.items()}
    if missing := [str(path) for path in found.values() if not path.exists()]:
        raise MissingData(f"files of the data sets are missing: {', '.join(missing)}; --data names another folder")
    return found


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def trivago(path: Path) -> TrivagoVisits:
    """Read the visits of trivago, and classify their actions as ``page``, ``view`` or ``click``.

    A list without an item is a page. The first action on another item than before is a view of this item. Every
    further action on the same item is a click.
    """
    visits: dict[str, list[tuple[int, int, str, str]]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            action = (int(row["step"]), int(row["timestamp"]), row["action_type"], row["reference"])
            visits[row["session_id"]].append(action)
    pauses: dict[str, list[int]] = defaultdict(list)
    following: dict[str, Counter[str]] = defaultdict(Counter)
    views = []
    for actions in visits.values():
        item, before, last, seen = None, "start", None, 0
        for _, at, did, reference in sorted(actions):
            kind = "page" if did in PAGES else "click" if reference == item else "view"
            item = item if kind == "page" else reference
            seen += kind == "view"
            following[before][kind] += 1
            if last is not None:
                pauses[kind].append(max(0, at - last))
            before, last = kind, at
        views.append(seen)
    return TrivagoVisits(
        np.array([float(len(actions)) for actions in visits.values()]),
        np.array(views, dtype=float),
        {kind: np.array(some, dtype=float) for kind, some in pauses.items()},
        dict(following),
    )


def diginetica(path: Path) -> Numbers:
    """Read the number of product views of each visit; visits with one view are not in the file."""
    with gzip.open(path, "rt") as file:
        return np.array([float(len(line.split())) for line in file])


def buying_visits(path: Path) -> int:
    """Return the number of visits of Diginetica with a purchase."""
    with gzip.open(path, "rt", newline="") as file:
        return len({row["sessionId"] for row in csv.DictReader(file, delimiter=";")})


def online_retail(path: Path) -> Purchases:
    """Read the invoices of the customers of Online Retail, without refunds."""
    found: dict[str, set[date]] = defaultdict(set)
    with gzip.open(path, "rt", newline="") as file:
        lines = csv.reader(file)
        headings = next(lines)
        number, quantity, at, customer = (headings.index(name) for name in _RETAIL)
        for line in lines:
            if line[customer] and not line[number].startswith("C") and not line[quantity].startswith("-"):
                found[line[customer]].add(date.fromisoformat(line[at][:10]))
    return _purchases(found)


def cdnow(path: Path) -> Purchases:
    """Read the purchases of the customers of CDNOW."""
    found: dict[str, set[date]] = defaultdict(set)
    with gzip.open(path, "rt") as file:
        for line in file:
            customer, day, *_ = line.split()
            if customer.isdigit():  # not the heading
                found[customer].add(date.fromisoformat(day))
    return _purchases(found)


_RETAIL = ("InvoiceNo", "Quantity", "InvoiceDate", "CustomerID")


def _purchases(customers: Mapping[str, Iterable[date]]) -> Purchases:
    ordered = [sorted(days) for days in customers.values()]
    between = [(after - before).days for days in ordered for before, after in pairwise(days)]
    first, last = min(days[0] for days in ordered), max(days[-1] for days in ordered)
    return Purchases(
        np.array(between, dtype=float),
        np.array([float(len(days)) for days in ordered]),
        np.array([float((last - days[0]).days) for days in ordered]),
        float((last - first).days),
    )
