"""Secrets of the push services, which are read from the places that the settings name."""

from __future__ import annotations

from stream.delivery.google_tokens import ServiceAccount, read_service_account
from stream.delivery.vapid import VapidKey, read_vapid_key
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings

ACCOUNT = "delivery.push.fcm.service_account"
"""Path of the setting that names the service account."""
KEY = "delivery.push.web.private_key"
"""Path of the setting that names the key for web push."""


def service_account(settings: Settings) -> ServiceAccount | None:
    """Read the service account for FCM; ``None`` if the settings name none.

    Raises
    ------
    InvalidSettings
        It is not at its place, or is not the file of a service account.
    """
    push = settings.sections.delivery.push
    if push is None or push.fcm is None:
        return None
    try:
        return read_service_account(settings.reveal(push.fcm.service_account, ACCOUNT))
    except InvalidSettings:
        raise
    except ValueError as error:
        allowed = "the JSON file of a service account, as Google's console writes it"
        raise InvalidSettings(
            settings.given.origin(ACCOUNT), ACCOUNT, f"a file with an error: {error}", allowed
        ) from None


def vapid_key(settings: Settings) -> VapidKey | None:
    """Read the key for web push; ``None`` if the settings name none.

    Raises
    ------
    InvalidSettings
        It is not at its place, or is no key.
    """
    push = settings.sections.delivery.push
    if push is None or push.web is None:
        return None
    try:
        return read_vapid_key(settings.reveal(push.web.private_key, KEY))
    except InvalidSettings:
        raise
    except ValueError:
        allowed = "a private key of P-256, as `perennial push keys` makes it"
        raise InvalidSettings(settings.given.origin(KEY), KEY, "another text", allowed) from None
