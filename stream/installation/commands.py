"""Argument lists of this project's commands, for processes that start them as children."""

from __future__ import annotations

import sys


def perennial(*arguments: str) -> tuple[str, ...]:
    """Return the argument list of a ``perennial`` command for this interpreter.

    With ``-P``, the child does not import modules from the current folder.
    """
    return (sys.executable, "-P", "-m", "stream.cli", *arguments)
