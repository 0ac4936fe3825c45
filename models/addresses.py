"""E-mail addresses and phone numbers: an address is accepted as it was given, or refused, but never corrected.

A message to a changed address reaches another person. So a domain is encoded for the DNS by IDNA 2008. This encoding
keeps letters such as the German sharp s and the Greek final sigma, because ``faß.de`` and ``fass.de`` have two owners.
An address is refused if IDNA 2008 refuses its domain, for example because of an emoji.
"""

from __future__ import annotations

import re

import idna
import phonenumbers

from models.places import countries, zones

MAX_EMAIL = 254
"""Maximum length of an e-mail address in its written form, characters (RFC 5321)."""
MAX_LOCAL_PART = 64
"""Maximum length of the part before the @, characters (RFC 5321)."""
MAX_DOMAIN = 253
"""Maximum length of a domain name, characters (RFC 1035)."""
MAX_AREA_DIGITS = 9
"""Maximum number of digits of a country code and an area code before a slash; more are a complete phone number."""

# The local part: a dot-atom of RFC 5321 in ASCII.
_local_part = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*",
).fullmatch
# A domain name of letters, digits and inner hyphens. The last label is not a number, because IP addresses end with one.
_host_name = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*(?![0-9]+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
).fullmatch
# The usual form of an address, which SMTP accepts unchanged.
_usual = re.compile(
    r"(?=[^@]{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}",
).fullmatch
# Invisible characters that are often copied with an address: joiners, direction marks, byte order mark, soft hyphen.
_INVISIBLE = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_JOINERS = "\u200c\u200d"
_ENDS = _INVISIBLE + "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
_hidden = re.compile(f"[{''.join(set(_INVISIBLE) - set(_JOINERS))}\\s]").search


def trimmed(written: str) -> str:
    r"""Remove blanks and invisible characters from both ends.

    Examples
    --------
    >>> trimmed("\u200b ada@example.org\u00a0")
    'ada@example.org'
    """
    return written.strip(_ENDS)


def mailbox(written: str) -> str | None:
    """Write an e-mail address in the form that SMTP needs.

    Parameters
    ----------
    written
        The address as a person or a program gave it; blanks around it are ignored.

    Returns
    -------
    str or None
        The local part as given, and the domain in lower case and encoded by IDNA 2008. ``None`` if the text is not
        exactly one address, or if its domain cannot be encoded.

    Examples
    --------
    >>> mailbox("Ada@faß.de"), mailbox(" ada@EXAMPLE.org "), mailbox("ada@example.org, eve@example.org")
    ('Ada@xn--fa-hia.de', 'ada@example.org', None)
    """
    if len(written) <= MAX_EMAIL and _usual(written):
        return written
    local, at, domain = trimmed(written).rpartition("@")
    if not at or len(local) > MAX_LOCAL_PART or not _local_part(local):
        return None
    host = _host(domain)
    if host is None or len(local) + 1 + len(host) > MAX_EMAIL:
        return None
    return f"{local}@{host}"


def _host(domain: str) -> str | None:
    if domain.isascii():
        host = domain.lower()
    elif len(domain) > MAX_DOMAIN or _hidden(domain):
        return None
    else:
        try:
            host = idna.encode(domain, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    return host if len(host) <= MAX_DOMAIN and _host_name(host) else None


def e164(written: str, country: str | None) -> str | None:
    """Write a phone number in E.164.

    Parameters
    ----------
    written
        The number, with a country code (``+49 ...``) or national.
    country
        ISO 3166 code of the country whose national numbers are meant; ``None`` if it is unknown.

    Returns
    -------
    str or None
        ``None`` if the text cannot be a number, or is a national number of an unknown country. ``None`` also for a
        number with an extension, because it cannot receive messages. ``None`` also for two numbers with a slash between
        them, because only one of them can be meant.

    Examples
    --------
    >>> e164("030 / 901820", "DE"), e164("030 901820", None)
    ('+4930901820', None)
    >>> e164("+49 30 901820 ext. 5", None), e164("+49 30 901820 / 901821", None)
    (None, None)
    """
    first, stroke, _ = written.partition("/")
    if stroke and sum(map(str.isdigit, first)) > MAX_AREA_DIGITS:
        return None
    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    formatted: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return formatted


def is_bad_phone(written: str, country: str | None) -> bool:
    """Return whether a text is certainly no phone number, by its own country code or, without one, in ``country``.

    A national number without a country may be valid, because the country may be known from elsewhere.

    Examples
    --------
    >>> is_bad_phone("+49", None), is_bad_phone("call me", "DE"), is_bad_phone("030 901820", None)
    (True, True, False)
    """
    international = trimmed(written).startswith(("+", "\uff0b"))
    if not international and (country is None or country not in phonenumbers.SUPPORTED_REGIONS):
        return False
    return e164(written, country) is None


def country_of(traits: dict[str, object]) -> str | None:
    """Return the ISO 3166 code of a user's country, from ``country`` or ``address.country``; ``None`` if not certain.

    Examples
    --------
    >>> country_of({"address": {"country": "de"}}), country_of({"country": "Germany"}), country_of({"country": "GBR"})
    ('DE', 'DE', 'GB')
    """
    home = traits.get("address")
    for written in (traits.get("country"), home.get("country") if isinstance(home, dict) else None):
        if isinstance(written, str) and (code := _country_code(written[: zones.MAX_LENGTH])) is not None:
            return code
    return None


def _country_code(written: str) -> str | None:
    # Some territories have telephone numbers but no separate time zone, such as Kosovo.
    code = countries.code_of(written) or written.strip().upper()
    return code if code in phonenumbers.SUPPORTED_REGIONS else None
