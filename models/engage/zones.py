"""Time zones from the pinned ``tzdata`` package, never from the machine's own tables: replays agree everywhere."""

from __future__ import annotations

from datetime import datetime
from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo


@cache
def names() -> frozenset[str]:
    """All IANA zone names of the pinned tables."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """One zone by its IANA name.

    Raises
    ------
    KeyError
        There is no such zone.

    Examples
    --------
    >>> zone("Europe/Berlin").key
    'Europe/Berlin'
    """
    if name not in names():
        raise KeyError(name)
    table = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with table.open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


def local(at: int, where: ZoneInfo) -> datetime:
    """Wall time, to the second, of milliseconds since the epoch.

    Examples
    --------
    >>> local(1_700_000_000_000, zone("Asia/Tokyo")).isoformat()
    '2023-11-15T07:13:20+09:00'
    """
    return datetime.fromtimestamp(at // 1000, where)
