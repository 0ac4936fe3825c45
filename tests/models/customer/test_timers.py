from __future__ import annotations

import pytest

from models.batch import Batch, Restored
from models.customer import step
from models.customer.fold import PartitionFold
from models.customer.state import NEVER, Customer, Timer, header, pack, unpack
from models.customer.timers import cancel, cancel_all, is_set, set_timer
from models.errors import StateMismatch
from models.events import Event
from models.log import Clock, Tick
from tests.models.customer.logs import START, written


def test_timers_stay_sorted_and_one_of_a_name() -> None:
    customer = Customer()
    for name, due in (("b", 5), ("a", 5), ("c", 1), ("b", 3)):
        set_timer(customer, name, due)

    assert customer.ledger.timers == [Timer(1, "c"), Timer(3, "b"), Timer(5, "a")]
    cancel(customer, "c")
    cancel(customer, "nobody")
    assert customer.next_due == 3
    assert is_set(customer, "b")


def test_all_of_a_kind_are_cancelled_together() -> None:
    customer = Customer()
    for name in ("cart:one", "cart:two", "carton"):
        set_timer(customer, name, 1)

    cancel_all(customer, "cart")

    assert [timer.name for timer in customer.ledger.timers] == ["carton"]


def test_the_header_is_read_without_unpacking() -> None:
    customer = Customer(seen=41)
    assert header(pack(customer)) == (41, NEVER)
    set_timer(customer, "assess", 99)

    assert header(pack(customer)) == (41, 99)
    assert unpack(pack(customer)) == customer


def test_a_state_of_another_schema_is_refused() -> None:
    packed = b"\x63" + pack(Customer())[1:]

    for read in (header, unpack):
        with pytest.raises(StateMismatch, match="version 99"):
            read(packed)


@pytest.fixture
def fired(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, str]]:
    seen: list[tuple[int, str, str]] = []
    original = step.step_timer

    def noted(customer: Customer, user: str, timer: Timer, *rest: object) -> None:
        seen.append((timer.due, user, timer.name))
        original(customer, user, timer, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(step, "step_timer", noted)
    return seen


def test_timers_fire_in_the_order_of_due_user_and_name_before_the_record_that_moved_now(
    fired: list[tuple[int, str, str]],
) -> None:
    state = Restored()
    for user in ("u2", "u1", "u3"):
        customer = Customer()
        for name, due in (("z", 10), ("a", 10), ("m", 5 if user == "u3" else 20)):
            set_timer(customer, name, START + due)
        state.records[user.encode()] = pack(customer)
    fold = PartitionFold(state)
    click = Event(id="e", user="u9", type="click", at=START, item="i")

    fold.fold(Batch("events", 0, written([Clock("feeder"), Tick(at=START + 9), click, Tick(at=START + 30)])))

    at = [(due - START, user, name) for due, user, name in fired]
    assert at == [
        (5, "u3", "m"),
        (10, "u1", "a"), (10, "u1", "z"), (10, "u2", "a"), (10, "u2", "z"), (10, "u3", "a"), (10, "u3", "z"),
        (20, "u1", "m"), (20, "u2", "m"),
    ]  # fmt: skip
