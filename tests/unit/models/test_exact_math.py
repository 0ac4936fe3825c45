"""The logarithms and exponentials have the committed bits, the stated error, and the same bits in columns."""

from __future__ import annotations

import random
from decimal import Context, Decimal, localcontext
from hashlib import blake2b
from struct import pack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import exact_math
from models.profile import decay
from models.units import DAY

MAX_ERROR = Decimal("3e-16")


def spread(count: int, seed: int = 1) -> list[float]:
    """Return numbers of all sizes."""
    chance = random.Random(seed)
    sizes = [chance.random() * 10.0 ** chance.uniform(-20, 15) for _ in range(count)]
    return sizes + [float(number) for number in range(300)] + [1.0 - 2.0**-53, 1.0 + 2.0**-52, 2.0**53, 2.0**60]


def digest(values: list[float]) -> str:
    """Return a digest of the bits of numbers."""
    return blake2b(pack(f"<{len(values)}d", *values), digest_size=8).hexdigest()


def relative(found: float, exact: Decimal) -> Decimal:
    return abs(Decimal(found) - exact) / abs(exact)


def test_the_bits_are_those_that_were_committed() -> None:
    assert digest([exact_math.log1p(number) for number in spread(20_000)]) == "5ed5026ab009b234"
    assert digest([exact_math.exp(-number) for number in spread(20_000)]) == "0af82884be7005f3"
    elapsed = [int(number) for number in spread(20_000) if number < 1e12]
    assert digest([share for time in elapsed for share in decay.shares(time)]) == "2c0694df3d92dfd8"
    assert exact_math.log1p(1.0).hex() == "0x1.62e42fefa39efp-1"
    assert exact_math.exp(-1.0).hex() == "0x1.78b56362cef37p-2"


def test_a_logarithm_has_the_stated_error() -> None:
    with localcontext(Context(prec=60)):
        assert max(relative(exact_math.log1p(n), (1 + Decimal(n)).ln()) for n in spread(3_000, 2) if n) < MAX_ERROR


def test_an_exponential_has_the_stated_error() -> None:
    with localcontext(Context(prec=60)):
        assert max(relative(exact_math.exp(-n), (-Decimal(n)).exp()) for n in spread(3_000, 3) if n < 700) < MAX_ERROR


def test_the_share_that_is_left_has_an_error_of_a_few_last_bits() -> None:
    chance = random.Random(4)
    times = [chance.randrange(10 ** chance.randrange(1, 12)) for _ in range(2_000)]
    with localcontext(Context(prec=60)):
        worst = max(
            relative(share, Decimal(2) ** (-Decimal(time) / (half_life * DAY)))
            for time in times
            for share, half_life in zip(decay.shares(time), decay.HALF_LIVES, strict=True)
            if share > 1e-300
        )
    assert worst < 3 * MAX_ERROR


def test_columns_have_the_same_bits_as_single_numbers() -> None:
    numbers = spread(20_000, 5)
    times = np.array([int(number) for number in numbers if number < 1e13])

    assert exact_math.log1p_of(np.array(numbers)).tolist() == [exact_math.log1p(number) for number in numbers]
    assert exact_math.exp_of(-np.array(numbers)).tolist() == [exact_math.exp(-number) for number in numbers]
    assert decay.shares_of(times).T.tolist() == [list(decay.shares(time)) for time in times.tolist()]
    assert [decay.month_share(time) for time in times.tolist()] == [decay.shares(time)[2] for time in times.tolist()]


@pytest.mark.parametrize("number", [0.0, -0.0, -1e-9, -5.0, float("-inf"), float("nan")])
def test_a_logarithm_of_a_number_that_is_not_above_0_is_0(number: float) -> None:
    assert exact_math.log1p(number) == 0.0
    assert exact_math.log1p_of(np.array([min(number, 0.0)])).tolist() == [0.0]


@given(st.floats(max_value=0.0) | st.just(float("nan")))
def test_an_exponential_is_a_share(number: float) -> None:
    assert 0.0 <= exact_math.exp(number) <= 1.0
    assert exact_math.exp_of(np.array([number])).tolist() == [exact_math.exp(number)]
