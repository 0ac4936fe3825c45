"""Compute with pandas, from the file itself, which users of Online Retail are in which segment.

It shares no code with the evaluator of conditions, nor with the reader of the file: only the names of the segments are
the same. Every function computes the members at one instant from all rows up to then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

DAY_MS = 86_400_000
Frame: TypeAlias = Any
"""A table of pandas, which ships no types."""


class RetailHistory:
    """The rows of the file up to an instant.

    Parameters
    ----------
    rows
        All rows, as :func:`read_rows` returns them.
    now
        The instant, milliseconds.
    """

    def __init__(self, rows: Frame, now: int) -> None:
        self.now = now
        self.rows = rows[rows["at"] <= now]
        self.purchases = self.rows[~self.rows["is_refund"]]
        self.refunds = self.rows[self.rows["is_refund"]]

    def newer(self, rows: Frame, days: int) -> Frame:
        """Return the rows that are less than this many days old."""
        return rows[rows["at"] > self.now - days * DAY_MS]


Truth: TypeAlias = Callable[[RetailHistory], set[str]]


def read_rows(path: Path) -> Frame:
    """Read the file: one row of the table for each row of the file, in its order.

    Returns
    -------
    DataFrame
        ``user``, ``at`` (milliseconds), ``invoice``, ``item``, ``quantity``, ``price`` and ``amount`` (10^-6 pounds),
        and ``is_refund``. The index counts the rows.
    """
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    quantity, price = raw["Quantity"].astype("int64"), raw["UnitPrice"].astype("float64")
    micros = (price.abs() * 1_000_000).round().astype("int64")
    times = pd.to_datetime(raw["InvoiceDate"], format="%Y-%m-%d %H:%M:%S")
    return pd.DataFrame(
        {
            "user": raw["CustomerID"].where(raw["CustomerID"] != "", "anonymous:invoice-" + raw["InvoiceNo"]),
            "at": (times - pd.Timestamp(0)) // pd.Timedelta(milliseconds=1),
            "invoice": raw["InvoiceNo"],
            "item": raw["StockCode"],
            "quantity": quantity.abs(),
            "price": micros,
            "amount": quantity.abs() * micros,
            "is_refund": (quantity < 0) | (price < 0),
        }
    )


ORDER = ["user", "invoice", "is_refund"]
"""Columns that are equal in all rows of an order."""


def at_their_orders(rows: Frame) -> Frame:
    """Return all rows, each at the time of the last row of its invoice: some invoices took more than a minute."""
    return rows.assign(at=rows.groupby(ORDER)["at"].transform("max"))


def orders_of(rows: Frame) -> Frame:
    """Return one row for each invoice: the sum of its amounts, and the place of its last row."""
    placed = rows.assign(place=rows.index)
    return placed.groupby([*ORDER, "at"], as_index=False).agg(amount=("amount", "sum"), place=("place", "max"))


def _users(by_user: Frame) -> set[str]:
    """Return the users whose value in a series is true."""
    return set(by_user.index[by_user])


def _pounds(amount: float) -> int:
    return round(amount * 1_000_000)


# --- each line of an invoice is an event ----------------------------------------------------------------------------


def keen_on_two_products(history: RetailHistory) -> set[str]:
    bought = history.purchases.groupby(["user", "item"]).size()
    return _users(bought[bought >= 3].groupby("user").size() >= 2)


def big_spenders(history: RetailHistory) -> set[str]:
    rows = history.newer(history.rows, 90)
    signed = rows["amount"].where(~rows["is_refund"], -rows["amount"])
    return _users(signed.groupby(rows["user"]).sum() > _pounds(500))


def silent(history: RetailHistory) -> set[str]:
    known = history.rows.groupby("user")["at"].min()
    last = history.purchases.groupby("user")["at"].max().reindex(known.index)
    return _users(last.fillna(known) <= history.now - 60 * DAY_MS)


def high_average(history: RetailHistory) -> set[str]:
    by_user = history.newer(history.purchases, 180).groupby("user")["amount"]
    return _users(by_user.sum() > _pounds(200) * by_user.size())


def varied_taste(history: RetailHistory) -> set[str]:
    return _users(history.newer(history.purchases, 30).groupby("user")["item"].nunique() >= 40)


def big_ticket(history: RetailHistory) -> set[str]:
    return _users(history.newer(history.purchases, 90).groupby("user")["amount"].max() >= _pounds(300))


def new_customers(history: RetailHistory) -> set[str]:
    return _users(history.purchases.groupby("user")["at"].min() > history.now - 30 * DAY_MS)


def heart_without_a_tea_towel(history: RetailHistory) -> set[str]:
    hearts = history.purchases[history.purchases["item"] == "85123A"]
    towels = history.purchases[history.purchases["item"].isin(["84997A", "22423"])]
    pairs = _last_before(hearts, history.newer(towels, 90))
    served = set(pairs["user"][pairs["at"] - pairs["at_before"] <= 90 * DAY_MS])
    return set(history.newer(hearts, 90)["user"]) - served


def busy_this_month(history: RetailHistory) -> set[str]:
    begin = pd.Timestamp(history.now, unit="ms").to_period("M").start_time
    rows = history.purchases[history.purchases["at"] >= begin.value // 1_000_000]
    return _users(rows.groupby("user").size() >= 50)


def sent_a_big_item_back(history: RetailHistory) -> set[str]:
    big = history.purchases[history.purchases["amount"] >= _pounds(50)]
    pairs = _last_before(big, history.newer(history.refunds, 30))
    return set(pairs["user"][pairs["at"] - pairs["at_before"] <= 7 * DAY_MS])


def returners(history: RetailHistory) -> set[str]:
    often = history.newer(history.refunds, 90).groupby("user").size() >= 5
    much = history.newer(history.refunds, 60).groupby("user")["amount"].sum() >= _pounds(100)
    return _users(often) | _users(much)


def loyal_and_content(history: RetailHistory) -> set[str]:
    often = history.newer(history.purchases, 60).groupby("user").size() >= 30
    last = history.purchases.groupby("user")["at"].max()
    unhappy = set(history.newer(history.refunds, 30)["user"]) | _users(last <= history.now - 45 * DAY_MS)
    since = spenders_since(history)
    lasting = {user for user, at in since.items() if at <= history.now - 14 * DAY_MS}
    return (lasting & (_users(often) | big_ticket(history))) - unhappy


def spenders_since(history: RetailHistory) -> dict[str, int]:
    """Return the time since which each big spender is one: after the last instant at which the sum was too low."""
    rows = history.rows
    signed = rows["amount"].where(~rows["is_refund"], -rows["amount"])
    comes = pd.DataFrame({"user": rows["user"], "at": rows["at"], "change": signed})
    changes = pd.concat([comes, comes.assign(at=comes["at"] + 90 * DAY_MS, change=-comes["change"])])
    changes = changes[changes["at"] <= history.now].groupby(["user", "at"], as_index=False)["change"].sum()
    changes["holds"] = changes.groupby("user")["change"].cumsum() > _pounds(500)
    before = changes.groupby("user")["holds"].shift(fill_value=False)
    entered = changes[changes["holds"] & ~before].groupby("user")["at"].max()
    last = changes.groupby("user")["holds"].last()
    return {user: int(at) for user, at in entered[last.reindex(entered.index)].items()}


def christmas_goods_at_a_low_price(history: RetailHistory) -> set[str]:
    rows = history.purchases[history.purchases["at"] >= pd.Timestamp("2011-09-01").value // 1_000_000]
    rows = rows[rows["item"].str.startswith("22") & (rows["price"] <= _pounds(5))]
    return _users(rows.groupby("user")["amount"].sum() >= _pounds(100))


def one_small_basket(history: RetailHistory) -> set[str]:
    by_user = history.purchases.groupby("user")
    last = history.now - by_user["at"].max()
    return _users(
        (by_user.size() <= 5) & (by_user["amount"].min() < _pounds(10)) & (last >= 30 * DAY_MS) & (last < 90 * DAY_MS)
    )


LINE_TRUTHS: Mapping[str, Truth] = {
    "keen on two products": keen_on_two_products,
    "big spenders": big_spenders,
    "silent": silent,
    "high average": high_average,
    "varied taste": varied_taste,
    "big ticket": big_ticket,
    "new customers": new_customers,
    "heart without a tea towel": heart_without_a_tea_towel,
    "busy this month": busy_this_month,
    "sent a big item back": sent_a_big_item_back,
    "returners": returners,
    "loyal and content": loyal_and_content,
    "Christmas goods at a low price": christmas_goods_at_a_low_price,
    "one small basket": one_small_basket,
}
"""Members by the name of the segment, if each line of an invoice is an event."""

# --- each invoice is an event ---------------------------------------------------------------------------------------


def average_order_above_200(history: RetailHistory) -> set[str]:
    by_user = history.newer(orders_of(history.purchases), 180).groupby("user")["amount"]
    return _users(by_user.sum() > _pounds(200) * by_user.size())


def largest_order(history: RetailHistory) -> set[str]:
    by_user = history.newer(orders_of(history.purchases), 90).groupby("user")["amount"]
    return _users(by_user.max() >= _pounds(1000))


def two_products_in_three_orders_each(history: RetailHistory) -> set[str]:
    rows = history.newer(history.purchases, 180)
    orders = rows.groupby(["user", "item"])["invoice"].nunique()
    return _users(orders[orders >= 3].groupby("user").size() >= 2)


def ordered_exactly_once(history: RetailHistory) -> set[str]:
    return _users(orders_of(history.purchases).groupby("user").size() == 1)


def many_goods_at_a_low_price(history: RetailHistory) -> set[str]:
    rows = history.newer(history.purchases, 60)
    rows = rows[(rows["price"] < _pounds(1)) & (rows["quantity"] >= 12)]
    return _users(rows.groupby("user")["amount"].sum() >= _pounds(50))


def net_spend(history: RetailHistory) -> set[str]:
    begin = pd.Timestamp(history.now, unit="ms").to_period("M").start_time.value // 1_000_000
    orders = orders_of(history.rows)
    orders = orders[orders["at"] >= begin]
    signed = orders["amount"].where(~orders["is_refund"], -orders["amount"])
    return _users(signed.groupby(orders["user"]).sum() >= _pounds(2000))


def sent_a_whole_order_back(history: RetailHistory) -> set[str]:
    bought, refunds = orders_of(history.purchases), history.newer(orders_of(history.refunds), 60)
    pairs = refunds.merge(bought, on=["user", "amount"], suffixes=("", "_before"))
    is_after = (pairs["place"] > pairs["place_before"]) & (pairs["at"] - pairs["at_before"] <= 60 * DAY_MS)
    return set(pairs["user"][is_after])


ORDER_TRUTHS: Mapping[str, Truth] = {
    "average order above 200": average_order_above_200,
    "largest order": largest_order,
    "two products in three orders each": two_products_in_three_orders_each,
    "ordered exactly once": ordered_exactly_once,
    "many goods at a low price": many_goods_at_a_low_price,
    "net spend": net_spend,
    "sent a whole order back": sent_a_whole_order_back,
}
"""Members by the name of the segment, if each invoice is an event."""


def _last_before(first: Frame, then: Frame) -> Frame:
    """Return the rows of ``then`` that have a row of ``first`` of the same user before them, and its time.

    The order is that of the file.
    """
    return pd.merge_asof(
        then.assign(place=then.index.astype(np.int64)),
        first.assign(place=first.index.astype(np.int64))[["place", "user", "at"]],
        on="place",
        by="user",
        suffixes=("", "_before"),
        allow_exact_matches=False,
    ).dropna(subset="at_before")
