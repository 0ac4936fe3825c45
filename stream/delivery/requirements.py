"""Requirements of delivery, which must be met before a message may leave this machine.

``perennial check`` and ``perennial up`` compare them with the rules of the file. A delivering process compares them
with the rules in the log.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from models.configuration.compiled import Configuration, Rule, campaign_rule
from models.configuration.templates import CONFIRM
from models.delivery.address_hashes import MIN_SECRET_BYTES
from models.events import CHANNELS, Channel
from stream.delivery.mime import domain_of
from stream.delivery.push_secrets import service_account, vapid_key
from stream.delivery.signing import InvalidDkimKey, require_key
from stream.delivery.webhook_secrets import webhook_endpoints
from stream.settings.fields import Secret
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings

SECTIONS: dict[Channel, str] = {"email": "smtp", "sms": "twilio", "push": "push"}
"""The section of ``delivery`` that names a channel's provider."""


# the type gets these values with the channels' messages
_WEBHOOK = cast("Channel", "webhook")

DKIM_KEY = "delivery.smtp.dkim.private_key"
"""Place of the key that signs e-mails."""


class Unmet(NamedTuple):
    """A requirement that is not met.

    Attributes
    ----------
    name
        Stable name of the finding, and of the reason for which delivery holds its messages.
    says
        A sentence for people.
    channel
        The only channel that it stops; ``None`` if it stops all of them.
    """

    name: str
    says: str
    channel: Channel | None = None


def unmet(settings: Settings, rules: Configuration) -> Iterator[Unmet]:
    """Find every requirement of these rules that the settings do not meet; in mode ``outbox`` there is none."""
    delivery = settings.sections.delivery
    if delivery.mode == "outbox":
        return
    used = {channel for rule in _sending(rules) for channel in rule.channels}
    for channel in CHANNELS:
        if channel in used and getattr(delivery, SECTIONS[channel]) is None:
            says = f"mode {delivery.mode} needs delivery.{SECTIONS[channel]} (for {channel})"
            yield Unmet(f"delivery.provider.{channel}", says, channel)
    if delivery.mode == "allowlist" and not delivery.allowlist:
        yield Unmet("delivery.allowlist", "mode allowlist needs addresses in delivery.allowlist")
    url = settings.sections.http.public_url
    if url is None:
        says = f"http.public_url is not set: unsubscribe links would begin with {settings.public_url}"
        yield Unmet("delivery.public_url", says)
    elif delivery.mode == "live" and _is_open(url) and _links_by_email(rules):
        says = f"http.public_url is {url}: the signed links in e-mails need https://"
        yield Unmet("delivery.public_url", says, "email")
    elif delivery.mode == "live" and _leads_nowhere(url, settings) and _links_by_email(rules):
        says = f"http.public_url is {url}: unsubscribe links would lead to the reader's own machine"
        yield Unmet("delivery.public_url", says, "email")
    if delivery.mode == "live" and (delivery.smtp is None or not _is_near(delivery.smtp.host)):
        yield from unmet_by_marketing_mail(settings, rules)


def unmet_by_marketing_mail(settings: Settings, rules: Configuration) -> Iterator[Unmet]:
    """Find what mailbox providers and the law of many countries require of marketing by e-mail, and is not met.

    With a mail server in this machine's network, it is no requirement, because the server may be one for trials.
    """
    smtp = settings.sections.delivery.smtp
    if not any(rule.category == "marketing" and "email" in rule.channels for rule in _sending(rules)):
        return
    if not rules.postal_address:
        says = "marketing by e-mail needs the sender's postal address: set sender.postal_address"
        yield Unmet("delivery.postal_address", says, "email")
    if smtp is None or smtp.relay_signs:
        return
    if smtp.dkim is None:
        says = (
            "marketing by e-mail needs signatures (DKIM): set delivery.smtp.dkim, "
            "or delivery.smtp.relay_signs: true if the mail server signs"
        )
        yield Unmet("delivery.dkim", says, "email")
    elif not _is_aligned(smtp.dkim.domain, domain_of(smtp.sender)):
        says = (
            f"delivery.smtp.dkim.domain is {smtp.dkim.domain}, but e-mails come from {domain_of(smtp.sender)}: "
            "receivers accept a signature of the same domain, or of one above or below it"
        )
        yield Unmet("delivery.dkim", says, "email")


def unmet_secrets(settings: Settings) -> Iterator[Unmet]:
    """Find the secrets of delivery that cannot be read."""
    delivery = settings.sections.delivery
    wanted: list[tuple[Secret, str, Unmet]] = [
        (secret, f"delivery.unsubscribe_secrets[{i}]", Unmet("secrets.unsubscribe", ""))
        for i, secret in enumerate(delivery.unsubscribe_secrets)
    ]
    if delivery.smtp is not None and delivery.smtp.password is not None:
        wanted.append((delivery.smtp.password, "delivery.smtp.password", Unmet("secrets.smtp", "", "email")))
    if delivery.twilio is not None:
        wanted.append((delivery.twilio.auth_token, "delivery.twilio.auth_token", Unmet("secrets.twilio", "", "sms")))
    if delivery.smtp is not None and delivery.smtp.dkim is not None:
        wanted.append((delivery.smtp.dkim.private_key, DKIM_KEY, Unmet("secrets.dkim", "", "email")))
    for secret, path, requirement in wanted:
        try:
            revealed = settings.reveal(secret, path)
            if path == DKIM_KEY:
                require_key(revealed)
        except InvalidSettings as error:
            yield requirement._replace(says=str(error))
        except InvalidDkimKey as error:
            yield requirement._replace(says=f"{path}: {error}")
    read_by_name: tuple[tuple[str, Channel, Callable[[Settings], object]], ...] = (
        ("secrets.fcm", "push", service_account),
        ("secrets.vapid", "push", vapid_key),
        ("secrets.webhooks", _WEBHOOK, webhook_endpoints),
    )
    for name, channel, read in read_by_name:
        try:
            read(settings)
        except InvalidSettings as error:
            yield Unmet(name, str(error), channel)
    try:
        suppression_secrets(settings)
    except InvalidSettings as error:
        yield Unmet("secrets.suppression", str(error))


def suppression_secrets(settings: Settings) -> list[bytes]:
    """Read the secrets of the suppression list that the settings name; there may be none.

    Raises
    ------
    InvalidSettings
        A secret is missing at its place, or is too short.
    """
    secrets = []
    for i, secret in enumerate(settings.sections.delivery.suppression_secrets):
        path = f"delivery.suppression_secrets[{i}]"
        secrets.append(settings.reveal(secret, path).encode())
        if len(secrets[-1]) < MIN_SECRET_BYTES:
            allowed = f"a secret of at least {MIN_SECRET_BYTES} characters"
            raise InvalidSettings(settings.given.origin(path), path, "a shorter one", allowed)
    return secrets


def _sending(rules: Configuration) -> Iterator[Rule]:
    """Yield everything that sends messages as a rule: rules, steps of journeys, campaigns, and questions."""
    yield from rules.by_name.values()
    yield from map(campaign_rule, rules.campaigns)


def _links_by_email(rules: Configuration) -> bool:
    """Return whether e-mails have signed links: marketing, and the question whether a consent is confirmed."""
    mails = (rule for rule in _sending(rules) if "email" in rule.channels)
    return any(rule.category == "marketing" or rule.template == CONFIRM for rule in mails)


def _is_aligned(domain: str, sender: str) -> bool:
    """Return whether a signature of a domain counts for the domain of the sender (DMARC).

    Examples
    --------
    >>> [_is_aligned(domain, "shop.example") for domain in ("Shop.Example", "mail.shop.example", "myshop.example")]
    [True, True, False]
    """
    one, other = domain.lower(), sender.lower()
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _is_open(url: str) -> bool:
    """Return whether other machines reach a URL without TLS."""
    parts = urlsplit(url)
    return parts.scheme != "https" and not is_loopback(parts.hostname or "")


def _leads_nowhere(url: str, settings: Settings) -> bool:
    """Return whether links lead to this machine although a mail server elsewhere sends them to other people."""
    smtp = settings.sections.delivery.smtp
    return smtp is not None and not _is_near(smtp.host) and is_loopback(urlsplit(url).hostname or "")


def _is_near(host: str) -> bool:
    """Return whether a mail server is in this machine's network, as a server for trials is.

    Examples
    --------
    >>> [_is_near(host) for host in ("localhost", "mailpit", "10.0.0.3", "smtp.shop.example", "8.8.8.8")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return "." not in host


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine itself.

    Examples
    --------
    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("shop.example")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
