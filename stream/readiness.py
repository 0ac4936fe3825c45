"""Whether an installation can be used as its settings describe it: what ``perennial check`` says."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Literal, NamedTuple

from models.engage.configuration import Configuration
from models.errors import PerennialError
from stream import topics
from stream.admin import BrokerUnreachable, admin
from stream.broker import NAME_PREFIX
from stream.configuration import configuration
from stream.connection import Connection
from stream.segment_names import names_in_use, notes
from stream.settings import Settings


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes
    ----------
    what
        ``settings``, ``rules``, ``secrets``, ``delivery``, ``write keys``, ``broker``, ``topics``.
    result
        ``failed`` stops something from working; ``note`` is worth knowing.
    says
        In words.
    """

    what: str
    result: Literal["ok", "note", "failed"]
    says: str


def findings(settings: Settings, *, offline: bool = False) -> Iterator[Finding]:
    """Look at everything, and go on after what failed.

    Parameters
    ----------
    settings
        Of the installation.
    offline
        Leave out what needs a broker.
    """
    yield Finding("settings", "ok", f"from {settings.file}" if settings.file else "no file; defaults")
    rules: list[Configuration] = []
    yield from _tried("rules", lambda: _rules(settings, rules))
    yield from _tried("secrets", lambda: _secrets(settings))
    found = rules[0] if rules else Configuration()
    yield from _delivery(settings, found)
    yield from _write_keys(settings)
    if offline:
        yield from _segments(found, None)
    else:
        yield from _cluster(settings, found)


def _tried(what: str, look: Callable[[], str]) -> Iterator[Finding]:
    try:
        says = look()
    except PerennialError as error:
        yield Finding(what, "failed", str(error))
    else:
        yield Finding(what, "ok", says)


def _rules(settings: Settings, read: list[Configuration]) -> str:
    found = configuration(settings)
    read.append(found)
    names = ", ".join(rule.name for rule in found.rules) or "none"
    return f"{len(found.rules)} rules ({names}), {len(found.templates)} templates in {settings.templates}"


def _secrets(settings: Settings) -> str:
    count = 0
    delivery = settings.delivery
    if settings.kafka.sasl is not None:
        settings.connection()
        count += 1
    named = [(secret, f"delivery.unsubscribe_secrets[{i}]") for i, secret in enumerate(delivery.unsubscribe_secrets)]
    if delivery.smtp is not None and delivery.smtp.password is not None:
        named.append((delivery.smtp.password, "delivery.smtp.password"))
    if delivery.twilio is not None:
        named.append((delivery.twilio.auth_token, "delivery.twilio.auth_token"))
    named += [(k, f"http.write_keys[{i}]") for i, k in enumerate(settings.http.write_keys) if k.value is None]
    for secret, path in named:
        settings.reveal(secret, path)
    count += len(named)
    return f"{count} found" if count else "none needed"


def _delivery(settings: Settings, rules: Configuration) -> Iterator[Finding]:
    delivery = settings.delivery
    if delivery.mode == "outbox":
        yield Finding("delivery", "ok", f"messages become files in {settings.outbox}")
        return
    providers = {"email": ("smtp", delivery.smtp), "sms": ("twilio", delivery.twilio)}
    used = {channel for rule in rules.rules for channel in rule.channels}
    missing = [f"delivery.{providers[c][0]} (for {c})" for c in sorted(used) if providers[c][1] is None]
    if missing:
        yield Finding("delivery", "failed", f"mode {delivery.mode} needs {', '.join(missing)}")
    if delivery.mode == "allowlist" and not delivery.allowlist:
        yield Finding("delivery", "failed", "mode allowlist needs addresses in delivery.allowlist")
    if settings.http.public_url is None:
        says = f"http.public_url is not set: unsubscribe links would begin with {settings.public_url}"
        yield Finding("delivery", "failed", says)
    if not missing:
        yield Finding("delivery", "ok", f"mode {delivery.mode}")


def _write_keys(settings: Settings) -> Iterator[Finding]:
    """Say whether anybody in the network could send events that cause real messages."""
    keys, host = settings.http.write_keys, settings.http.host
    if keys:
        kinds = Counter(key.kind for key in keys)
        yield Finding("write keys", "ok", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    elif not _is_loopback(host):
        says = f"http.write_keys is empty, and the HTTP door listens on {host}: anybody who reaches it can send events"
        yield Finding("write keys", "failed" if settings.delivery.mode == "live" else "note", says)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _segments(rules: Configuration, known: Collection[str] | None) -> Iterator[Finding]:
    for note in notes(rules, known):
        yield Finding("rules", "note", note)


def _cluster(settings: Settings, rules: Configuration) -> Iterator[Finding]:
    try:
        connection = settings.connection()
        with admin(connection, timeout_s=1.0 if settings.embedded else 5.0) as client:
            name = str(client.describe_cluster()["cluster_id"])
    except BrokerUnreachable as error:
        yield from _segments(rules, None)
        if settings.embedded:
            yield Finding("broker", "note", "the embedded broker does not run; perennial up starts it")
        else:
            yield Finding("broker", "failed", str(error))
        return
    except PerennialError as error:
        yield Finding("broker", "failed", str(error))
        return
    yield _kind(settings, connection, name)
    problems = topics.check(connection, settings.partitions)
    serious = [problem for problem in problems if problem.kind != "config"]
    if serious:
        yield from _segments(rules, None)
        yield Finding("topics", "failed", str(topics.TopicsNotReady(serious)))
    else:
        yield from _segments(rules, asyncio.run(names_in_use(connection)))
        yield Finding(
            "topics", "ok", f"all {len(topics.TOPICS)} are there, the log with {settings.partitions} partitions"
        )
    for problem in problems:
        if problem.kind == "config":
            yield Finding("topics", "note", f"{problem.topic} {problem.what}")


def _kind(settings: Settings, connection: Connection, name: str) -> Finding:
    is_embedded = name.startswith(NAME_PREFIX)
    if is_embedded == settings.embedded:
        kind = "the embedded broker" if is_embedded else f"cluster {name}"
        return Finding("broker", "ok", f"{kind} at {connection.servers}")
    says = (
        f"{connection.servers} is the embedded broker, which has no transactions; set kafka.embedded: true"
        if is_embedded
        else f"{connection.servers} is a Kafka cluster; name it in kafka.servers, and do not set kafka.embedded"
    )
    return Finding("broker", "failed", says)
