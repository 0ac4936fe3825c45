"""What can be recommended at all: the items for sale, as ``perennial import items`` and the ``items`` topic tell."""

from __future__ import annotations

import msgspec

from models.errors import StateMismatch

IMPORTED_KEY = b"\x00imported"
"""Key of the record that says that a catalogue exists, even when everything in it was withdrawn since."""


class Item(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item of the catalogue; a record of ``items``, under its id.

    Attributes
    ----------
    id
        Item id, as events name it.
    title
        For people.
    price
        Micros a piece.
    categories
        Most specific last.
    stock
        Pieces; ``None`` is unknown, 0 is out of stock.
    """

    id: str
    title: str = ""
    price: int | None = None
    categories: tuple[str, ...] = ()
    stock: int | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Item)


def encode_item(item: Item) -> bytes:
    """JSON of an item, as it stands in ``items``."""
    return _encoder.encode(item)


class Catalogue:
    """Which items are for sale.

    Until a catalogue was imported, that is every item that events name. From then on it is what the catalogue lists
    and has in stock, and nothing else: a withdrawn item's tombstone is compacted away some day, so an item that is
    not listed must not come back.

    Attributes
    ----------
    revision
        Grows with every change, so that who derives something from it knows when to do so again.

    Examples
    --------
    >>> catalogue = Catalogue()
    >>> catalogue.sells("mug")
    True
    >>> catalogue.put(Item(id="pot", stock=3)); catalogue.put(Item(id="pan", stock=0))
    >>> [catalogue.sells(item) for item in ("mug", "pot", "pan")]
    [False, True, False]
    >>> catalogue.withdraw("pot")
    >>> catalogue.sells("pot")
    False
    """

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._imported = False
        self.revision = 0

    def __len__(self) -> int:
        return len(self._items)

    def copy(self) -> Catalogue:
        """Another one with the same items, to be changed beside this one."""
        other = Catalogue()
        other._items, other._imported, other.revision = self._items.copy(), self._imported, self.revision
        return other

    def get(self, item_id: str) -> Item | None:
        """Look an item up by its id."""
        return self._items.get(item_id)

    def ids(self) -> tuple[str, ...]:
        """Name every item that is listed, in or out of stock, in the order in which they were listed first."""
        return tuple(self._items)

    @property
    def imported(self) -> bool:
        """Whether there is a catalogue that decides."""
        return self._imported

    def put(self, item: Item) -> None:
        """List an item, or change it."""
        self._imported = True
        if self._items.get(item.id) != item:
            self._items[item.id] = item
            self.revision += 1

    def withdraw(self, item_id: str) -> None:
        """Take an item out."""
        self._imported = True
        self._items.pop(item_id, None)
        self.revision += 1

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take over one record of ``items``.

        Raises
        ------
        msgspec.DecodeError
            The value is no item.
        StateMismatch
            The key is a control key that this code does not know.
        """
        if key == IMPORTED_KEY:
            self._imported = True
            self.revision += 1
        elif key.startswith(b"\x00"):
            raise StateMismatch("catalogue", 2, 1)
        elif value is None:
            self.withdraw(key.decode())
        else:
            self.put(_decoder.decode(value))

    def sells(self, item_id: str) -> bool:
        """Whether an item may be recommended."""
        if not self._imported:
            return True
        item = self._items.get(item_id)
        return item is not None and (item.stock is None or item.stock > 0)
