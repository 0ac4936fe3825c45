"""A file of items is imported completely, or refused with the lines of all mistakes."""

from __future__ import annotations

import json

import pytest

from models.recommend.catalogue import Item
from models.recommend.item_rows import InvalidItems, read_csv, read_json_lines


def test_csv_and_json_lines_give_the_same_items() -> None:
    csv = ["id,title,price,categories,stock\n", '17,"A ""big"" mug",19.99,home | kitchen,0\n', "pot,,,,\n"]
    rows = [
        {"id": 17, "title": 'A "big" mug', "price": 19.99, "categories": ["home", "kitchen"], "stock": 0},
        {"id": "pot", "price": None},
    ]
    expected = [
        Item(id="17", title='A "big" mug', price=19_990_000, categories=("home", "kitchen"), stock=0),
        Item(id="pot"),
    ]

    assert read_csv("f", csv) == expected
    assert read_json_lines("f", [json.dumps(row) + "\n" for row in rows] + ["\n"]) == expected


@pytest.mark.parametrize(
    ("row", "mistake"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: found [1]; allowed: a JSON object"),
        ('{"title": "x"}', "line 2: id: found None"),
        ('{"id": ""}', "line 2: id: found ''"),
        ('{"id": true}', "line 2: id: found True"),
        ('{"id": "\\u0000x"}', "line 2: id: found"),
        ('{"id": "x", "price": -1}', "line 2: price: found -1"),
        ('{"id": "x", "price": "1,5"}', "line 2: price: found '1,5'"),
        ('{"id": "x", "price": 1e300}', "line 2: price: found"),
        ('{"id": "x", "price": "NaN"}', "line 2: price: found 'NaN'"),
        ('{"id": "x", "stock": 1.5}', "line 2: stock: found 1.5"),
        ('{"id": "x", "stock": -1}', "line 2: stock: found -1"),
        ('{"id": "x", "stock": true}', "line 2: stock: found True"),
        ('{"id": "x", "title": 5}', "line 2: title: found 5"),
        ('{"id": "x", "categories": 5}', "line 2: categories: found 5"),
        ('{"id": "x", "cost": 5}', "line 2: unknown field 'cost'; allowed: id, title"),
        ('{"id": "mug"}', "line 2: id: 'mug' is already on line 1"),
    ],
)
def test_a_mistake_is_reported_with_line_field_and_allowed_values(row: str, mistake: str) -> None:
    with pytest.raises(InvalidItems) as refused:
        read_json_lines("items.jsonl", ['{"id": "mug"}', row])

    assert str(refused.value).startswith(f"items.jsonl: {mistake}")
    assert str(refused.value).endswith("nothing was imported")


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        ([], "line 1: no column named id; found nothing"),
        (["sku,price"], "line 1: no column named id; found sku, price"),
        (["id,cost"], "line 1: unknown column 'cost'"),
        (["id,price"], "line 1: there are no items"),
        (["id,price", "mug,1,2"], "line 2: found 3 values"),
        (["id,price", 'mug,"1'], "line 2: unexpected end of data"),
    ],
)
def test_csv_without_a_valid_table_of_items_is_refused(lines: list[str], mistake: str) -> None:
    with pytest.raises(InvalidItems) as refused:
        read_csv("items.csv", lines)

    assert str(refused.value).startswith(f"items.csv: {mistake}")


def test_many_mistakes_are_counted() -> None:
    with pytest.raises(InvalidItems, match=r"line 10: .*; and 15 more; nothing was imported"):
        read_json_lines("f", ["{}"] * 25)
