"""Consent of a user to messages, and the address that they reach."""

from __future__ import annotations

from models.addresses import country_of, e164, mailbox
from models.configuration.categories import Category
from models.events import MARKETING, Channel
from models.profile import purposes
from models.profile.snapshot import Seen


def allowed(facts: Seen, category: Category, channel: Channel, purpose: str = MARKETING) -> bool:
    """Return whether consent permits a message.

    Marketing needs a recorded consent to its purpose. Transactional messages need none.

    Examples
    --------
    >>> from models.profile.state import Facts
    >>> allowed(Facts(), "marketing", "email"), allowed(Facts(), "transactional", "email")
    (False, True)
    """
    if category == "transactional":
        return True
    record = purposes.state_of(facts.consent, purpose, channel)
    return record is not None and record.granted and not record.basis


def address(facts: Seen, channel: Channel) -> str | None:
    """Return the user's address on a channel, from the traits; ``None`` if they contain no usable one.

    Returns
    -------
    str or None
        An e-mail address, or a phone number in E.164. A number without a country code is read as a number of the
        country in the traits (``country`` or ``address.country``).

    Examples
    --------
    >>> from models.profile.state import Facts
    >>> address(Facts(traits={"phone": "030 901820", "country": "DE"}), "sms")
    '+4930901820'
    """
    if channel == "email":
        email = facts.traits.get("email")
        return mailbox(email) if isinstance(email, str) else None
    phone = facts.traits.get("phone")
    return e164(phone, country_of(facts.traits)) if isinstance(phone, str) else None
