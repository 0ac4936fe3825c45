"""The folder of models contains only the newest files, all complete. No file outside the folder is read."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.recommend.model import DamagedArtifact, FactorModel, Hyperparameters, model_of
from models.recommend.retraining_report import RetrainingReport
from stream.recommender.artifacts import ArtifactFolder, Published, decode_published, encode_published

RUN = RetrainingReport(publish=True, reason="good enough", cut=1, rows=2, users=3, items=4)


@pytest.fixture
def model() -> FactorModel:
    return model_of(["mug"], np.ones((1, 2), np.float32), np.ones(1, np.float32), Hyperparameters(dimensions=2))


def published(version: int, file: str, sha256: str) -> Published:
    return Published(version=version, file=file, sha256=sha256, trained_at=5, trained_until=4, run=RUN)


def test_a_written_model_is_read_by_its_published_record(tmp_path: Path, model: FactorModel) -> None:
    folder = ArtifactFolder(tmp_path / "new")
    record = encode_published(published(1, *folder.write(1, model)))

    assert record[0] == b"recommend"
    assert folder.read(decode_published(record[1])).items == ("mug",)


def test_a_damaged_file_is_refused(tmp_path: Path, model: FactorModel) -> None:
    folder = ArtifactFolder(tmp_path)
    name, sha256 = folder.write(1, model)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)

    with pytest.raises(DamagedArtifact, match="checksum"):
        folder.read(published(1, name, sha256))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedArtifact, match="No such file"):
        ArtifactFolder(tmp_path).read(published(1, "gone.safetensors", ""))


@pytest.mark.parametrize("file", ["../secret", "/etc/passwd", "a/b", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, file: str) -> None:
    with pytest.raises(DamagedArtifact):
        ArtifactFolder(tmp_path).read(published(1, file, ""))


def test_only_the_newest_files_are_kept_even_if_versions_begin_again(tmp_path: Path, model: FactorModel) -> None:
    folder = ArtifactFolder(tmp_path, keep=2)
    names = []
    for moment, version in enumerate((57, 58, 1, 2)):
        factors = np.full((1, 2), moment, np.float32)
        name, _ = folder.write(version, model_of(["mug"], factors, model.popularity, model.hyperparameters))
        os.utime(tmp_path / name, (moment, moment))
        names.append(name)

    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names[-2:])


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, model: FactorModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        ArtifactFolder(tmp_path).write(1, model)

    assert list(tmp_path.iterdir()) == []


def test_a_record_with_another_name_is_not_a_recommender() -> None:
    _, value = encode_published(published(1, "a", "b"))

    with pytest.raises(msgspec.ValidationError):
        decode_published(value.replace(b'"recommend"', b'"churn"', 1))
