"""One purchase from the HTTP door to the mail server, in this process, with a trace of the entered functions.

``python -m tests.support.purchase`` runs the purchase on an embedded broker, and prints the entered modules by package.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from models.batch import Restored
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.log import Use, encode_control, opening
from models.units import now_ms
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.delivery.channels import open_channel
from stream.installation.embedded_broker import EmbeddedBroker
from stream.log.event_log import EventLog
from stream.worker.topology import deliver_agents, fold_agents
from tests.support.brokers import free_ports
from tests.support.doors import DoorParts, door
from tests.support.inprocess import running_app, until
from tests.support.mail import FakeMailServer, live_mail, serving
from tests.support.tracing import Trace, tracing

USER = "ada"
IDENTIFY = {"userId": USER, "messageId": "m1", "traits": {"email": "ada@shop.example", "firstName": "Ada"}}
PURCHASE = {
    "userId": USER,
    "messageId": "m2",
    "event": "Order Completed",
    "properties": {"order_id": "o1", "products": [{"product_id": "lamp-7", "price": 49.9, "quantity": 1}]},
}
RULE = {"rules": [{"name": "first_order", "category": "transactional", "when": {"event": "purchase"}}]}
THANKS = Template("Thank you, {{ first_name }}", "We have your order.", fallback="Subject: Your order\n\nThank you.")


async def trace_purchase(connection: Connection, folder: Path) -> Trace:
    """Send a purchase of a known user to a door. Record the functions that are entered until the mail server has the
    e-mail.

    Parameters
    ----------
    connection
        A cluster that has no topics of this prefix. The function creates them with one partition each.
    folder
        Folder of the outbox, which stays empty.
    """
    with tracing() as trace:
        await asyncio.to_thread(topics.create, connection, 1, 1)
        await _use_rule(connection)
        (port,) = free_ports(1)
        dispatcher = open_channel("email", live_mail(port, folder), now=now_ms)
        with serving(FakeMailServer(), port) as server:
            async with (
                running_app(connection, fold_agents(), "fold") as fold,
                running_app(connection, deliver_agents({"email": dispatcher}, now_ms), "deliver") as deliver,
                door(connection, parts=DoorParts(now=now_ms)) as client,
            ):
                await until(lambda: all(lane.is_open for lane in deliver.lanes.snapshot()))
                assert (await client.post("/v1/identify", json=IDENTIFY)).status == 200
                await until(lambda: _has_folded_user(fold.lanes.restored("events", 0)))
                trace.recording = True
                assert (await client.post("/v1/track", json=PURCHASE)).status == 200
                await until(lambda: server.has(1))
                trace.recording = False
            await dispatcher.close()
        assert [mail.recipient for mail in server.received] == ["ada@shop.example"]
    return trace


def _has_folded_user(restored: Restored | None) -> bool:
    return restored is not None and USER.encode() in restored.records


async def _use_rule(connection: Connection) -> None:
    content = msgspec.Raw(encode(parse(RULE, {"first_order": THANKS})))
    async with EventLog(connection, 1) as log:
        for control in (opening("wall"), Use(name="configuration", version=1, content=content)):
            await log.broadcast(*encode_control(control))


def main() -> int:
    """Run the purchase on an embedded broker, and print the entered modules."""
    with tempfile.TemporaryDirectory() as name, EmbeddedBroker(None, Path(name) / "broker") as broker:
        connection = Connection(broker.address, prefix="tour.", transactions=False)
        trace = asyncio.run(trace_purchase(connection, Path(name) / "outbox"))
    packages = Counter(module.rpartition("/")[0] for module in trace.modules)
    for package, count in packages.items():
        names = [module.rpartition("/")[2] for module in trace.modules if module.rpartition("/")[0] == package]
        print(f"{count:3} {package}: {' '.join(names)}")
    lines = sum((Path(module).read_text().count("\n")) for module in trace.modules)
    print(f"{len(trace.modules)} modules with {lines} lines, in {len(packages)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
