"""The folder of trained models, and their records in the topic ``versions``: an address and a checksum."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from models.log import Use, decode_control, encode_control
from models.recommend.model import DamagedArtifact, FactorModel, checksum, pack_model, unpack_model
from models.recommend.retraining_report import RetrainingReport

__all__ = ["NAME", "ArtifactFolder", "Published", "decode_published", "encode_published"]

NAME = "recommend"
"""Name under which recommenders are versioned; the key in ``versions``."""
SUFFIX = ".safetensors"


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """Record of a published recommender in ``versions``.

    Attributes
    ----------
    version
        Positive number; later versions are higher.
    file
        Name in the configured folder, which may be mounted elsewhere for each process.
    sha256
        SHA-256 of the file.
    trained_at
        Wall time of the training, milliseconds.
    trained_until
        Time of the newest interaction in the training, milliseconds.
    run
        Data and grade of the training.
    previous
        The previous version; its own ``previous`` is ``None``. A worker that starts and finds this version damaged uses
        the previous one. The compacted topic has deleted the record of that version, so it is stored here.
    """

    version: int
    file: str
    sha256: str
    trained_at: int
    trained_until: int
    run: RetrainingReport
    previous: Published | None = None


def encode_published(published: Published) -> tuple[bytes, bytes]:
    """Encode key and value of the record in ``versions``."""
    use = Use(name=NAME, version=published.version, content=msgspec.Raw(msgspec.json.encode(published)))
    return NAME.encode(), encode_control(use)[1]


def decode_published(value: bytes) -> Published:
    """Decode a record of ``versions``; raise ``msgspec.DecodeError`` if it is not a recommender."""
    control = decode_control(value)
    if not isinstance(control, Use) or control.name != NAME:
        raise msgspec.ValidationError(f"not a version of {NAME}")
    return msgspec.json.decode(control.content, type=Published)


class ArtifactFolder:
    """Models on disk; each file is complete or does not exist.

    Parameters
    ----------
    path
        The folder; it is created when the first model is written.
    keep
        Number of newest files that are kept.
    """

    def __init__(self, path: Path, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}; at least 1 is allowed")
        self.path = path
        self._keep = keep

    def __repr__(self) -> str:
        return f"ArtifactFolder({str(self.path)!r}, keep={self._keep})"

    def write(self, version: int, model: FactorModel) -> tuple[str, str]:
        """Write a model, remove files that are no longer kept, and return the file's name and SHA-256."""
        data = pack_model(model)
        sha256 = checksum(data)
        name = f"{NAME}-{version:06d}-{sha256[:12]}{SUFFIX}"
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.path, prefix=".writing-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)  # mkstemp lets only its owner read, and workers may run as another user
            Path(temporary).replace(self.path / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._sync()
        self._retain(name)
        return name, sha256

    def read(self, published: Published) -> FactorModel:
        """Read a published model.

        Raises
        ------
        DamagedArtifact
            The file is missing, or its content differs from the published one.
        StateMismatch
            The file has another schema version.
        """
        if Path(published.file).name != published.file:
            raise DamagedArtifact(f"{published.file!r} is not a name in the folder of artifacts")
        path = self.path / published.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DamagedArtifact(f"{path} cannot be read: {error.strerror}") from error
        return unpack_model(data, published.sha256)

    def _sync(self) -> None:
        """Make the new name durable as well."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _retain(self, newest: str) -> None:
        # Sort by time and not by version, because in a new log the versions begin again.
        files = sorted(self.path.glob(f"{NAME}-*{SUFFIX}"), key=lambda file: (file.name == newest, _written(file)))
        for file in files[: -self._keep]:
            file.unlink(missing_ok=True)


def _written(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:  # another retrainer removed it
        return 0
