"""Countries and their time zones, from CLDR."""

from __future__ import annotations

from functools import cache, lru_cache
from types import MappingProxyType

from babel import Locale
from babel.core import get_global

from models.places import zones

MOST_POPULOUS = MappingProxyType(
    {
        "AQ": "Antarctica/McMurdo",
        "AR": "America/Argentina/Buenos_Aires",
        "AU": "Australia/Sydney",
        "BR": "America/Sao_Paulo",
        "CA": "America/Toronto",
        "CD": "Africa/Kinshasa",
        "CL": "America/Santiago",
        "CN": "Asia/Shanghai",
        "CY": "Asia/Nicosia",
        "DE": "Europe/Berlin",
        "EC": "America/Guayaquil",
        "ES": "Europe/Madrid",
        "FM": "Pacific/Pohnpei",
        "GL": "America/Nuuk",
        "ID": "Asia/Jakarta",
        "KI": "Pacific/Tarawa",
        "KZ": "Asia/Almaty",
        "MH": "Pacific/Majuro",
        "MN": "Asia/Ulaanbaatar",
        "MX": "America/Mexico_City",
        "MY": "Asia/Kuala_Lumpur",
        "NZ": "Pacific/Auckland",
        "PF": "Pacific/Tahiti",
        "PG": "Pacific/Port_Moresby",
        "PS": "Asia/Gaza",
        "PT": "Europe/Lisbon",
        "RU": "Europe/Moscow",
        "UA": "Europe/Kyiv",
        "UM": "Pacific/Wake",
        "US": "America/New_York",
        "UZ": "Asia/Tashkent",
    }
)
"""Zone in which most people live, for each country with several zones."""

_NOT_COUNTRIES = frozenset({"001", "ZZ"})


@lru_cache(maxsize=1024)
def code_of(written: str) -> str | None:
    """Return the ISO 3166 code of a country, two letters; ``None`` if the country is not certain or has no zones.

    Codes of two and three letters and CLDR's English names are known.

    Examples
    --------
    >>> code_of("de "), code_of("GBR"), code_of("UK"), code_of("united states"), code_of("Atlantis")
    ('DE', 'GB', 'GB', 'US', None)
    """
    name = " ".join(written.split())
    code = name.upper()
    if code not in zones_by_country():
        successors = get_global("territory_aliases").get(code, ())
        code = successors[0] if len(successors) == 1 else _by_english_name().get(name.lower(), "")
    return code if code in zones_by_country() else None


@cache
def zones_of(country: str) -> tuple[str, ...]:
    """Return the zones of a country, the most populous one first; of zones with the same time, return only one.

    Examples
    --------
    >>> zones_of("DE"), zones_of("PT")
    (('Europe/Berlin',), ('Europe/Lisbon', 'Atlantic/Azores'))
    """
    found = sorted(zones_by_country()[country])
    main = MOST_POPULOUS.get(country, found[0])
    distinct = {zones.rules(main): main}
    for name in found:
        distinct.setdefault(zones.rules(name), name)
    return tuple(distinct.values())


@cache
def zones_by_country() -> dict[str, tuple[str, ...]]:
    """Return all zones of tzdata by the code of their country."""
    found = {country: tuple(name for name in names if name in zones.names()) for country, names in _territories()}
    return {country: names for country, names in found.items() if names}


def _territories() -> list[tuple[str, list[str]]]:
    return [(code, names) for code, names in get_global("territory_zones").items() if code not in _NOT_COUNTRIES]


@cache
def _by_english_name() -> dict[str, str]:
    return {name.lower(): code for code, name in Locale.parse("en").territories.items() if len(code) == 2}
