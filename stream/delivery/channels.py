"""The table of channels, and how one is opened. A new channel is a module beside this one and a line here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from models.engage.deliveries import Result
from models.engage.messages import Message
from models.events import Channel
from monitoring.metrics import measured
from stream.delivery.gate import Gate, Mode
from stream.delivery.outbox import SENDER, Outbox
from stream.delivery.provider import Provider
from stream.delivery.retries import Retries
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
    retry_s
        So long what a provider refused for now is tried again.
    """

    mode: Mode = "outbox"
    allowlist: tuple[str, ...] = ()
    outbox: Path = Path("outbox")
    public_url: str = "http://127.0.0.1:8088"
    secrets: tuple[bytes, ...] = ()
    smtp: SmtpSettings | None = None
    twilio: TwilioSettings | None = None
    retry_s: float = 60.0


def _email(settings: DeliverySettings) -> Provider | None:
    return None if settings.smtp is None else Smtp(settings.smtp)


def _sms(settings: DeliverySettings) -> Provider | None:
    return None if settings.twilio is None else Twilio(settings.twilio)


PROVIDERS: dict[Channel, Callable[[DeliverySettings], Provider | None]] = {
    "email": _email,
    "sms": _sms,
}


@dataclass(frozen=True, slots=True)
class Sender:
    """An open channel.

    Attributes
    ----------
    send
        For ``agents.deliver_messages``.
    close
        When the process ends.
    """

    send: Callable[[Message], Awaitable[Result]]
    close: Callable[[], Awaitable[None]]


def open_channel(channel: Channel, settings: DeliverySettings, *, now: Callable[[], int]) -> Sender:
    """Put gate, retries and provider of a channel together; connects to nothing yet.

    Parameters
    ----------
    channel, settings
        Which, and how.
    now
        The wall clock, milliseconds.

    Raises
    ------
    ValueError
        Messages could leave, but their unsubscribe links cannot be signed.
    """
    signer = Signer(settings.secrets, settings.public_url) if settings.secrets else None
    sender = settings.smtp.sender if settings.smtp is not None and settings.smtp.sender else SENDER
    gate = Gate(
        settings.mode,
        Outbox(settings.outbox, sender),
        now=now,
        provider=PROVIDERS[channel](settings),
        signer=signer,
        allowlist=settings.allowlist,
    )

    async def attempt(message: Message) -> Result:
        with measured("provider_seconds", channel):
            return await gate.deliver(message)

    return Sender(Retries(attempt, now=now, budget_s=settings.retry_s).deliver, gate.close)
