"""Format levels of a log, and the schemas that belong to them."""

from __future__ import annotations

import pytest

from models.levels import FIRST, NEWEST, OLDEST, SCHEMA_OF_LEVEL, UnknownLevel, require_known
from models.log import Clock, decode_control, encode_control, opening
from models.profile.codec import PREVIOUS_SCHEMA, SCHEMA


def test_this_code_knows_two_levels_each_with_a_schema_that_it_can_write() -> None:
    assert NEWEST - OLDEST == 1
    assert [SCHEMA_OF_LEVEL[level] for level in (OLDEST, NEWEST)] == [PREVIOUS_SCHEMA, SCHEMA]
    for level in (OLDEST, NEWEST):
        require_known("here", level)


@pytest.mark.parametrize(("level", "release"), [(NEWEST + 1, "a newer release"), (OLDEST - 1, "between that level")])
def test_another_level_is_refused_with_its_place_and_with_what_is_allowed(level: int, release: str) -> None:
    with pytest.raises(UnknownLevel) as caught:
        require_known("events-3 at offset 17", level)

    message = str(caught.value)
    assert message.startswith(f"events-3 at offset 17: found format level {level}; allowed: {OLDEST} to {NEWEST}")
    assert release in message


def test_a_new_log_begins_at_the_newest_level_and_a_log_that_states_none_at_the_first_one() -> None:
    _, value = encode_control(opening("wall"))

    assert decode_control(value) == Clock("wall", NEWEST)
    assert decode_control(b'{"control":"clock","clock":"wall"}') == Clock("wall", FIRST)
    assert encode_control(Clock("wall"))[1] == b'{"control":"clock","clock":"wall"}', "as code without levels wrote it"
