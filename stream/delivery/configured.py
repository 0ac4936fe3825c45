"""Settings of delivery with their secrets, which are read here when a process that needs them starts."""

from __future__ import annotations

import logging

import msgspec

from models.delivery.address_hashes import AddressHashes
from stream.delivery.channels import DeliverySettings
from stream.delivery.push import PushKeys
from stream.delivery.push_secrets import service_account, vapid_key
from stream.delivery.requirements import DKIM_KEY, suppression_secrets, unmet_secrets
from stream.delivery.unsubscribe import Signer, secret_of
from stream.delivery.webhook_secrets import webhook_endpoints
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings

logger = logging.getLogger(__name__)

SECRET_FILE = "unsubscribe.secret"  # noqa: S105 - a file's name
"""File in the data folder for the secret of unsubscribe links, made at first use if the settings name no secret."""
SUPPRESSION_SECRET_FILE = "suppression.secret"  # noqa: S105 - a file's name
"""File in the data folder for the secret of the suppression list, made in the same way."""


def delivery_settings(settings: Settings) -> DeliverySettings:
    """Return the settings of delivery with secrets revealed.

    A provider whose secret cannot be read is left out. Without the secret of unsubscribe links, all are left out.
    ``unmet_secrets`` names these secrets, and delivery holds its messages meanwhile.
    """
    section, missing = settings.sections.delivery, {requirement.name for requirement in unmet_secrets(settings)}
    cannot_sign = "secrets.unsubscribe" in missing
    smtp = None if cannot_sign or missing & {"secrets.smtp", "secrets.dkim"} else section.smtp
    twilio = None if cannot_sign or "secrets.twilio" in missing else section.twilio
    password, dkim = (None, None) if smtp is None else (smtp.password, smtp.dkim)
    push = PushKeys(
        account=None if cannot_sign or "secrets.fcm" in missing else service_account(settings),
        vapid=None if cannot_sign or "secrets.vapid" in missing else vapid_key(settings),
    )
    return DeliverySettings(
        section=msgspec.structs.replace(section, smtp=smtp, twilio=twilio),
        outbox=settings.outbox,
        public_url=settings.public_url,
        unsubscribe_keys=() if cannot_sign else unsubscribe_keys(settings),
        smtp_password=None if password is None else settings.reveal(password, "delivery.smtp.password"),
        dkim_key="" if dkim is None else settings.reveal(dkim.private_key, DKIM_KEY),
        twilio_token="" if twilio is None else settings.reveal(twilio.auth_token, "delivery.twilio.auth_token"),
        push=push,
        webhooks={} if cannot_sign or "secrets.webhooks" in missing else webhook_endpoints(settings),
        outbound=settings.sections.outbound,
        callback_url=settings.sections.http.public_url,
        partitions=settings.partitions,
    )


def unsubscribe_keys(settings: Settings) -> tuple[bytes, ...]:
    """Return the secrets of unsubscribe links: the first one signs, and all verify."""
    named = settings.sections.delivery.unsubscribe_secrets
    if not named:
        return (secret_of(settings.folder / SECRET_FILE),)
    return tuple(
        settings.reveal(secret, f"delivery.unsubscribe_secrets[{i}]").encode() for i, secret in enumerate(named)
    )


def suppression_hashes(settings: Settings) -> AddressHashes:
    """Return the hashes of the suppression list.

    If a secret cannot be read, they hash nothing: ``unmet_secrets`` names it, and delivery holds its messages.
    """
    if not settings.sections.delivery.suppression_secrets:
        return AddressHashes([secret_of(settings.folder / SUPPRESSION_SECRET_FILE)])
    try:
        return AddressHashes(suppression_secrets(settings))
    except InvalidSettings as error:
        return AddressHashes([], missing=str(error))


def unsubscribe_signer(settings: Settings) -> Signer:
    """Return the signer of unsubscribe links, which also verifies them."""
    return Signer(unsubscribe_keys(settings), settings.public_url)


def twilio_callback_token(settings: Settings) -> str | None:
    """Return the token that signs Twilio's callbacks.

    ``None`` if no callbacks come, because ``delivery.twilio`` or ``http.public_url`` is not set. Also ``None`` if the
    token cannot be read. Then a warning is logged, and the HTTP door still accepts events.
    """
    twilio = settings.sections.delivery.twilio
    if twilio is None or settings.sections.http.public_url is None:
        return None
    try:
        return settings.reveal(twilio.auth_token, "delivery.twilio.auth_token")
    except InvalidSettings as error:
        logger.warning("callbacks of Twilio are refused: %s", error)
        return None
