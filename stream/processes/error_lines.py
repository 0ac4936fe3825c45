"""The form of the line with which our commands report an error.

A command writes such lines to its standard error. A parent that keeps a child's output in a log finds them there, and
repeats the last one.
"""

from __future__ import annotations

_PREFIX = "perennial: "
SEE_ABOVE = "refused to start; its error is printed above"
"""Suffix of an error whose cause the child process has already printed."""


def error_line(message: str) -> str:
    r"""Return the line that reports an error.

    Examples
    --------
    >>> error_line("port 8080 is taken;\n  choose another")
    'perennial: port 8080 is taken; choose another'
    """
    return _PREFIX + " ".join(message.split())


def last_error(output: str) -> str:
    r"""Return the last error in a command's output, otherwise its last line, otherwise an empty text.

    An error that only refers to an earlier one is ignored.

    Examples
    --------
    >>> last_error("perennial: port 8080 is taken\nperennial: worker refused to start; its error is printed above\n")
    'port 8080 is taken'
    >>> last_error("Traceback ...\nKeyError: 'x'\n")
    "KeyError: 'x'"
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix(_PREFIX) for line in lines if line.startswith(_PREFIX) and not line.endswith(SEE_ABOVE)]
    return (errors or lines or [""])[-1]
