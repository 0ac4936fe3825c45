from __future__ import annotations

import msgspec
import pytest

from models.errors import StateDamaged, StateMismatch
from models.learning.sealed import seal, unseal


class Weights(msgspec.Struct):
    values: list[float]


def test_sealed_numbers_are_read_back_exactly() -> None:
    weights = Weights([0.1, 1 / 3, 5e-324, -0.0])
    assert unseal(seal(weights, 1), Weights, 1, "weights") == weights


@pytest.mark.parametrize("data", [b"", b"PLRN", b"\x80\x04pickle, perhaps, or anything else at all"])
def test_bytes_that_were_not_sealed_are_refused(data: bytes) -> None:
    with pytest.raises(StateDamaged, match="weights is damaged"):
        unseal(data, Weights, 1, "weights")


def test_another_schema_is_not_reported_as_damage() -> None:
    sealed = seal(Weights([1.0]), 2)
    with pytest.raises(StateMismatch, match="schema version 2; this code reads version 1"):
        unseal(sealed, Weights, 1, "weights")
    with pytest.raises(StateDamaged, match="checksum"):
        unseal(sealed[:4] + b"\x01" + sealed[5:], Weights, 1, "weights")
