"""From the settings file to open channels: secrets are read here, when a process that needs them starts."""

from __future__ import annotations

import logging

from models.configuration.durations import milliseconds
from models.delivery.address_hashes import AddressHashes
from models.delivery.breaker import BreakerPolicy
from stream.delivery.channels import DeliverySettings
from stream.delivery.requirements import suppression_secrets, unmet_secrets
from stream.delivery.smtp import SmtpSettings
from stream.delivery.twilio import TwilioSettings
from stream.delivery.unsubscribe import Signer, secret_of
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings

log = logging.getLogger(__name__)

SECRET_FILE = "unsubscribe.secret"  # noqa: S105 - a file's name
"""In the data folder: made at first use where the settings name no secret."""
SUPPRESSION_SECRET_FILE = "suppression.secret"  # noqa: S105 - a file's name
"""File in the data folder for the secret of the suppression list, made as above."""


def delivery_settings(settings: Settings) -> DeliverySettings:
    """Settings of delivery, secrets revealed.

    A provider whose secret cannot be read is left out, and all of them without the secret of unsubscribe links:
    ``unmet_secrets`` names these, and delivery holds its messages meanwhile.
    """
    delivery = settings.sections.delivery
    missing = {requirement.name for requirement in unmet_secrets(settings)}
    cannot_sign = "secrets.unsubscribe" in missing
    return DeliverySettings(
        mode=delivery.mode,
        allowlist=tuple(delivery.allowlist),
        outbox=settings.outbox,
        public_url=settings.public_url,
        secrets=() if cannot_sign else unsubscribe_keys(settings),
        smtp=None if cannot_sign or "secrets.smtp" in missing else _smtp(settings),
        twilio=None if cannot_sign or "secrets.twilio" in missing else _twilio(settings),
        breaker=BreakerPolicy(
            failures=delivery.breaker.failures,
            pause=milliseconds(delivery.breaker.pause),
            longest=milliseconds(delivery.breaker.longest),
        ),
    )


def unsubscribe_keys(settings: Settings) -> tuple[bytes, ...]:
    """Secrets of unsubscribe links: the first signs, all verify."""
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
    """What signs and verifies unsubscribe links."""
    return Signer(unsubscribe_keys(settings), settings.public_url)


def twilio_callback_token(settings: Settings) -> str | None:
    """Return what signs Twilio's callbacks; ``None`` where none come: without Twilio, or without ``http.public_url``.

    Without its secret no callback is accepted either, which is logged: the HTTP door takes events all the same.
    """
    twilio = settings.sections.delivery.twilio
    if twilio is None or settings.sections.http.public_url is None:
        return None
    try:
        return settings.reveal(twilio.auth_token, "delivery.twilio.auth_token")
    except InvalidSettings as error:
        log.warning("callbacks of Twilio are refused: %s", error)
        return None


def _smtp(settings: Settings) -> SmtpSettings | None:
    smtp = settings.sections.delivery.smtp
    if smtp is None:
        return None
    return SmtpSettings(
        host=smtp.host,
        port=smtp.port,
        security=smtp.tls,
        username=smtp.username,
        password=settings.reveal(smtp.password, "delivery.smtp.password") if smtp.password else None,
        sender=smtp.sender,
        reply_to=smtp.reply_to,
        connections=smtp.connections,
        timeout_s=milliseconds(smtp.timeout) / 1000,
    )


def _twilio(settings: Settings) -> TwilioSettings | None:
    twilio = settings.sections.delivery.twilio
    if twilio is None:
        return None
    return TwilioSettings(
        account=twilio.account_sid,
        token=settings.reveal(twilio.auth_token, "delivery.twilio.auth_token"),
        sender=twilio.sender,
        base_url=twilio.base_url,
        public_url=settings.sections.http.public_url,
    )
