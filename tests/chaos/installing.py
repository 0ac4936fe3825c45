"""One installation on the suite's broker: its settings, topics, rules and processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from stream.cluster import topics
from stream.log.event_log import EventLog
from stream.log.versions import publish
from stream.settings.loading import Settings, load
from stream.settings.rules import read_configuration
from tests.support.brokers import free_ports

PARTITIONS = 8
EMBEDDED_PARTITIONS = 4
SESSION_S = 6
RULES = ("welcome", "thanks", "carted", "cart_reminder", "viewed")
_FILE = """
version: 1
folder: data
http:
  public_url: http://127.0.0.1:{door}
delivery:
  mode: live
  smtp: {{host: 127.0.0.1, port: {smtp}, from: "Shop <hello@shop.example>", tls: none}}
rules:
  - name: welcome
    category: transactional
    when: {{first_purchase: true}}
  - name: thanks
    category: transactional
    when: {{event: purchase}}
  - name: carted
    category: transactional
    when: {{event: cart_add}}
    cooldown: 1s
  - name: cart_reminder
    when: {{cart_left: {{for: 2s}}}}
  - name: viewed
    when: {{event: product_view}}
    cooldown: 2s
caps:
  - {{messages: 3, within: 1d}}
journeys:
  - name: browsing
    enter: {{on: {{event: product_view}}, again: {{after: 4s}}, meanwhile: restart}}
    exit:
      - {{on: {{event: purchase}}, as: bought}}
      - {{after: 9s, as: late}}
    goal: {{event: purchase, within: 1d}}
    holdout: 20%
    steps:
      - {{id: pause, wait: 1s}}
      - {{id: tip, send: viewed}}
      - id: cart
        wait_for: {{event: cart_add, at_most: 2s}}
        then: [{{id: carted, send: cart_reminder}}]
        otherwise: [{{set: {{browsed: true}}}}]
  - name: buying
    category: transactional
    enter: {{on: {{signal: first_purchase}}}}
    exit: [{{after: 9s, as: late}}]
    steps:
      - id: thrice
        repeat: {{every: 1s, times: 3}}
        do: [{{id: thanks, send: thanks}}]
"""


def write_templates(folder: Path, rules: Iterable[str]) -> None:
    """Write the same short templates for every rule."""
    for rule in rules:
        template = folder / "templates" / rule
        template.mkdir(parents=True)
        (template / "subject.liquid").write_text("Hello {{ first_name }}")
        (template / "text.liquid").write_text("{{ orders }} orders, {{ cart.count }} in the cart.")
        (template / "fallback.liquid").write_text("Subject: Hello\n\nOne of your orders.")


def write_settings(folder: Path, servers: str, prefix: str, *, embedded: bool = False) -> tuple[Settings, int, int]:
    """Write settings and templates of a new installation; return settings, and ports of door and mail server."""
    door, smtp = free_ports(2)
    file = folder / "perennial.yaml"
    file.write_text(_FILE.format(door=door, smtp=smtp))
    write_templates(folder, RULES)
    flags = {
        **{f"metrics.{name}": 0 for name in ("fold", "deliver", "learn", "retrainer", "collector")},
        "worker.port": 0,
        "http.port": door,
        "kafka.servers": servers,
        "kafka.prefix": prefix,
        "kafka.embedded": embedded,
        "kafka.partitions": EMBEDDED_PARTITIONS if embedded else PARTITIONS,
        "kafka.session_timeout": f"{SESSION_S}s",
    }
    return load(file, flags), door, smtp


async def create_installation(settings: Settings) -> None:
    """Create the topics, record the clock, and publish the rules."""
    connection = settings.connection()
    await asyncio.to_thread(topics.create, connection, settings.partitions, 1)
    async with EventLog(connection, settings.partitions) as log:
        await log.ensure_clock("wall")
    await publish(connection, read_configuration(settings))
