"""Whether somebody may be written to, and where."""

from __future__ import annotations

import re

import phonenumbers

from models.customer.state import Facts
from models.engage.configuration import Category
from models.events import Channel

# Local part: dot-atom of RFC 5321 in ASCII. Domain: any letters; other alphabets become punycode.
_EMAIL = re.compile(r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)@(\w(?:[\w.-]*\w)?)")


def allowed(facts: Facts, category: Category, channel: Channel) -> bool:
    """Whether consent permits a message.

    No record means no marketing; what is transactional needs none.

    Examples
    --------
    >>> allowed(Facts(), "marketing", "email"), allowed(Facts(), "transactional", "email")
    (False, True)
    """
    if category == "transactional":
        return True
    record = facts.consent.get(channel)
    return record is not None and record.granted


def address(facts: Facts, channel: Channel) -> str | None:
    """Where a user is reached, from identify's traits; ``None`` where nothing usable was given.

    Returns
    -------
    str or None
        An e-mail address, or a phone number in E.164. A number without a country code is read in the country of the
        traits (``country`` or ``address.country``, two letters).

    Examples
    --------
    >>> address(Facts(traits={"phone": "030 901820", "country": "DE"}), "sms")
    '+4930901820'
    """
    if channel == "email":
        email = facts.traits.get("email")
        return _mailbox(email.strip()) if isinstance(email, str) and len(email) <= 254 else None
    phone = facts.traits.get("phone")
    return _e164(phone, _country(facts)) if isinstance(phone, str) else None


def _mailbox(email: str) -> str | None:
    match = _EMAIL.fullmatch(email)
    if match is None or len(match[1]) > 64:
        return None
    try:
        domain = match[2].encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return f"{match[1]}@{domain}"


def _country(facts: Facts) -> str | None:
    home = facts.traits.get("address")
    country = facts.traits.get("country") or (home.get("country") if isinstance(home, dict) else None)
    return country.upper() if isinstance(country, str) and len(country) == 2 else None


def _e164(phone: str, country: str | None) -> str | None:
    try:
        number = phonenumbers.parse(phone, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    written: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return written
