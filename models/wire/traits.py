"""What identify says about a user; messages are addressed and written with it."""

from __future__ import annotations

import re

from models.errors import InvalidEvent
from models.wire import fields
from models.wire.fields import Json

_address = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}").fullmatch
_SPELLINGS = {"first_name": "firstName", "last_name": "lastName", "created_at": "createdAt", "time_zone": "timezone"}
_SPOKEN = ("email", "phone", "firstName", "lastName", "name", "timezone", "locale", "language")


def read_traits(value: object, *, small: bool) -> Json:
    """Check identify's traits.

    Those that messages are addressed and written with are strings, or ``null`` to forget; an empty one, as forms send
    it, says nothing.

    Consent among them is refused: a site repeats its traits at every login, and a stale ``true`` would undo a
    withdrawal.
    """
    said = fields.bounded(value, "traits", small=small)
    if "consent" in said:
        hint = "an event of its own: type consent, or track 'Consent Given' or 'Consent Withdrawn' with a channel"
        raise InvalidEvent("consent_in_traits", "traits.consent", fields.shown(said["consent"]), hint)
    known = {_SPELLINGS.get(name, name): trait for name, trait in said.items()}
    for name in _SPOKEN:
        if known.get(name) == "":
            del known[name]
        elif known.get(name) is not None:
            fields.identifier(known[name], f"traits.{name}")
    email = known.get("email")
    if email is not None and not _address(email):
        raise InvalidEvent("bad_email", "traits.email", email, "an address such as ada@example.org")
    return known
