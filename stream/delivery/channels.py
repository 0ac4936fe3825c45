"""The table of channels, and how one is opened. A new channel is a module beside this one and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from models.delivery.breaker import BreakerPolicy
from models.delivery.suppressor import Suppressor
from models.events import Channel
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.gate import Gate, Mode
from stream.delivery.holds import Holds
from stream.delivery.outbox import SENDER, Outbox
from stream.delivery.provider import Provider
from stream.delivery.smtp import Smtp, SmtpSettings
from stream.delivery.twilio import Twilio, TwilioSettings
from stream.delivery.unsubscribe import Signer


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How messages leave the house.

    Attributes
    ----------
    mode, allowlist
        See :class:`~stream.delivery.gate.Gate`.
    outbox
        Folder for what stays.
    public_url
        Where the HTTP door is reached from outside; unsubscribe links lead there.
    secrets
        For unsubscribe links: the first signs, all verify.
    smtp, twilio
        Providers; ``None`` for a channel that is not in use.
    breaker
        When a provider is left alone, and for how long.
    """

    mode: Mode = "outbox"
    allowlist: tuple[str, ...] = ()
    outbox: Path = Path("outbox")
    public_url: str = "http://127.0.0.1:8088"
    secrets: tuple[bytes, ...] = ()
    smtp: SmtpSettings | None = None
    twilio: TwilioSettings | None = None
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)


def _email(settings: DeliverySettings) -> Provider | None:
    return None if settings.smtp is None else Smtp(settings.smtp)


def _sms(settings: DeliverySettings) -> Provider | None:
    return None if settings.twilio is None else Twilio(settings.twilio)


PROVIDERS: dict[Channel, Callable[[DeliverySettings], Provider | None]] = {
    "email": _email,
    "sms": _sms,
}


MAX_CONCURRENT_FILES = 64
"""Of an outbox; a provider says for itself how many calls it takes."""


def open_channel(
    channel: Channel,
    settings: DeliverySettings,
    *,
    now: Callable[[], int],
    holds: Holds | None = None,
    suppressor: Suppressor | None = None,
) -> Dispatcher:
    """Put desk, gate and provider of a channel together; connects to nothing yet.

    Parameters
    ----------
    channel, settings
        Which, and how.
    now
        The wall clock, milliseconds.
    holds
        Reasons for which nothing is sent; shared by the channels of a process.
    suppressor
        The suppression list at work in this channel; ``None`` stops nothing.

    Raises
    ------
    ValueError
        Messages could leave, but their unsubscribe links cannot be signed.
    """
    signer = Signer(settings.secrets, settings.public_url) if settings.secrets else None
    sender = settings.smtp.sender if settings.smtp is not None and settings.smtp.sender else SENDER
    provider = PROVIDERS[channel](settings)
    gate = Gate(
        settings.mode,
        Outbox(settings.outbox, sender),
        now=now,
        provider=provider,
        signer=signer,
        allowlist=settings.allowlist,
        suppressor=suppressor,
    )
    leaves = provider is not None and settings.mode != "outbox"
    max_concurrency = provider.max_concurrency if provider is not None and leaves else MAX_CONCURRENT_FILES
    return Dispatcher(channel, gate, now=now, max_concurrency=max_concurrency, policy=settings.breaker, holds=holds)
