"""Traits of ``identify``: properties of a user, with which messages are addressed and written."""

from __future__ import annotations

from typing import Any

from models.addresses import country_of, is_bad_phone, mailbox, trimmed
from models.errors import EventWarning, InvalidEvent
from models.places.zones import resolve
from models.wire import details, fields
from models.wire.fields import Json

SPELLINGS = {"first_name": "firstName", "last_name": "lastName", "created_at": "createdAt", "time_zone": "timezone"}
"""Other spellings of traits, each with the spelling that is kept."""
SPOKEN = ("email", "phone", "firstName", "lastName", "name", "timezone", "locale", "language")
"""Traits with which messages are addressed and written."""
ADDRESSES = ("email", "phone")
"""Traits to which messages are sent."""

_KEPT = "; the user keeps the previous one"
_EMAIL_ALLOWED = f"one address such as ada@example.org, with a domain that IDNA 2008 allows{_KEPT}"
_PHONE_ALLOWED = f"an existing number, with its country code such as +49 30 901820, or of the user's country{_KEPT}"
_ZONE_ALLOWED = "a zone such as Europe/Berlin or UTC+02:00; quiet hours use the user's country instead"


def read_traits(traits: Json, path: str, warnings: list[EventWarning], *, lenient: bool) -> Json:
    """Check the traits of ``identify``.

    A trait of :data:`SPOKEN` is a string, or ``null``, which deletes it. An empty string, as web forms send it, counts
    as absent. A bad address is left out in the short form as well, so that the other traits are not lost. The warning
    about the address also becomes a dead letter.

    Statements about consent in the traits are read elsewhere (:mod:`models.wire.withdrawals`).

    Parameters
    ----------
    traits
        The traits as the sender wrote them. They are not changed.
    path
        Path of the traits, for errors and warnings.
    warnings
        List to which a warning is appended for each trait that is left out.
    lenient
        Whether a whole number is read as text, and a trait of another type is left out. Otherwise the record is refused
        in these two cases.
    """
    known = {SPELLINGS.get(name, name): trait for name, trait in traits.items()}
    for name in SPOKEN:
        value = known.get(name)
        if value is None or (name not in ADDRESSES and _is_text(value)):
            continue
        value = _plain(name, value, lenient=lenient)
        if value == "":
            del known[name]
            continue
        try:
            known[name] = _checked(name, value, path, known)
        except InvalidEvent as error:
            is_address = name in ADDRESSES
            if not lenient and not (is_address and isinstance(value, str)):
                raise
            del known[name]
            warnings.append(details.warning_of(error)._replace(rejected=is_address))
    zone = known.get("timezone")
    if isinstance(zone, str) and resolve(zone) is None:  # the trait is kept, because templates may show it
        warnings.append(EventWarning("unknown_timezone", f"{path}.timezone", fields.shown(zone), _ZONE_ALLOWED))
    return known


def _is_text(value: object) -> bool:
    """Return whether a trait is a text that can be kept as it is."""
    return value.__class__ is str and fields.plain(value) is not None and not value.isspace()


def _plain(name: str, value: Any, *, lenient: bool) -> Any:
    """Return a trait as a text without blanks around it, if the form allows this."""
    if lenient and name != "email":
        value = details.as_text(value)
    if isinstance(value, str) and (lenient or name in ADDRESSES):
        return trimmed(value) if name in ADDRESSES else _without_breaks(value)
    return value


def _without_breaks(value: str) -> str:
    """Remove line breaks and other blanks around a text that contains a control character."""
    return value if fields.plain(value) is not None and not value.isspace() else value.strip()


def _checked(name: str, value: Any, path: str, traits: Json) -> str:
    field = f"{path}.{name}"
    if name == "email":
        if not isinstance(value, str):
            raise fields.wrong_type(field, value, _EMAIL_ALLOWED)
        if mailbox(value) is None:
            raise InvalidEvent("bad_email", field, fields.shown(value), _EMAIL_ALLOWED)
        return value
    written = fields.identifier(value, field)
    if name == "phone" and is_bad_phone(written, country_of(traits)):
        raise InvalidEvent("bad_phone", field, fields.shown(value), _PHONE_ALLOWED)
    return written
