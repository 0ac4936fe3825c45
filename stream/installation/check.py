"""Checks of an installation as its settings describe it; ``perennial check`` prints the findings."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from models.conditions.knowledge import Knowledge
from models.configuration.compiled import Configuration, ConsentSettings, decode
from models.configuration.levels import require_expressible
from models.durations import written
from models.errors import InvalidConfiguration, PerennialError
from models.events import MARKETING
from models.levels import NEWEST, UnknownLevel, require_known
from models.wire import withdrawals
from stream.cluster import topics
from stream.cluster.admin import BrokerUnreachable, admin
from stream.cluster.connection import Connection
from stream.collector.configured import server_tokens, user_tokens
from stream.delivery.requirements import is_loopback, unmet, unmet_by_marketing_mail, unmet_secrets
from stream.installation.condition_findings import findings as condition_findings
from stream.installation.condition_findings import known, known_of_log
from stream.installation.embedded_broker import NAME_PREFIX
from stream.installation.findings import Finding
from stream.installation.journey_tests import findings_of_tests
from stream.installation.segment_names import notes
from stream.log.levels import level_in_use
from stream.log.versions import newest_use, read_uses
from stream.settings.loading import Settings
from stream.settings.rules import read_configuration, require_rendering


class CheckOptions(NamedTuple):
    """Options of the check.

    Attributes
    ----------
    offline
        Whether to leave out the checks that need a broker.
    without_test
        Names of journeys that need no test.
    needs_tests
        Whether new and changed journeys need a test.
    """

    offline: bool = False
    without_test: Collection[str] = ()
    needs_tests: bool = True


def findings(settings: Settings, *, offline: bool = False, options: CheckOptions | None = None) -> Iterator[Finding]:
    """Check everything, and continue after a failure.

    Parameters
    ----------
    settings
        Settings of the installation.
    offline
        Whether to leave out the checks that need a broker.
    options
        All options; by default those with ``offline``.
    """
    chosen = CheckOptions(offline) if options is None else options
    yield Finding("settings", "ok", f"from {settings.file}" if settings.file else "no file; defaults")
    if settings.note:
        yield Finding("installation", "note", settings.note)
    try:
        rules = read_configuration(settings)
    except PerennialError as error:
        yield Finding("rules", "failed", str(error))
        rules = Configuration()
    else:
        yield _rules(settings, rules)
        yield _templates(settings, rules)
    yield from _secrets(settings)
    yield from _consent(rules.consent)
    yield from _delivery(settings, rules)
    yield from _write_keys(settings)
    if chosen.needs_tests:
        in_use = None if chosen.offline else _in_use(settings)
        yield from findings_of_tests(settings, rules, in_use, chosen.without_test)
    if chosen.offline:
        yield from _conditions(settings, rules, known(rules))
    else:
        yield from _cluster(settings, rules)


def _in_use(settings: Settings) -> Configuration | None:
    """Return the configuration in use; ``None`` without one, or if the broker does not answer."""
    try:
        connection = settings.connection()
        with admin(connection, timeout_s=1.0 if settings.embedded else 5.0) as client:
            client.describe_cluster()
        newest = newest_use(asyncio.run(read_uses(connection)))
    except PerennialError:
        return None
    return None if newest is None else decode(bytes(newest.content))


def _rules(settings: Settings, rules: Configuration) -> Finding:
    names = ", ".join(rule.name for rule in rules.rules) or "none"
    says = f"{len(rules.rules)} rules ({names}), {len(rules.templates)} templates in {settings.templates}"
    return Finding("rules", "ok", says)


def _templates(settings: Settings, rules: Configuration) -> Finding:
    try:
        require_rendering(settings, rules)
    except PerennialError as error:
        return Finding("templates", "failed", str(error))
    says = "each can be rendered for a user with all values, with none, and with half of them"
    return Finding("templates", "ok", says)


def _consent(settings: ConsentSettings) -> Iterator[Finding]:
    """Yield the purposes of messages, and the names that withdraw consent."""
    says = f"users may consent to: {', '.join((MARKETING, *settings.purposes))}"
    if settings.confirm:
        says += f"; a link confirms each consent to: {', '.join(settings.confirm)}"
    if (customers := settings.existing_customer) is not None:
        within = written(customers.bought_within)
        says += (
            f"; existing customers may get e-mails in {', '.join(customers.countries)} for {within} after a purchase"
        )
    yield Finding("consent.purposes", "ok", says)
    own = [f"{name} ({channel or 'all'})" for name, channel in settings.events.items()]
    yield Finding("consent.events", "ok", f"withdraw consent: {', '.join([*own, *withdrawals.EVENTS])}")
    traits = {**settings.traits, **withdrawals.TRAITS}
    used = [f"{name}: {str(trait.withdraws).lower()}" for name, trait in traits.items() if settings.trait(name)]
    ignored = f"; ignored: {', '.join(settings.ignored)}" if settings.ignored else ""
    yield Finding("consent.traits", "ok", f"withdraw consent: {', '.join(used)}{ignored}")


def _secrets(settings: Settings) -> Iterator[Finding]:
    """Check each secret that the settings name."""
    failed = [Finding(name, "failed", says) for name, says, _ in unmet_secrets(settings)]
    if settings.sections.kafka.sasl is not None:
        failed += _failed("secrets.kafka", settings.connection)
    for i, key in enumerate(settings.sections.http.write_keys):
        path = f"http.write_keys[{i}]"
        if key.value is not None:
            continue
        failed += _failed("secrets.write_keys", partial(settings.reveal, key, path))
    if settings.sections.http.user_token_secrets:
        failed += _failed("secrets.user_tokens", partial(user_tokens, settings))
    failed += _failed("secrets.server_tokens", partial(server_tokens, settings))
    yield from failed
    if not failed:
        yield Finding("secrets", "ok", "all secrets that the settings name can be read")


def _failed(name: str, read: Callable[[], object]) -> list[Finding]:
    try:
        read()
    except PerennialError as error:
        return [Finding(name, "failed", str(error))]
    return []


def _delivery(settings: Settings, rules: Configuration) -> Iterator[Finding]:
    delivery = settings.sections.delivery
    if delivery.mode == "outbox":
        yield Finding("delivery", "ok", f"messages become files in {settings.outbox}")
        return
    failed = [Finding(name, "failed", says) for name, says, _ in unmet(settings, rules)]
    yield from failed
    url = settings.sections.http.public_url
    named = {finding.name for finding in failed}
    if url is not None and is_loopback(urlsplit(url).hostname or "") and "delivery.public_url" not in named:
        says = f"http.public_url is {url}: unsubscribe links lead to the reader's own machine, so they work only here"
        yield Finding("delivery.public_url", "note", says)
    if delivery.mode == "live":
        lacking = [one for one in unmet_by_marketing_mail(settings, rules) if one.name not in named]
        yield from (Finding(name, "note", says) for name, says, _ in lacking)
    if not failed:
        yield Finding("delivery", "ok", f"mode {delivery.mode}")


def _write_keys(settings: Settings) -> Iterator[Finding]:
    """Check whether strangers in the network could send events that cause real messages."""
    keys, host = settings.sections.http.write_keys, settings.sections.http.host
    if keys:
        kinds = Counter(key.kind for key in keys)
        yield Finding("write_keys", "ok", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    elif not is_loopback(host):
        says = f"http.write_keys is empty, and the HTTP door listens on {host}: everyone who reaches it can send events"
        yield Finding("write_keys", "failed" if settings.sections.delivery.mode == "live" else "note", says)


def _conditions(settings: Settings, rules: Configuration, knowledge: Knowledge) -> Iterator[Finding]:
    for note in notes(rules, knowledge.learned):
        yield Finding("rules", "note", note)
    yield from condition_findings(rules, knowledge, settings.given)


def _cluster(settings: Settings, rules: Configuration) -> Iterator[Finding]:
    try:
        connection = settings.connection()
        with admin(connection, timeout_s=1.0 if settings.embedded else 5.0) as client:
            name = str(client.describe_cluster()["cluster_id"])
    except BrokerUnreachable as error:
        yield from _conditions(settings, rules, known(rules))
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
        yield from _conditions(settings, rules, known(rules))
        yield Finding("topics", "failed", str(topics.TopicsNotReady(serious)))
    else:
        knowledge = asyncio.run(known_of_log(rules, connection, settings.partitions))
        yield from _conditions(settings, rules, knowledge)
        yield Finding(
            "topics", "ok", f"all {len(topics.PERMANENT)} exist, and the log has {settings.partitions} partitions"
        )
        yield from _level(asyncio.run(level_in_use(connection, settings.partitions)), rules)
    for problem in problems:
        if problem.kind == "config":
            yield Finding("topics", "note", f"{problem.topic} {problem.what}")


def _level(level: int, rules: Configuration) -> Iterator[Finding]:
    """Check whether an upgrade is not finished, or whether this code is too old for the log."""
    try:
        require_known("the log", level)
    except UnknownLevel as error:
        yield Finding("upgrade", "failed", str(error))
    else:
        if level < NEWEST:
            says = f"the log has format level {level}, and this release knows {NEWEST}: see perennial upgrade status"
            yield Finding("upgrade", "note", says)
            try:
                require_expressible(rules, level)
            except InvalidConfiguration as error:
                yield Finding("upgrade", "note", f"apply will refuse the settings: {error}")


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


class Refused(PerennialError):
    """A start with failed findings: correct them, or override each by its name."""


class NotFailed(PerennialError):
    """A finding to override that has not failed: correct its name, or leave it out."""


def require_ready(settings: Settings, force: Collection[str] = ()) -> list[Finding]:
    """Check the installation without a broker, and return the failed findings that were overridden.

    Parameters
    ----------
    settings
        Settings of the installation.
    force
        Names of findings that may fail.

    Raises
    ------
    NotFailed
        ``force`` names a finding that has not failed.
    Refused
        Some findings failed and were not overridden; the message has all of them.
    """
    options = CheckOptions(offline=True, needs_tests=False)
    failed = [finding for finding in findings(settings, options=options) if finding.result == "failed"]
    names = sorted({finding.name for finding in failed})
    unknown = [name for name in force if name not in names]
    if unknown:
        found = f"failed: {', '.join(names)}" if names else "nothing failed"
        raise NotFailed(f"--force {unknown[0]}: there is no failed finding of that name; {found}")
    serious = [finding for finding in failed if finding.name not in force]
    if serious:
        said = "; ".join(f"{finding.name}: {finding.says}" for finding in serious)
        raise Refused(f"{said} (perennial check shows everything; --force NAME overrides one)")
    return failed
