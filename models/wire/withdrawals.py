"""Reading of withdrawals of consent as other tools state them.

A withdrawal is read leniently: a "no" must count in whatever spelling a tool writes it. A grant is read strictly, and
only from ``Consent Given`` or the short form. The names are in :mod:`models.wire.withdrawal_names`. They are compared
without case, blanks, ``_``, ``-``, ``.``, ``:`` and ``$``. So ``email_opt_out``, ``emailOptOut`` and
``Email Opt-Out`` are one name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from models.events import CHANNELS, FIRST_CHANNELS, PURPOSE_PATTERN, Channel
from models.wire.withdrawal_names import CHANNEL_WORDS, EVENTS, TRAITS, NamedWithdrawal, StatingTrait

__all__ = [
    "CHANNEL_WORDS",
    "EVENTS",
    "MAX_NAME",
    "TRAITS",
    "Meaning",
    "NamedWithdrawal",
    "StatingTrait",
    "channel_of",
    "channels_of",
    "granted_channels_of",
    "is_no",
    "meaning",
    "named",
    "normalized",
    "purpose_of",
    "resembles",
    "source_of",
    "stating",
]

Meaning = Literal["withdrawal", "grant", "nothing", "unclear"]
"""Meaning of a value about consent. A ``grant`` is only a hint, and grants nothing."""

_SEPARATORS = str.maketrans("", "", " \t\r\n_-.:$")
_TRUE_WORDS = frozenset({"true", "yes", "y", "t", "on", "1"})
_FALSE_WORDS = frozenset({"false", "no", "n", "f", "off", "0"})
_OUT_WORDS = frozenset(
    {"unsubscribed", "optedout", "optout", "out", "withdrawn", "revoked", "denied", "declined", "rejected", "blocked"}
)
_IN_WORDS = frozenset({"subscribed", "optedin", "optin", "in", "granted", "given", "accepted"})


@lru_cache(4_096)
def normalized(name: str) -> str:
    """Return a name in the form in which names are compared.

    Examples
    --------
    >>> normalized("Email Opt-Out") == normalized("emailOptOut") == normalized(" email_opt_out ")
    True
    """
    return name.translate(_SEPARATORS).casefold()


_EVENTS = {normalized(name): withdrawal for name, withdrawal in EVENTS.items()}
_TRAITS = {normalized(name): trait for name, trait in TRAITS.items()}
_WORDS = {normalized(word): channel for word, channel in CHANNEL_WORDS.items()}
_PURPOSEFUL = frozenset(
    normalized(name)
    for name in (
        "Consent Withdrawn",
        "Consent Revoked",
        "Consent Denied",
        "Consent Declined",
        "Withdraw Consent",
        "Consent Given",  # whose ``granted`` says no
    )
)
"""Names of events that may withdraw consent to one purpose; all others withdraw it to all purposes."""
_purpose_name = re.compile(PURPOSE_PATTERN).fullmatch
_PLAIN = frozenset({normalized("Consent Withdrawn"), normalized("Unsubscribed")})
_STEMS = ("unsubscri", "optout", "optedout", "optingout", "markedasspam")
"""Parts of normalized names from which :func:`resembles` recognises the name of a withdrawal."""
MAX_NAME = max(map(len, EVENTS)) + 20
"""Maximum length of a name, a channel or an answer that is read, characters."""


def named(event_name: object) -> NamedWithdrawal | None:
    """Return the withdrawal that the name of an event states; ``None`` for a name that withdraws nothing.

    Examples
    --------
    >>> named("email marked as spam")
    NamedWithdrawal(channel='email', complaint=True)
    """
    if not isinstance(event_name, str) or len(event_name) > MAX_NAME:
        return None
    return _EVENTS.get(normalized(event_name))


@lru_cache(4_096)
def resembles(name: str) -> bool:
    """Return whether a name that is in no table looks like the name of a withdrawal.

    Examples
    --------
    >>> [resembles(name) for name in ("Push Unsubscribed", "unsubscribed_at", "Unsubscribed", "Trial Started")]
    [True, True, False, False]
    """
    plain = normalized(name[: 2 * MAX_NAME])
    return any(stem in plain for stem in _STEMS) and plain not in _EVENTS and plain not in _TRAITS


def source_of(event_name: str) -> str | None:
    """Return the name of an event if it says more than that consent was withdrawn."""
    return None if normalized(event_name) in _PLAIN else event_name


def stating(trait_name: str) -> StatingTrait | None:
    """Return the table's entry for a trait; ``None`` for a trait that says nothing about consent."""
    return _TRAITS.get(normalized(trait_name)) if len(trait_name) <= MAX_NAME else None


def channel_of(said: object, own: Channel | None = None) -> Channel | None:
    """Read the channel of a withdrawal leniently.

    Parameters
    ----------
    said
        Value of the event's ``channel``, as it was parsed.
    own
        The channel that the event's name states, if it states one.

    Returns
    -------
    str or None
        ``None`` means all channels: for an unknown channel, for no channel, and if ``said`` and ``own`` differ.

    Examples
    --------
    >>> channel_of(" EMAIL "), channel_of("fax"), channel_of(None), channel_of(None, "sms"), channel_of("sms", "email")
    ('email', None, None, 'sms', None)
    """
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if said is None or said == "":
        return own
    found = _WORDS.get(normalized(said)) if isinstance(said, str) and len(said) <= MAX_NAME else None
    return found if own is None or own == found else None


def purpose_of(said: object, event_name: str | None = None) -> str | None:
    """Read the purpose of a withdrawal; ``None`` means all purposes, also for a purpose that cannot be read.

    Parameters
    ----------
    said
        Value of the event's ``purpose``, as it was parsed.
    event_name
        Name of the event. If it states more than a withdrawal of consent, such as ``Unsubscribed``, it is about all
        purposes.

    Examples
    --------
    >>> purpose_of("news"), purpose_of("News!"), purpose_of("news", "Consent Withdrawn"), purpose_of("news", "SMS Stop")
    ('news', None, 'news', None)
    """
    if not isinstance(said, str) or (event_name is not None and normalized(event_name) not in _PURPOSEFUL):
        return None
    return said if _purpose_name(said) is not None else None


def is_no(value: object) -> bool:
    """Return whether a value of ``granted`` or ``consent`` means no, read leniently.

    Examples
    --------
    >>> [is_no(value) for value in (False, "False", 0, "no", True, None, "maybe")]
    [True, True, True, True, False, False, False]
    """
    return meaning(StatingTrait(withdraws=False), value) == "withdrawal"


def meaning(trait: StatingTrait, value: object) -> Meaning:
    """Return the meaning of a trait's value, which is read leniently. A grant is only a hint.

    ``null`` and the empty text mean ``nothing``. A value that is neither a withdrawal nor a grant is ``unclear``.

    Examples
    --------
    >>> [meaning(TRAITS["unsubscribed"], value) for value in (True, "Yes", 1, False, "maybe", None)]
    ['withdrawal', 'withdrawal', 'withdrawal', 'grant', 'unclear', 'nothing']
    """
    if value is None or value == "":
        return "nothing"
    withdraws = trait.withdraws
    if isinstance(withdraws, str):
        return "withdrawal" if isinstance(value, str) and normalized(value) == normalized(withdraws) else "nothing"
    truth = _truth(value)
    if truth is None:
        return _worded(value)
    return "withdrawal" if truth is withdraws else "grant"


def _truth(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return None if value not in (0, 1) else value == 1
    if isinstance(value, str) and len(value) <= MAX_NAME:
        word = normalized(value)
        return True if word in _TRUE_WORDS else False if word in _FALSE_WORDS else None
    return None


def _worded(value: object) -> Meaning:
    """Read a value that states the answer itself, such as ``unsubscribed`` in ``email_subscribe``."""
    if isinstance(value, str) and len(value) <= MAX_NAME:
        word = normalized(value)
        if word in _OUT_WORDS:
            return "withdrawal"
        if word in _IN_WORDS:
            return "grant"
    return "unclear"


def channels_of(channel: Channel | None) -> tuple[Channel, ...]:
    """Return the channels that a withdrawal is about; ``None`` stands for all."""
    return CHANNELS if channel is None else (channel,)


def granted_channels_of(channel: Channel | None) -> tuple[Channel, ...]:
    """Return the channels that a grant is about; ``None`` stands for the channels of format level 1.

    A person who agreed to all channels has agreed to e-mail and SMS, and not to a channel that came later.
    """
    return FIRST_CHANNELS if channel is None else (channel,)
