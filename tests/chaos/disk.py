"""A small disk that can be filled: a mounted tmpfs that contains the folder of Kafka's log."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEGABYTES = 1_024


class SmallDisk:
    """A mounted tmpfs.

    Parameters
    ----------
    folder
        Folder where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Fill the disk to its last byte."""
        with self._filler.open("wb", buffering=0) as filler:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError:
                    continue

    def free(self) -> None:
        """Free all the space again."""
        self._filler.unlink(missing_ok=True)


def may_mount() -> bool:
    """Return whether this process may mount a disk; root may."""
    return os.geteuid() == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a disk, and unmount it afterwards."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        # lazily, because a broker that was killed a moment ago may still have a file open
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
