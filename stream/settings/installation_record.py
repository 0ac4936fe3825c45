"""The record of a running installation; with it, every command in the folder finds the installation.

``perennial up`` writes ``installation.json`` into the data folder: the address of its broker, the prefix of its topics,
and the ports of its processes. It holds a lock while it runs. If the lock is free, the installation has ended, and its
record is not used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from models.errors import PerennialError
from stream.settings.sources import Given

FILE = "installation.json"
LOCK = "installation.lock"
LOCK_WITHIN_S = 1.0
"""How long a start waits for the lock, in seconds. A command holds it for a moment to check whether it is free."""


class RunsAlready(PerennialError):
    """An installation that already runs in this folder: stop it, or use another folder."""


class InstallationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An installation that runs.

    Attributes
    ----------
    pid, started
        Id of the process, and the time of its start.
    settings
        Settings that the commands in its folder need: values by path.
    overridden
        Names of failed findings that ``--force`` overrode.
    """

    pid: int
    started: str
    settings: dict[str, str | int | bool | None]
    overridden: list[str] = []

    def __str__(self) -> str:
        address = f"{self.settings.get('http.host')}:{self.settings.get('http.port')}"
        return (
            f"process {self.pid} since {self.started}, broker {self.settings.get('kafka.servers')}, "
            f"HTTP door http://{address}"
        )


def read(folder: Path) -> InstallationRecord | None:
    """Read the record in a data folder, whether its installation still runs or not; ``None`` if there is none.

    A record that cannot be read counts as none, because another program wrote it.
    """
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=InstallationRecord)
    except (OSError, msgspec.DecodeError):
        return None


def runs(folder: Path) -> bool:
    """Return whether the installation of a data folder runs."""
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def lay_under(given: Given, folder: Path) -> str:
    """Take settings that were not given from the record of the installation that runs in the data folder.

    Parameters
    ----------
    given
        Changed in place: gets values whose origin is the record.
    folder
        The data folder.

    Returns
    -------
    str
        Why the record is not used; empty if it is used, or if there is none.
    """
    record = read(folder)
    if record is None:
        return ""
    if not runs(folder):
        return f"{folder / FILE} is ignored, because its installation has ended ({record})"
    named = _value(given, "kafka.servers")
    if named is not None and _address(named) != _address(record.settings.get("kafka.servers")):
        return f"{folder / FILE} is ignored, because it names another broker than kafka.servers ({record})"
    prefix = _value(given, "kafka.prefix")
    another_log = prefix is not None and prefix != record.settings.get("kafka.prefix")
    for path, value in record.settings.items():
        if given.source(path) == "default" and not (another_log and path == "kafka.partitions"):
            given.set(path, value, f"{folder / FILE} (perennial up, process {record.pid})")
    return ""


def _value(given: Given, path: str) -> object:
    section, _, name = path.partition(".")
    held = given.values.get(section)
    return held.get(name) if isinstance(held, Mapping) else None


def _address(servers: object) -> str:
    return str(servers).strip().replace("localhost:", "127.0.0.1:")


@contextmanager
def owned(folder: Path) -> Iterator[InstallationOwner]:
    """Lock a data folder, so that no other installation runs in it until the context ends.

    Raises
    ------
    RunsAlready
        Another installation runs in this folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(lock, folder)
        owner = InstallationOwner(folder)
        try:
            yield owner
        finally:
            owner.remove()
    finally:
        os.close(lock)


def _take(lock: int, folder: Path) -> None:
    deadline = time.monotonic() + LOCK_WITHIN_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                record = read(folder)
                known = f" ({record})" if record is not None else ""
                raise RunsAlready(
                    f"perennial up already runs in {folder}{known}; stop it first, or use another folder"
                ) from None
            time.sleep(0.05)  # flock has no time limit, so the lock is requested again
        else:
            return


class InstallationOwner:
    """Owner of a data folder, which may write its record."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._folder)!r})"

    def write(self, settings: Mapping[str, Any], overridden: list[str]) -> None:
        """Write the record in one step, so that no reader sees half of it."""
        started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        record = InstallationRecord(pid=os.getpid(), started=started, settings=dict(settings), overridden=overridden)
        draft = self._folder / f"{FILE}.{os.getpid()}"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        draft.replace(self._folder / FILE)

    def remove(self) -> None:
        """Remove the record."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / FILE).unlink()
