"""The table of channels, and the function that opens a channel.

A new channel is a module beside this one and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.delivery.breaker import BreakerPolicy
from models.delivery.suppressor import Suppressor
from models.delivery.token_bucket import CallRate
from models.durations import milliseconds
from models.events import Channel
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.gate import Gate, Reach
from stream.delivery.holds import Holds
from stream.delivery.outbox import SENDER, Outbox
from stream.delivery.provider import Provider
from stream.delivery.push import PushKeys, open_push
from stream.delivery.signing import MailSigner
from stream.delivery.smtp import Smtp
from stream.delivery.twilio import Twilio
from stream.delivery.unsubscribe import Signer
from stream.delivery.webhook import WebhookEndpoint
from stream.settings.outbound_schema import OutboundSection
from stream.settings.schema import BreakerSection, DeliverySection

MAX_CONCURRENT_FILES = 64
"""Maximum number of files that an outbox writes concurrently. A provider has its own limit."""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """The section ``delivery`` of the settings, with its secrets revealed.

    Attributes
    ----------
    section
        The section of the settings. A provider whose secret cannot be read is left out.
    outbox
        Folder for messages that do not leave this machine.
    public_url
        Public URL of the HTTP door, to which unsubscribe links lead.
    unsubscribe_keys
        Secrets of unsubscribe links: the first one signs, and all verify.
    smtp_password, twilio_token, push, webhooks
        Secrets of the providers.
    outbound
        Hosts that may have a private address.
    dkim_key
        The private key that signs e-mails, if they are signed here.
    callback_url
        URL of the HTTP door for status callbacks; ``None`` requests no callbacks.
    partitions
        Number of partitions of each channel.
    """

    section: DeliverySection
    outbox: Path
    public_url: str
    unsubscribe_keys: tuple[bytes, ...] = ()
    smtp_password: str | None = None
    dkim_key: str = ""
    twilio_token: str = ""
    push: PushKeys = field(default_factory=PushKeys)
    webhooks: Mapping[str, WebhookEndpoint] = field(default_factory=dict)
    outbound: OutboundSection = field(default_factory=OutboundSection)
    callback_url: str | None = None
    partitions: int = 1


def _email(settings: DeliverySettings) -> Provider | None:
    smtp = settings.section.smtp
    if smtp is None:
        return None
    dkim = smtp.dkim
    signer = None if dkim is None else MailSigner(dkim.domain, dkim.selector, settings.dkim_key)
    return Smtp(smtp, settings.smtp_password, signer=signer)


def _sms(settings: DeliverySettings) -> Provider | None:
    twilio = settings.section.twilio
    return None if twilio is None else Twilio(twilio, settings.twilio_token, settings.callback_url)


def _push(settings: DeliverySettings) -> Provider | None:
    push = settings.section.push
    return None if push is None else open_push(push, settings.push, settings.outbound)


PROVIDERS: dict[Channel, Callable[[DeliverySettings], Provider | None]] = {
    "email": _email,
    "sms": _sms,
    "push": _push,
}
"""Each channel, with a function that opens its provider; ``None`` if the settings name no provider."""


def open_channel(
    channel: Channel,
    settings: DeliverySettings,
    *,
    now: Callable[[], int],
    holds: Holds | None = None,
    suppressor: Suppressor | None = None,
    policy: BreakerPolicy | None = None,
) -> Dispatcher:
    """Build the dispatcher, gate and provider of a channel. This opens no connection.

    Parameters
    ----------
    channel, settings
        The channel, and the settings of delivery.
    now
        Returns the time of the wall clock, milliseconds.
    holds
        Reasons for which nothing is sent, shared by the channels of a process.
    suppressor
        The suppression list of this channel; ``None`` stops nothing.
    policy
        Conditions under which the circuit breaker opens; by default, those of the settings.

    Raises
    ------
    ValueError
        Messages could leave, but their unsubscribe links cannot be signed.
    """
    section = settings.section
    keys, scope = settings.unsubscribe_keys, section.unsubscribe_scope
    signer = Signer(keys, settings.public_url, scope) if keys else None
    sender = section.smtp.sender if section.smtp is not None else SENDER
    provider = PROVIDERS[channel](settings)
    gate = Gate(
        Reach(section.mode, section.allowlist),
        Outbox(settings.outbox, sender),
        now=now,
        provider=provider,
        signer=signer,
        suppressor=suppressor,
    )
    leaves = provider is not None and section.mode != "outbox"
    max_concurrency = provider.max_concurrency if provider is not None and leaves else MAX_CONCURRENT_FILES
    policy = policy or breaker_policy(section.breaker)
    dispatcher = Dispatcher(channel, gate, now=now, max_concurrency=max_concurrency, policy=policy, holds=holds)
    rate = section.rates.get(channel)
    if leaves and rate is not None:
        dispatcher.limit_rate(CallRate(rate.per_second, rate.burst), settings.partitions)
    return dispatcher


def breaker_policy(section: BreakerSection) -> BreakerPolicy:
    """Convert a section of the settings."""
    return BreakerPolicy(section.failures, milliseconds(section.pause), milliseconds(section.longest))
