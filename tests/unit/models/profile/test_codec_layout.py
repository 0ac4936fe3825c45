"""The layout of stored structs. They are arrays, so a change without a new schema would misread stored bytes."""

from __future__ import annotations

import re
from hashlib import blake2b
from types import ModuleType

import msgspec
import pytest

from models.delivery import deliveries
from models.fold import memo
from models.profile import (
    campaign_marks,
    codec,
    conversions,
    import_records,
    ledger,
    links,
    open_examples,
    recent_items,
    runs,
    seen_ids,
    state,
)

STORED = {
    "profile": (
        (
            state,
            ledger,
            links,
            codec,
            recent_items,
            open_examples,
            seen_ids,
            runs,
            campaign_marks,
            conversions,
            import_records,
        ),
        codec.SCHEMA,
    ),
    "clock of a partition": ((memo,), memo.SCHEMA),
    "delivery": ((deliveries,), deliveries.SCHEMA),
}
LAYOUTS = {
    ("profile", 5): "76dfd66144b1e67e",
    ("clock of a partition", 2): "4928903916571602",
    ("delivery", 1): "d04afe0ab797f94f",
}
"""Digest of the layout of each stored thing, by its schema.

A change of a layout needs a new schema. ``codec.unpack`` can read the previous one. A delivery is stored with the names
of its fields, so a new field with a default needs none.
"""


def _layout(modules: tuple[ModuleType, ...]) -> str:
    """Return a digest of the fields of all structs. It does not depend on the names of classes."""
    structs: dict[str, type[msgspec.Struct]] = {
        each.__name__: each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == module.__name__
    }

    def expand(struct: type[msgspec.Struct]) -> str:
        fields = [f"{field}: {inside(struct.__annotations__[field])}" for field in struct.__struct_fields__]
        return f"({', '.join(fields)})"

    def inside(annotation: str) -> str:
        return re.sub(r"\w+", lambda found: expand(structs[found[0]]) if found[0] in structs else found[0], annotation)

    # A list and a tuple of any length have the same encoding.
    text = re.sub(r"tuple\[(\w+), \.\.\.\]", r"list[\1]", "\n".join(sorted(map(expand, structs.values()))))
    return blake2b(text.encode(), digest_size=8).hexdigest()


@pytest.mark.parametrize("what", STORED)
def test_the_layout_of_a_stored_struct_changes_only_with_its_schema(what: str) -> None:
    modules, schema = STORED[what]

    assert LAYOUTS.get((what, schema)) == _layout(modules), "the layout has changed: raise its schema, and list it here"
