"""Withdrawals of consent as other tools say them: one table of event names, one of traits, and how both are read.

A withdrawal is read leniently: a "no" must count whatever spelling a tool has. A grant is read strictly, and only
from ``Consent Given`` or the short form: no entry of these tables is ever a grant. Names are compared without case,
blanks, ``_``, ``-``, ``.``, ``:`` and ``$``; so ``email_opt_out``, ``emailOptOut`` and ``Email Opt-Out`` are one name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from models.events import CHANNELS, Channel

Meaning = Literal["withdrawal", "grant", "nothing", "unclear"]


class NamedWithdrawal(NamedTuple):
    """The meaning of an event's name.

    Attributes
    ----------
    channel
        Which channel is withdrawn; ``None``: the one that the event names, or all.
    complaint
        Whether the recipient marked a message as spam.
    """

    channel: Channel | None = None
    complaint: bool = False


class StatingTrait(NamedTuple):
    """The meaning of a trait about consent.

    Attributes
    ----------
    withdraws
        The value that is a withdrawal; a text is compared without case.
    channel
        Of which channel; ``None``: of all.
    """

    withdraws: bool | str
    channel: Channel | None = None


_ANY = NamedWithdrawal()
_EMAIL = NamedWithdrawal("email")
_SMS = NamedWithdrawal("sms")
_SPAM = NamedWithdrawal("email", complaint=True)

EVENTS: Final[Mapping[str, NamedWithdrawal]] = {
    "Unsubscribed": _ANY,
    "Unsubscribe": _ANY,
    "User Unsubscribed": _ANY,
    "Customer Unsubscribed": _ANY,
    "Unsubscribed from List": _ANY,
    "Group Unsubscribe": _ANY,
    "Consent Withdrawn": _ANY,
    "Consent Revoked": _ANY,
    "Consent Denied": _ANY,
    "Consent Declined": _ANY,
    "Withdraw Consent": _ANY,
    "Marketing Consent Withdrawn": _ANY,
    "Marketing Consent Revoked": _ANY,
    "Marketing Opt Out": _ANY,
    "Marketing Opted Out": _ANY,
    "Marketing Unsubscribed": _ANY,
    "Opted Out of Marketing": _ANY,
    "Unsubscribed from Marketing": _ANY,
    "Opt Out": _ANY,
    "Opted Out": _ANY,
    "User Opted Out": _ANY,
    "Unsubscribe All": _ANY,
    "Unsubscribed from All": _ANY,
    "Global Unsubscribe": _ANY,
    "Contact Unsubscribed": _ANY,
    "Subscriber Unsubscribed": _ANY,
    "Marketing Unsubscribe": _ANY,
    "Marketing Consent Denied": _ANY,
    "Marketing Consent Declined": _ANY,
    "Opt Out of Marketing": _ANY,
    "Opted Out from Marketing": _ANY,
    "Email Unsubscribed": _EMAIL,
    "Email Unsubscribe": _EMAIL,
    "Email Opt Out": _EMAIL,
    "Email Opted Out": _EMAIL,
    "Email Consent Withdrawn": _EMAIL,
    "Email Subscription Cancelled": _EMAIL,
    "Opted Out of Email": _EMAIL,
    "Unsubscribed from Email": _EMAIL,
    "Unsubscribed from Emails": _EMAIL,
    "Unsubscribed from Email Marketing": _EMAIL,
    "Newsletter Unsubscribed": _EMAIL,
    "Newsletter Unsubscribe": _EMAIL,
    "Newsletter Opt Out": _EMAIL,
    "Unsubscribed from Newsletter": _EMAIL,
    "Mail Unsubscribed": _EMAIL,
    "Email Marketing Unsubscribed": _EMAIL,
    "Email Marketing Opt Out": _EMAIL,
    "Email List Unsubscribed": _EMAIL,
    "Opt Out of Email": _EMAIL,
    "Opted Out of Emails": _EMAIL,
    "Unsubscribed from Email List": _EMAIL,
    "Unsubscribed from Mailing List": _EMAIL,
    "Unsubscribed from Marketing Emails": _EMAIL,
    "Newsletter Opted Out": _EMAIL,
    "Customer Unsubscribed from Newsletter": _EMAIL,
    "User Unsubscribed from Newsletter": _EMAIL,
    "users.messages.email.Unsubscribe": _EMAIL,
    "SMS Unsubscribed": _SMS,
    "SMS Unsubscribe": _SMS,
    "SMS Opt Out": _SMS,
    "SMS Opted Out": _SMS,
    "SMS Consent Withdrawn": _SMS,
    "SMS Stop": _SMS,
    "Opted Out of SMS": _SMS,
    "Unsubscribed from SMS": _SMS,
    "Unsubscribed from SMS Marketing": _SMS,
    "Text Opt Out": _SMS,
    "Text Unsubscribed": _SMS,
    "SMS Marketing Unsubscribed": _SMS,
    "SMS Marketing Opt Out": _SMS,
    "Opt Out of SMS": _SMS,
    "Text Message Opt Out": _SMS,
    "Email Marked as Spam": _SPAM,
    "Marked Email as Spam": _SPAM,
    "Marked as Spam": _SPAM,
    "Email Spam Reported": _SPAM,
    "Email Spam Complaint": _SPAM,
    "Email Spammed": _SPAM,
    "Email Complained": _SPAM,
    "Email Complaint": _SPAM,
    "Spam Reported": _SPAM,
    "Spam Report": _SPAM,
    "Spam Complaint": _SPAM,
    "Email Reported as Spam": _SPAM,
    "Reported as Spam": _SPAM,
    "users.messages.email.MarkAsSpam": _SPAM,
}
"""Names of events that withdraw consent."""

TRAITS: Final[Mapping[str, StatingTrait]] = {
    "unsubscribed": StatingTrait(True),
    "unsubscribe": StatingTrait(True),
    "opt_out": StatingTrait(True),
    "opted_out": StatingTrait(True),
    "do_not_contact": StatingTrait(True),
    "marketing_opt_out": StatingTrait(True),
    "marketing_opted_out": StatingTrait(True),
    "marketing_unsubscribed": StatingTrait(True),
    "unsubscribed_from_marketing": StatingTrait(True),
    "is_unsubscribed": StatingTrait(True),
    "has_unsubscribed": StatingTrait(True),
    "globally_unsubscribed": StatingTrait(True),
    "is_opted_out": StatingTrait(True),
    "has_opted_out": StatingTrait(True),
    "do_not_market": StatingTrait(True),
    "opt_out_marketing": StatingTrait(True),
    "opt_out_of_marketing": StatingTrait(True),
    "opted_out_of_marketing": StatingTrait(True),
    "subscribed": StatingTrait(False),
    "opt_in": StatingTrait(False),
    "opted_in": StatingTrait(False),
    "consent": StatingTrait(False),
    "marketing_consent": StatingTrait(False),
    "consent_marketing": StatingTrait(False),
    "marketing_opt_in": StatingTrait(False),
    "marketing_opted_in": StatingTrait(False),
    "marketing_subscribed": StatingTrait(False),
    "accepts_marketing": StatingTrait(False),
    "has_marketing_consent": StatingTrait(False),
    "marketing_allowed": StatingTrait(False),
    "allow_marketing": StatingTrait(False),
    "marketing_permission": StatingTrait(False),
    "opt_in_marketing": StatingTrait(False),
    "opted_in_to_marketing": StatingTrait(False),
    "email_unsubscribed": StatingTrait(True, "email"),
    "unsubscribed_from_email": StatingTrait(True, "email"),
    "unsubscribed_from_emails": StatingTrait(True, "email"),
    "email_opt_out": StatingTrait(True, "email"),
    "email_opted_out": StatingTrait(True, "email"),
    "has_opted_out_of_email": StatingTrait(True, "email"),
    "hs_email_optout": StatingTrait(True, "email"),
    "do_not_email": StatingTrait(True, "email"),
    "marked_as_spam": StatingTrait(True, "email"),
    "is_unsubscribed_from_emails": StatingTrait(True, "email"),
    "unsubscribed_from_newsletter": StatingTrait(True, "email"),
    "email_marketing_opt_out": StatingTrait(True, "email"),
    "email_marketing_unsubscribed": StatingTrait(True, "email"),
    "opt_out_email": StatingTrait(True, "email"),
    "opted_out_of_email": StatingTrait(True, "email"),
    "opted_out_of_emails": StatingTrait(True, "email"),
    "newsletter_opt_out": StatingTrait(True, "email"),
    "newsletter_unsubscribed": StatingTrait(True, "email"),
    "email_subscribed": StatingTrait(False, "email"),
    "email_subscribe": StatingTrait(False, "email"),
    "email_opt_in": StatingTrait(False, "email"),
    "email_opted_in": StatingTrait(False, "email"),
    "email_consent": StatingTrait(False, "email"),
    "email_marketing": StatingTrait(False, "email"),
    "email_marketing_consent": StatingTrait(False, "email"),
    "accepts_email_marketing": StatingTrait(False, "email"),
    "newsletter_subscribed": StatingTrait(False, "email"),
    "email_marketing_opt_in": StatingTrait(False, "email"),
    "email_marketing_subscribed": StatingTrait(False, "email"),
    "opt_in_email": StatingTrait(False, "email"),
    "opted_in_to_email": StatingTrait(False, "email"),
    "newsletter": StatingTrait(False, "email"),
    "newsletter_opt_in": StatingTrait(False, "email"),
    "newsletter_consent": StatingTrait(False, "email"),
    "subscribed_to_newsletter": StatingTrait(False, "email"),
    "subscribed_to_emails": StatingTrait(False, "email"),
    "sms_unsubscribed": StatingTrait(True, "sms"),
    "unsubscribed_from_sms": StatingTrait(True, "sms"),
    "sms_opt_out": StatingTrait(True, "sms"),
    "sms_opted_out": StatingTrait(True, "sms"),
    "do_not_sms": StatingTrait(True, "sms"),
    "do_not_text": StatingTrait(True, "sms"),
    "sms_marketing_opt_out": StatingTrait(True, "sms"),
    "opt_out_sms": StatingTrait(True, "sms"),
    "opted_out_of_sms": StatingTrait(True, "sms"),
    "sms_subscribed": StatingTrait(False, "sms"),
    "sms_subscribe": StatingTrait(False, "sms"),
    "sms_opt_in": StatingTrait(False, "sms"),
    "sms_opted_in": StatingTrait(False, "sms"),
    "sms_consent": StatingTrait(False, "sms"),
    "sms_marketing": StatingTrait(False, "sms"),
    "sms_marketing_consent": StatingTrait(False, "sms"),
    "accepts_sms_marketing": StatingTrait(False, "sms"),
    "sms_marketing_opt_in": StatingTrait(False, "sms"),
    "opt_in_sms": StatingTrait(False, "sms"),
    "subscribed_to_sms": StatingTrait(False, "sms"),
}
"""Traits that state a withdrawal with one of their values, and never a grant with the other."""

CHANNEL_WORDS: Final[Mapping[str, Channel]] = {
    "email": "email",
    "emails": "email",
    "mail": "email",
    "newsletter": "email",
    "sms": "sms",
    "text": "sms",
    "texts": "sms",
    "text message": "sms",
    "mms": "sms",
}
"""Words for a channel in a withdrawal; any other word means all channels."""

_SEPARATORS = str.maketrans("", "", " \t\r\n_-.:$")
_TRUE_WORDS = frozenset({"true", "yes", "y", "t", "on", "1"})
_FALSE_WORDS = frozenset({"false", "no", "n", "f", "off", "0"})
_OUT_WORDS = frozenset(
    {"unsubscribed", "optedout", "optout", "out", "withdrawn", "revoked", "denied", "declined", "rejected", "blocked"}
)
_IN_WORDS = frozenset({"subscribed", "optedin", "optin", "in", "granted", "given", "accepted"})


@lru_cache(4_096)
def normalized(name: str) -> str:
    """Return a name as names are compared here.

    Examples
    --------
    >>> normalized("Email Opt-Out") == normalized("emailOptOut") == normalized(" email_opt_out ")
    True
    """
    return name.translate(_SEPARATORS).casefold()


_EVENTS = {normalized(name): withdrawal for name, withdrawal in EVENTS.items()}
_TRAITS = {normalized(name): trait for name, trait in TRAITS.items()}
_WORDS = {normalized(word): channel for word, channel in CHANNEL_WORDS.items()}
_PLAIN = frozenset({normalized("Consent Withdrawn"), normalized("Unsubscribed")})
_STEMS = ("unsubscri", "optout", "optedout", "optingout", "markedasspam")
"""Parts of names, as names are compared here, by which :func:`resembles` knows them."""
MAX_NAME = max(map(len, EVENTS)) + 20
"""Maximum length of a name, a channel or an answer that is read here, characters."""


def named(event_name: object) -> NamedWithdrawal | None:
    """Return what an event's name withdraws; ``None`` for any other name.

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
    """Return whether a name that is in none of the tables looks as if it were about a withdrawal.

    Examples
    --------
    >>> [resembles(name) for name in ("Push Unsubscribed", "unsubscribed_at", "Unsubscribed", "Trial Started")]
    [True, True, False, False]
    """
    plain = normalized(name[: 2 * MAX_NAME])
    return any(stem in plain for stem in _STEMS) and plain not in _EVENTS and plain not in _TRAITS


def source_of(event_name: str) -> str | None:
    """Return the name of an event where it says more than that consent was withdrawn."""
    return None if normalized(event_name) in _PLAIN else event_name


def stating(trait_name: str) -> StatingTrait | None:
    """Return the entry of a trait's name; ``None`` for a trait that says nothing about consent."""
    return _TRAITS.get(normalized(trait_name)) if len(trait_name) <= MAX_NAME else None


def channel_of(said: object, own: Channel | None = None) -> Channel | None:
    """Read the channel of a withdrawal leniently.

    Parameters
    ----------
    said
        The event's ``channel``, as JSON gave it.
    own
        The channel of the event's name, where it has one.

    Returns
    -------
    str or None
        ``None`` is all channels: for an unknown channel, for none, and where ``said`` and ``own`` differ.

    Examples
    --------
    >>> channel_of(" EMAIL "), channel_of("push"), channel_of(None), channel_of(None, "sms"), channel_of("sms", "email")
    ('email', None, None, 'sms', None)
    """
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if said is None or said == "":
        return own
    found = _WORDS.get(normalized(said)) if isinstance(said, str) and len(said) <= MAX_NAME else None
    return found if own is None or own == found else None


def is_no(value: object) -> bool:
    """Return whether a value of ``granted`` or ``consent`` says no, leniently.

    Examples
    --------
    >>> [is_no(value) for value in (False, "False", 0, "no", True, None, "maybe")]
    [True, True, True, True, False, False, False]
    """
    return meaning(StatingTrait(withdraws=False), value) == "withdrawal"


def meaning(trait: StatingTrait, value: object) -> Meaning:
    """Read a trait's value: leniently in the direction of a withdrawal, and as a mere hint in the other.

    ``nothing`` is said by ``null`` and by the empty text. What can be read neither way is ``unclear``.

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
    """Read a value that names the answer itself, such as ``unsubscribed`` in ``email_subscribe``."""
    if isinstance(value, str) and len(value) <= MAX_NAME:
        word = normalized(value)
        if word in _OUT_WORDS:
            return "withdrawal"
        if word in _IN_WORDS:
            return "grant"
    return "unclear"


def channels_of(channel: Channel | None) -> tuple[Channel, ...]:
    """Return the channels that a statement is about."""
    return CHANNELS if channel is None else (channel,)
