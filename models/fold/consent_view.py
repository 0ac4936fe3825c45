"""The choices of a user about messages: what the page behind an unsubscribe link shows."""

from __future__ import annotations

from typing import Any

from models.engage.consent import address
from models.events import CHANNELS, MARKETING
from models.fold.versions import Versions
from models.profile import pending_grants, purposes
from models.profile.state import Customer, Facts

_LANGUAGES = ("locale", "language")
"""Names of the traits that state the user's language, the more precise one first."""


def describe_choices(customer: Customer, versions: Versions) -> dict[str, Any]:
    """Describe the consent of a user to each purpose on each channel.

    Parameters
    ----------
    customer
        The user's state; it is only read.
    versions
        The versions in use in the partition.

    Returns
    -------
    dict
        Values that JSON can hold. ``owner`` is the known user that owns an anonymous id. ``addresses`` has the
        address of each channel that reaches the user. Each of ``choices`` says whether the purpose is granted, and
        whether a grant waits. ``can_ask`` says whether a confirmation can be asked for by mail.
    """
    facts, settings = customer.facts, versions.configuration.consent
    owner = None if customer.identity is None else customer.identity.owner
    found = {channel: address(facts, channel) for channel in CHANNELS}
    choices = []
    for channel in CHANNELS:
        for purpose in (MARKETING, *settings.purposes):
            key = purposes.key_of(purpose, channel)
            state, waiting = purposes.state_of(facts.consent, purpose, channel), facts.pending.get(key)
            can_ask = channel == "email" and channel in settings.confirm and found[channel] is not None
            choices.append(
                {
                    "purpose": purpose,
                    "channel": channel,
                    "granted": state is not None and state.granted,
                    "waits": waiting is not None and pending_grants.waits(waiting),
                    "can_ask": can_ask and purposes.has_room(facts.consent, purpose),
                }
            )
    return {
        "owner": None if owner is None else owner.user,
        "language": _language(facts),
        "addresses": {channel: to for channel, to in found.items() if to is not None},
        "choices": choices,
    }


def _language(facts: Facts) -> str | None:
    """Return the language that the traits state, as it was sent; ``None`` if they state none."""
    said = (facts.traits.get(name) for name in _LANGUAGES)
    return next((one for one in said if isinstance(one, str) and one), None)
