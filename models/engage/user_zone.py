"""The time zone of a user, or the zones that the user may be in.

The first of these that is known decides: the trait ``timezone``, the country in the traits, the country of the phone
number, the configured zone. A country with several zones gives several candidates, because the user's zone is not
known.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import phonenumbers

from models.addresses import country_of, e164
from models.places import countries, zones

Source = Literal["trait", "country", "phone", "configuration"]


class ZoneAnswer(NamedTuple):
    """The zones that a user may be in, and why.

    Attributes
    ----------
    zones
        Names for ``zones.zone``, at least one, the most populous one first.
    source
        The source from which the zones follow.
    rule
        Description of the effect on quiet hours, for people.
    """

    zones: tuple[str, ...]
    source: Source
    rule: str

    @property
    def name(self) -> str:
        """The zone in which times are shown."""
        return self.zones[0]

    @property
    def is_guess(self) -> bool:
        """Whether the user's zone is unknown, so that quiet hours are lengthened."""
        return self.source == "configuration"


def zone_of(traits: dict[str, Any], configured: str) -> ZoneAnswer:
    """Return the zones that a user with these traits may be in.

    Parameters
    ----------
    traits
        ``timezone``, ``country`` or ``address.country``, and ``phone`` are read.
    configured
        Name of the zone for users whose zone is unknown.

    Examples
    --------
    >>> zone_of({"timezone": "australia/sydney", "country": "DE"}, "UTC").zones
    ('Australia/Sydney',)
    >>> zone_of({"phone": "+351 21 1234567"}, "UTC")
    ZoneAnswer(zones=('Europe/Lisbon', 'Atlantic/Azores'), source='phone', rule='outside quiet hours in all of them')
    """
    own = traits.get("timezone")
    if isinstance(own, str) and (name := zones.resolve(own)) is not None:
        return ZoneAnswer((name,), "trait", "quiet hours in this zone")
    country = country_of(traits)
    if country is not None and country in countries.zones_by_country():
        return _of_country(country, "country")
    phone = traits.get("phone")
    region = _region(phone, country) if isinstance(phone, str) else None
    if region is not None and region in countries.zones_by_country():
        return _of_country(region, "phone")
    return ZoneAnswer((configured,), "configuration", "quiet hours lengthened by 2 h on each side")


def unknown_zone(traits: dict[str, Any]) -> str | None:
    """Return the trait ``timezone`` if it does not name a known zone; otherwise ``None``."""
    own = traits.get("timezone")
    return own if isinstance(own, str) and own and zones.resolve(own) is None else None


def _of_country(code: str, source: Source) -> ZoneAnswer:
    found = countries.zones_of(code)
    return ZoneAnswer(
        found, source, "quiet hours in this zone" if len(found) == 1 else "outside quiet hours in all of them"
    )


@lru_cache(maxsize=4096)
def _region(phone: str, country: str | None) -> str | None:
    written = e164(phone, country)
    if written is None:
        return None
    region: str | None = phonenumbers.region_code_for_number(phonenumbers.parse(written))
    return region
