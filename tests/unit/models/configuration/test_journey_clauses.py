"""What only a journey could give a value is refused in segments, with its place."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.parsing import parse
from models.errors import InvalidConfiguration

MARK = {"mark": "onboarded", "is": True}
ENTRY = {"event": "Trial Started", "since": "entry"}
TRAIT = {"trait": "plan", "is": "pro"}


@pytest.mark.parametrize(
    ("when", "path", "found", "allowed"),
    [
        (MARK, "segments[1].when.mark", "onboarded", "only conditions in journeys read marks"),
        ({"any": [TRAIT, {"not": MARK}]}, "segments[1].when.any[1].not.mark", "onboarded", "use a trait instead"),
        ({"none": [TRAIT, ENTRY]}, "segments[1].when.none[1].since", "entry", "only a journey has an entry"),
    ],
)
def test_a_clause_for_journeys_is_refused_with_its_place(
    when: dict[str, Any], path: str, found: str, allowed: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse({"segments": [{"name": "a", "when": TRAIT}, {"name": "b", "when": when}]}, {})

    assert (caught.value.path, caught.value.found) == (path, found)
    assert allowed in caught.value.allowed
