"""The items for sale, from the records of ``items``."""

from __future__ import annotations

import msgspec
import pytest

from models.errors import StateMismatch
from models.recommend.catalogue import IMPORTED_KEY, Catalogue, Item, encode_item


def test_every_item_is_for_sale_before_an_import() -> None:
    assert Catalogue().sells("mug")


def test_items_in_stock_or_with_unknown_stock_are_for_sale() -> None:
    catalogue = Catalogue()
    for item in (Item(id="none", stock=0), Item(id="some", stock=1), Item(id="unknown")):
        catalogue.apply(item.id.encode(), encode_item(item))

    assert [catalogue.sells(item) for item in ("none", "some", "unknown", "unlisted")] == [False, True, True, False]


def test_a_tombstone_withdraws_an_item() -> None:
    catalogue = Catalogue()
    catalogue.apply(b"mug", encode_item(Item(id="mug")))
    catalogue.apply(b"mug", None)

    assert not catalogue.sells("mug")
    assert catalogue.get("mug") is None


def test_an_imported_catalogue_without_items_sells_nothing() -> None:
    catalogue = Catalogue()
    catalogue.apply(IMPORTED_KEY, b"{}")

    assert not catalogue.sells("mug")


def test_an_unchanged_item_does_not_change_the_revision() -> None:
    catalogue = Catalogue()
    catalogue.put(Item(id="mug", stock=1))
    revision = catalogue.revision
    catalogue.put(Item(id="mug", stock=1))

    assert catalogue.revision == revision


@pytest.mark.parametrize("value", [b"", b"garbage", b'{"title": "no id"}', b'{"id": "mug", "stock": "many"}'])
def test_an_invalid_item_is_an_error_and_changes_nothing(value: bytes) -> None:
    catalogue = Catalogue()
    with pytest.raises(msgspec.DecodeError):
        catalogue.apply(b"mug", value)

    assert catalogue.sells("anything")


def test_an_unknown_control_record_is_not_read_as_an_item() -> None:
    with pytest.raises(StateMismatch):
        Catalogue().apply(b"\x00later", b"{}")
