"""All users of a partition come into the queue of timers in parts, and in time."""

from __future__ import annotations

import itertools
from itertools import pairwise

from models.batch import Restored
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import Event
from models.fold.due_times import DueTimes
from models.fold.noting import NOTED_PER_PIECE, Noting, time_to_note
from models.fold.partition_state import PartitionState
from models.fold.versions import CONFIGURATION
from models.log import Tick, opening
from tests.support.event_logs import START, fold_log, written

KEYS = [b"a", b"b", b"c", b"d", b"e"]


def test_users_are_noted_in_parts_and_all_of_them_before_the_first_is_due() -> None:
    due = DueTimes(lambda key: [100 + key[0]])
    noting = Noting(due, lambda key: 100 + key[0], lambda: 150)

    noting.begin(list(KEYS), 100)
    assert (len(due), noting.until) == (0, 150)
    noting.note(2)
    noting.move_clock(149)
    assert (len(due), noting.until) == (2, 150)
    noting.move_clock(150)
    assert (len(due), noting.until) == (5, None)
    assert [due.pop() for _ in KEYS] == [(100 + key[0], key) for key in KEYS]


def test_users_who_are_noted_again_take_the_place_of_those_before() -> None:
    due = DueTimes(lambda key: [100 + key[0]])
    noting = Noting(due, lambda key: 100 + key[0], lambda: 150)

    noting.begin(list(KEYS), 100)
    noting.begin([b"x"], 100)
    noting.note()

    assert (len(due), noting.until) == (1, None)


def test_a_new_configuration_notes_no_user_at_once_and_all_of_them_with_the_next_pieces() -> None:
    users = 2 * NOTED_PER_PIECE + 5
    one = Event(id="e", user="u0", type="identify", at=START, traits={"plan": "pro"})
    folded, _ = fold_log(written([opening("feeder"), Tick(START), one]), itertools.repeat(9))
    state = PartitionState(
        Restored(memo=folded.memo, records={f"u{i}".encode(): folded.records[b"u0"] for i in range(users)})
    )
    segments = parse({"segments": [{"name": "pro", "when": {"trait": "plan", "is": "pro"}}]}, {})

    assert state.use(CONFIGURATION, 1, encode(segments))

    noted = [len(state.due)]
    while state.noted_until is not None:
        assert state.noted_until == START + time_to_note(users)
        assert state.next_due() == START + time_to_note(users)
        state.begin_piece()
        noted.append(len(state.due))
    assert max(later - earlier for earlier, later in pairwise(noted)) <= NOTED_PER_PIECE
    assert (noted[0], noted[-1]) == (0, users)
