"""Whether somebody may be written to, and where."""

from __future__ import annotations

from models.addresses import country_of, e164, mailbox
from models.configuration.compiled import Category
from models.events import Channel
from models.profile.state import Facts


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
        return mailbox(email) if isinstance(email, str) else None
    phone = facts.traits.get("phone")
    return e164(phone, country_of(facts.traits)) if isinstance(phone, str) else None
