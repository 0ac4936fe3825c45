"""Stored structs are arrays: whoever changes one has to say so with the schema, or old bytes would be misread."""

from __future__ import annotations

import re
from hashlib import blake2b
from types import ModuleType

import msgspec
import pytest

from models.delivery import deliveries
from models.fold import memo
from models.profile import open_examples, state
from models.profile import recent_items as touches
from models.profile import seen_ids as repeats

STORED = {
    "profile": ((state, touches, open_examples, repeats), state.SCHEMA),
    "clock of a partition": ((memo,), memo.SCHEMA),
    "delivery": ((deliveries,), deliveries.SCHEMA),
}
LAYOUTS = {
    ("profile", 4): "d8ab24407c86d8e7",
    ("clock of a partition", 2): "e0c53243ae168d62",
    ("delivery", 1): "43ab0d845a8cb240",
}
"""Of each stored thing, by its schema. Another layout is another schema; ``state.unpack`` reads the one before."""


def _layout(modules: tuple[ModuleType, ...]) -> str:
    structs = {
        each.__name__: each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == module.__name__
    }
    told = [
        f"{name}({', '.join(f'{field}: {each.__annotations__[field]}' for field in each.__struct_fields__)})"
        for name, each in sorted(structs.items())
    ]
    # a list and a tuple of any length are the same bytes
    said = re.sub(r"tuple\[(\w+), \.\.\.\]", r"list[\1]", "\n".join(told))
    return blake2b(said.encode(), digest_size=8).hexdigest()


@pytest.mark.parametrize("what", STORED)
def test_a_stored_struct_changes_only_with_its_schema(what: str) -> None:
    modules, schema = STORED[what]

    assert LAYOUTS.get((what, schema)) == _layout(modules)
