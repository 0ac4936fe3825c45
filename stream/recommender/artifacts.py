"""The folder of trained models, and what the ``versions`` topic says about each: an address and a checksum."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from models.log import Use, decode_control, encode_control
from models.recommend.model import DamagedArtifact, FactorModel, checksum, pack_model, unpack_model
from models.recommend.retraining_report import RetrainingReport

NAME = "recommend"
"""Under which name recommenders are versioned; the key in ``versions``."""
SUFFIX = ".safetensors"


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What ``versions`` says about one recommender.

    Attributes
    ----------
    version
        Positive, growing.
    file
        Name within the configured folder, which may be mounted elsewhere for each process.
    sha256
        Of its bytes.
    trained_at
        Wall time, milliseconds.
    trained_until
        Time of the newest interaction it has seen, milliseconds.
    run
        What it was trained on, and how it was graded.
    previous
        The one before, for a worker that starts and finds this one damaged: the compacted topic has forgotten it.
        It has none itself.
    """

    version: int
    file: str
    sha256: str
    trained_at: int
    trained_until: int
    run: RetrainingReport
    previous: Published | None = None


def encode_published(published: Published) -> tuple[bytes, bytes]:
    """Key and value of the record in ``versions``."""
    use = Use(name=NAME, version=published.version, content=msgspec.Raw(msgspec.json.encode(published)))
    return NAME.encode(), encode_control(use)[1]


def decode_published(value: bytes) -> Published:
    """Read a record of ``versions`` under our name; raises ``msgspec.DecodeError`` where it is none."""
    control = decode_control(value)
    if not isinstance(control, Use) or control.name != NAME:
        raise msgspec.ValidationError(f"not a version of {NAME}")
    return msgspec.json.decode(control.content, type=Published)


class ArtifactFolder:
    """Models on disk; a file is complete or not there.

    Parameters
    ----------
    path
        Made when the first model is written.
    keep
        How many of the newest files stay.
    """

    def __init__(self, path: Path, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}; at least 1 is allowed")
        self.path = path
        self._keep = keep

    def write(self, version: int, model: FactorModel) -> tuple[str, str]:
        """Write a model; returns the file's name and SHA-256, and removes files beyond those that are kept."""
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
            Path(temporary).chmod(0o644)  # mkstemp lets only its owner read; workers may run as somebody else
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
            It is missing, or not what was published.
        StateMismatch
            Another schema version wrote it.
        """
        if Path(published.file).name != published.file:
            raise DamagedArtifact(f"{published.file!r} is no name within the folder of artifacts")
        path = self.path / published.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DamagedArtifact(f"{path} cannot be read: {error.strerror}") from error
        return unpack_model(data, published.sha256)

    def _sync(self) -> None:
        """Make the new name durable too."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _retain(self, newest: str) -> None:
        # by time and not by version: on a log that began anew, versions do too
        files = sorted(self.path.glob(f"{NAME}-*{SUFFIX}"), key=lambda file: (file.name == newest, _written(file)))
        for file in files[: -self._keep]:
            file.unlink(missing_ok=True)


def _written(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:  # another retrainer removed it
        return 0
