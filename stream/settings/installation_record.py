"""The record of a running installation, so that every command in its folder finds it.

``perennial up`` writes ``installation.json`` into the data folder: where its broker listens, how its topics are called,
and the ports of its processes. It holds a lock for as long as it runs. A record whose lock is free is of an
installation that has ended, and is not used.
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
"""How long a start waits for the lock, which a command holds for a moment when it looks whether anybody else does."""


class RunsAlready(PerennialError):
    """Another ``perennial up`` runs in this folder: stop it, or use another folder."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An installation that runs.

    Attributes
    ----------
    pid, started
        The process, and when it began.
    settings
        Path to value: what the commands in its folder have to know.
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


def read(folder: Path) -> Record | None:
    """Read the record in a data folder, whether its installation still runs or not; ``None`` if there is none.

    One that cannot be read is none: whatever wrote it, it is not ours to use.
    """
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Record)
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
    """Add what the record of a running installation says to settings that were not given otherwise.

    Parameters
    ----------
    given
        Changed in place: gets values with the record as their origin.
    folder
        The data folder.

    Returns
    -------
    str
        A note about a record that is not used; empty if there is none.
    """
    record = read(folder)
    if record is None:
        return ""
    if not runs(folder):
        return f"{folder / FILE} is of an installation that has ended ({record}), and is ignored"
    named = _value(given, "kafka.servers")
    if named is not None and _address(named) != _address(record.settings.get("kafka.servers")):
        return f"{folder / FILE} is of another broker than kafka.servers names ({record}), and is ignored"
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
def owned(folder: Path) -> Iterator[Owner]:
    """Own a data folder: no other installation runs in it until the context ends.

    Raises
    ------
    RunsAlready
        One does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(lock, folder)
        owner = Owner(folder)
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
                    f"perennial up runs in {folder} already{known}; stop it first, or use another folder"
                ) from None
            time.sleep(0.05)  # a lock with a time limit can only be asked for again
        else:
            return


class Owner:
    """The one that may write a data folder's record."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, settings: Mapping[str, Any], overridden: list[str]) -> None:
        """Write the record in one step, so that no reader sees half of it."""
        started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        record = Record(pid=os.getpid(), started=started, settings=dict(settings), overridden=overridden)
        draft = self._folder / f"{FILE}.{os.getpid()}"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
        draft.replace(self._folder / FILE)

    def remove(self) -> None:
        """Remove the record."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / FILE).unlink()
