"""A model is packed and read back exactly, and a damaged one is refused."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import StateMismatch
from models.recommend import model as model_module
from models.recommend.model import (
    DamagedArtifact,
    FactorModel,
    Hyperparameters,
    checksum,
    model_of,
    pack_model,
    unpack_model,
)


@pytest.fixture
def model() -> FactorModel:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(3, 4)).astype(np.float32)
    names = ["mug", "Töpfe", "日本"]
    return model_of(
        names, factors, np.ones(3, np.float32), Hyperparameters(dimensions=4), trained_until=7, facts={"a": 1}
    )


def test_a_model_is_read_back_exactly(model: FactorModel) -> None:
    data = pack_model(model)
    read = unpack_model(data, checksum(data))

    assert (read.items, read.hyperparameters, read.trained_until, read.facts) == (
        model.items,
        model.hyperparameters,
        7,
        {"a": 1},
    )
    assert np.array_equal(read.factors, model.factors)
    assert np.array_equal(read.gram, model.gram)
    assert np.array_equal(read.popularity, model.popularity)


def test_one_flipped_bit_is_noticed(model: FactorModel) -> None:
    data = bytearray(pack_model(model))
    sha256 = checksum(bytes(data))
    data[-3] ^= 1

    with pytest.raises(DamagedArtifact, match="checksum"):
        unpack_model(bytes(data), sha256)


@pytest.mark.parametrize(
    "data", [b"", b"garbage", b"\x10" + bytes(7) + b"{}              "], ids=["empty", "text", "header"]
)
def test_bytes_that_are_not_a_model_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedArtifact):
        unpack_model(data)


def test_a_truncated_file_is_refused(model: FactorModel) -> None:
    with pytest.raises(DamagedArtifact):
        unpack_model(pack_model(model)[:-5])


def test_numbers_that_are_not_finite_are_refused(model: FactorModel) -> None:
    model.factors[1, 1] = np.nan

    with pytest.raises(DamagedArtifact, match="not finite"):
        unpack_model(pack_model(model))


def test_an_error_names_the_other_schema(model: FactorModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "SCHEMA", 99)
    data = pack_model(model)
    monkeypatch.undo()

    with pytest.raises(StateMismatch, match="99"):
        unpack_model(data)
