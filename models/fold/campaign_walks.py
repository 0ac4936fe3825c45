"""The walk of campaigns over the users of a partition: whose turn comes next, and whose has passed.

All users that a partition has at the order are in the queue of timers, each at the time of its turn. This time follows
from the order and the user's id, so it is not stored. Which turns have passed follows from the partition's clock. Only
when a commit ends between timers that are due, the place of the last turn is stored as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from models.batch import Restored
from models.engage.campaigns.orders import NEVER, Order
from models.fold.campaigns_in_use import CampaignsInUse
from models.fold.due_times import Entry
from models.fold.refused_starts import StartRefused
from models.fold.versions import Versions
from models.log import CampaignOrder

CURSOR_KEY = b"\x00campaigns-turn"
"""Key in ``profiles`` under which the place of the last turn is stored, if a commit ends between timers."""

Turn = tuple[int, bytes, str]
"""A place in the walk: due time, key of the user, id of the order."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Turn).decode


class CampaignWalks:
    """The walks of one partition.

    Parameters
    ----------
    versions
        The versions in use, with the orders.
    committed
        The committed state.
    now
        The partition's clock, milliseconds.

    Attributes
    ----------
    open
        Orders of which some turns have not passed before the piece in progress.
    """

    def __init__(self, versions: Versions, committed: Restored, now: int) -> None:
        self._versions = versions
        stored = committed.records.get(CURSOR_KEY)
        self._cursor: Turn = (now + 1, b"", "") if stored is None else _decode(stored)
        self._before = self._cursor
        self.open: tuple[Order, ...] = ()

    def __repr__(self) -> str:
        """Show the orders."""
        return f"CampaignWalks({self._campaigns!r})"

    @property
    def _campaigns(self) -> CampaignsInUse:
        return self._versions.campaigns

    # --- pieces ----------------------------------------------------------------------------------------------------

    def begin_piece(self, now: int, first: Entry | None) -> None:
        """Begin a piece at a time, before which no timer is due but the first one of the queue."""
        self._before, settled_at = self._cursor, now if first is None else min(now, first[0] - 1)
        orders = self._campaigns.orders
        self.open = tuple(one for one in orders if one.status != "cancelled" and one.end > settled_at)

    def abandon_piece(self) -> None:
        """Forget the turns of the piece in progress."""
        self._cursor = self._before

    def cursor(self) -> bytes:
        """Return the place of the last turn, as it is stored."""
        return _encode(self._cursor)

    # --- turns -----------------------------------------------------------------------------------------------------

    def turns_of(self, key: bytes) -> Iterator[int]:
        """Yield the times of the turns of a user that have not passed."""
        for order in self._campaigns.orders:
            if order.status == "running" and (due := order.due_of(key.decode())) >= self._cursor[0]:
                yield due

    def order_at(self, key: bytes, due: int) -> Order | None:
        """Return the order for which a turn of a user comes next at a time; ``None`` if there is none."""
        if not self._campaigns.orders:
            return None
        for order in sorted(self._campaigns.orders, key=_id):
            may_be = order.status == "running" and order.end >= due and self._cursor < (due, key, order.id)
            if may_be and order.due_of(key.decode()) == due:
                return order
        return None

    def take(self, order: Order, entry: Entry) -> None:
        """Remember that the turn of a user has come."""
        self._cursor = (*entry, order.id)

    # --- orders ----------------------------------------------------------------------------------------------------

    def follow(self, control: CampaignOrder, now: int, keys: Iterable[bytes]) -> Iterator[Entry]:
        """Follow a control record, and yield the turns to add to the queue of timers.

        A fold of watched conditions sends nothing. A start that is refused is remembered.

        Raises
        ------
        msgspec.DecodeError
            The record has no campaign.
        StartRefused
            The record would start a campaign that may not be started now.
        """
        if self._versions.watched is not None:
            return
        before, users = self._campaigns, sorted(keys)
        configured = self._versions.configuration.campaigns if self._versions.conditions is not None else ()
        try:
            after = self._versions.campaigns = before.following(control, now, users, configured)
        except StartRefused as refused:
            self._versions.campaigns = before.refusing(control, refused, now)
            raise
        order = after.order(control.id)
        if after is before or order is None or order.status != "running":
            return
        for key in users:
            due = order.due_of(key.decode())
            if due > now:
                yield due, key

    def waiting(self, keys: Iterable[bytes]) -> Iterator[Entry]:
        """Yield all turns that have not passed, of users that were stored."""
        orders = [order for order in self._campaigns.orders if order.status == "running"]
        orders = [order for order in orders if order.end >= self._cursor[0]]
        for key in keys if orders else ():
            for order in orders:
                due = order.due_of(key.decode())
                if due != NEVER and self._cursor < (due, key, order.id):
                    yield due, key


def _id(order: Order) -> str:
    return order.id
