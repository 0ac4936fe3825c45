"""Consent of a user to messages, and the address that they reach."""

from __future__ import annotations

from models.addresses import country_of, e164, mailbox
from models.configuration.compiled import ConsentSettings
from models.delivery.push_address import InvalidPushAddress, parse_push_address, write_push_address
from models.durations import written as duration
from models.events import MARKETING, Channel
from models.profile import purposes
from models.profile.snapshot import Seen
from models.profile.state import Consent


def obstacle(facts: Seen, purpose: str, channel: Channel, settings: ConsentSettings, now: int) -> str | None:
    """Return why consent does not permit a marketing message of a purpose; ``None`` if it does.

    It needs a recorded consent to the purpose, or an existing customer. Transactional messages need neither.

    Parameters
    ----------
    facts
        The facts about the user.
    purpose, channel
        Purpose and channel of the message.
    settings
        The settings of consent.
    now
        The partition's clock, milliseconds.

    Returns
    -------
    str or None
        Empty if there is no consent to the purpose ``marketing``.
    """
    record = purposes.state_of(facts.consent, purpose, channel)
    if record is None or not record.granted:
        return "" if purpose == MARKETING else f"for the purpose {purpose}"
    return _obstacle_for_customer(facts, record, channel, settings, now) if record.basis else None


def _obstacle_for_customer(
    facts: Seen, record: Consent, channel: Channel, settings: ConsentSettings, now: int
) -> str | None:
    """Return why a user may not get a message as an existing customer; ``None`` if they may."""
    allowed = settings.existing_customer
    if allowed is None or channel != "email":
        return "the settings do not allow the basis existing_customer here"
    country = country_of(facts.traits)
    if country not in allowed.countries:
        return f"an existing customer in {country or 'an unknown country'}, which the settings do not list"
    if not record.bought or now >= record.bought + allowed.bought_within:
        return f"an existing customer without a purchase within {duration(allowed.bought_within)}"
    return None


def address(facts: Seen, channel: Channel) -> str | None:
    """Return the user's address on a channel, from the traits; ``None`` if they contain no usable one.

    Returns
    -------
    str or None
        An e-mail address, a phone number in E.164, or the push address of a device or a browser. A number without a
        country code is read as a number of the country in the traits (``country`` or ``address.country``).

    Examples
    --------
    >>> from models.profile.state import Facts
    >>> address(Facts(traits={"phone": "030 901820", "country": "DE"}), "sms")
    '+4930901820'
    """
    match channel:
        case "email":
            email = facts.traits.get("email")
            return mailbox(email) if isinstance(email, str) else None
        case "sms":
            phone = facts.traits.get("phone")
            return e164(phone, country_of(facts.traits)) if isinstance(phone, str) else None
        case "push":
            return _push_address(facts.traits.get("push"))


def _push_address(written: object) -> str | None:
    """Return a push address in its shortest form; ``None`` if the trait is no device token and no subscription."""
    if not isinstance(written, str):
        return None
    try:
        return write_push_address(parse_push_address(written))
    except InvalidPushAddress:
        return None
