"""Temporary folders of commands that run a separate installation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from shutil import rmtree
from tempfile import mkdtemp

import typer

from stream.cli.output import debugging


@contextmanager
def temporary_folder(command: str) -> Iterator[str]:
    """Make a folder, and remove it at the end.

    After an error it is kept if ``PERENNIAL_DEBUG=1``, because of the logs in it.
    """
    folder = mkdtemp(prefix=f"perennial-{command}-")
    try:
        yield folder
    except BaseException as error:
        if not debugging() or isinstance(error, typer.Abort | KeyboardInterrupt):
            rmtree(folder, ignore_errors=True)
        raise
    rmtree(folder, ignore_errors=True)
