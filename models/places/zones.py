"""Time zones from the pinned ``tzdata`` package, and never from the machine, so that a replay gives the same result.

The name of a zone is one of tzdata's, or ``UTC+05:30`` for a fixed offset. :func:`resolve` finds the name for what
clients send, if it is certain.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from babel.core import get_global

MIN_OFFSET_MIN = -12 * 60
"""Minimum of the offsets from UTC that exist on Earth, minutes."""
MAX_OFFSET_MIN = 14 * 60
"""Maximum of the offsets from UTC that exist on Earth, minutes."""
MAX_LENGTH = 100
"""Maximum length of a client's text for a zone, characters."""

_offset = re.compile(r"(?:utc|gmt|z)?([+-])(\d{1,2})(?::?([0-5]\d))?", re.ASCII).fullmatch
_YEARS, _MONTHS = range(2024, 2030), range(1, 13)
_NO_ZONE = "Factory"
"""Name in tzdata that means that no zone is set."""


@cache
def names() -> frozenset[str]:
    """Return all IANA zone names of the pinned tables."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """Return a zone by its name: one of tzdata, or a fixed offset as :func:`resolve` writes it.

    Raises
    ------
    KeyError
        There is no such zone.

    Examples
    --------
    >>> zone("Europe/Berlin"), zone("UTC+05:30").utcoffset(None)
    (zoneinfo.ZoneInfo(key='Europe/Berlin'), datetime.timedelta(seconds=19800))
    """
    if name in names():
        with _table(name).open("rb") as stream:
            return ZoneInfo.from_file(stream, key=name)
    minutes = _offset_of(name.lower())
    if minutes is None or name != _offset_name(minutes):
        raise KeyError(name)
    return timezone(timedelta(minutes=minutes), name)


@lru_cache(maxsize=4096)
def resolve(written: str) -> str | None:
    """Find the zone that a client means, if it is certain.

    Case, blanks and underscores are ignored. The names of tzdata, CLDR and Windows are known, and fixed offsets from
    -12:00 to +14:00. Abbreviations such as ``PST`` or ``IST`` have several meanings. Only those that are zones of
    tzdata are known, such as ``EST``.

    Returns
    -------
    str or None
        A name for :func:`zone`, or ``None``.

    Examples
    --------
    >>> resolve(" australia/sydney"), resolve("America/New York"), resolve("Pacific Standard Time")
    ('Australia/Sydney', 'America/New_York', 'America/Los_Angeles')
    >>> resolve("GMT-3"), resolve("+05:30"), resolve("Z"), resolve("PST")
    ('UTC-03:00', 'UTC+05:30', 'UTC', None)
    """
    if len(written) > MAX_LENGTH:
        return None
    if written in names() and written != _NO_ZONE:
        return written
    key = _key(written)
    known = _by_key().get(key)
    if known is not None:
        return known
    minutes = _offset_of(key)
    return None if minutes is None else _offset_name(minutes)


@cache
def rules(name: str) -> tuple[object, ...]:
    """Return a value that is equal for two zones of tzdata whose clocks show the same time from 2024 on.

    Examples
    --------
    >>> rules("Europe/Berlin") == rules("Europe/Busingen"), rules("Europe/Berlin") == rules("Europe/London")
    (True, False)
    """
    where, for_ever = zone(name), _table(name).read_bytes().rsplit(b"\n", 2)[1]
    return (for_ever, *(datetime(year, month, 15, tzinfo=where).utcoffset() for year in _YEARS for month in _MONTHS))


def local(at: int, where: tzinfo) -> datetime:
    """Return the wall time, to the second, of milliseconds since the epoch.

    Examples
    --------
    >>> local(1_700_000_000_000, zone("Asia/Tokyo")).isoformat()
    '2023-11-15T07:13:20+09:00'
    """
    return datetime.fromtimestamp(at // 1000, where)


def _table(name: str) -> resources.abc.Traversable:
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))


def _key(written: str) -> str:
    """Normalize a name, so that different spellings of one zone are the same text."""
    return "".join(written.replace("\u2212", "-").replace("_", " ").split()).lower()


@cache
def _by_key() -> dict[str, str]:
    """Return zones by the keys of all their names; tzdata's names have priority."""
    known = {"z": "UTC"}
    for others in (get_global("windows_zone_mapping"), get_global("zone_aliases")):
        known |= {_key(other): name for other, name in others.items() if name in names()}
    known |= {_key(name): name for name in names()}
    del known[_key(_NO_ZONE)]
    return known


def _offset_of(key: str) -> int | None:
    """Return the minutes east of Greenwich of a fixed offset; ``None`` if it is not one, or does not exist on Earth."""
    match = _offset(key)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    minutes = -minutes if match[1] == "-" else minutes
    return minutes if MIN_OFFSET_MIN <= minutes <= MAX_OFFSET_MIN else None


def _offset_name(minutes: int) -> str:
    if not minutes:
        return "UTC"
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
