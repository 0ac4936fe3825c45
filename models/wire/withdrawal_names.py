"""Names with which other tools state a withdrawal of consent: one table of event names, one of traits, one of channels.

A name that is not here can be added in the section ``consent`` of ``perennial.yaml``. No entry is ever a grant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from models.events import Channel


class NamedWithdrawal(NamedTuple):
    """The meaning of the name of an event.

    Attributes
    ----------
    channel
        The channel that is withdrawn; ``None`` means the channel that the event states, or all channels.
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
        The channel that the trait is about; ``None`` means all channels.
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
"""Traits that withdraw consent with one value. The other value is never a grant."""

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
    "push": "push",
    "push notification": "push",
    "push notifications": "push",
    "mobile push": "push",
    "web push": "push",
}
"""Words for a channel in a withdrawal. Any other word means all channels."""
