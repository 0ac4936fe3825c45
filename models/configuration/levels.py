"""The fields and values that a configuration may have at each format level of the log (:mod:`models.levels`).

Code of a lower level ignores a field that it does not know, and refuses a value that it does not know. So a
configuration with a newer field or value has to wait until the log has the level that came with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from models.configuration.compiled import Configuration
from models.errors import InvalidConfiguration


class Addition(NamedTuple):
    """A part of the compiled configuration that an earlier level does not have.

    Attributes
    ----------
    level
        First level that has it.
    names
        Its names: ``Struct.field``, or ``Struct.field=value`` for a new value of a field that existed before.
    find
        Return the path and the value of each use in a configuration.
    """

    level: int
    names: frozenset[str]
    find: Callable[[Configuration], Iterator[tuple[str, object]]]


ADDITIONS: tuple[Addition, ...] = ()
"""All additions to the configuration of level 1. ``test_levels.py`` finds a field or value that is missing here."""


def require_expressible(configuration: Configuration, level: int, additions: Sequence[Addition] = ADDITIONS) -> None:
    """Check that the level of a log can express a configuration.

    Parameters
    ----------
    configuration
        The configuration to apply.
    level
        Format level in use.
    additions
        Additions of the levels.

    Raises
    ------
    InvalidConfiguration
        It has something that only a higher level can express.
    """
    for addition in additions:
        if addition.level > level:
            for path, found in addition.find(configuration):
                raise InvalidConfiguration(
                    path,
                    found,
                    f"what format level {level} of this log can express; this needs level {addition.level}, which "
                    "`perennial upgrade finish` puts into use once all workers run the new release",
                )
