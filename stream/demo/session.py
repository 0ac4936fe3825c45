"""One run of the demo: real processes, a simulated shop, and a reader that counts the results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from models.errors import PerennialError
from models.storefront.truth import Truth
from models.units import DAY
from stream import presets
from stream.demo.latency import measure
from stream.demo.summary import Latency, Summary, summarize
from stream.demo.tally import Tally
from stream.demo.watching import Watch
from stream.installation.commands import perennial
from stream.installation.running import Installation
from stream.processes.child import Child, exit_reason
from stream.settings import plain_yaml

REFRESH_S = 0.25
"""How long the screen stays unchanged before it is drawn again, seconds."""
RETRAINED_WITHIN_S = 15.0
"""How long to wait for a recommender that was trained on the last simulated days, seconds."""


class DemoFailed(PerennialError):
    """A process of the demo that ended too early: see its log, which the message names."""


@dataclass(frozen=True, slots=True)
class SimulatedShop:
    """A shop to simulate.

    Attributes
    ----------
    seed
        Seed of the simulation.
    shoppers
        Number of people.
    days
        Number of simulated days.
    logins
        Share of the people with an account who begin as anonymous visitors, 0 to 1.
    """

    seed: int
    shoppers: int
    days: int
    logins: float


class Session:
    """A run of the demo.

    Parameters
    ----------
    installation
        Installation that was just started, with an empty log.
    shop
        Shop to simulate.
    show
        Called a few times a second, with the tally and the current stage.

    Attributes
    ----------
    tally
        Counts so far.
    """

    def __init__(self, installation: Installation, shop: SimulatedShop, show: Callable[[Tally, str], None]) -> None:
        self._installation = installation
        self._settings = installation.settings
        self._shop = shop
        self._show = show
        self._stage = "starting"
        self.tally = Tally()
        self._truth_file = installation.logs / "truth.json"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._shop}: {self._stage}>"

    async def run(self, began: float, commands: Callable[[Tally], list[str]]) -> Summary:
        """Run the shop, measure the latency, and count everything.

        Parameters
        ----------
        began
            ``time.monotonic()`` of the start of the whole demo.
        commands
            Function that returns the suggested commands, which name users of this run.

        Raises
        ------
        DemoFailed
            The simulator ended early.
        """
        connection, partitions = self._settings.connection(), self._settings.partitions
        drawing = asyncio.create_task(self._draw())
        try:
            async with Watch(connection, partitions, self.tally) as watch:
                await self._simulate(watch)
                await self._await_recommender(watch)
                self._stage = "counting"
                await watch.read_to_end()
            self._stage = "measuring the latency"
            latency = await measure(connection, partitions, self.tally.now)
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing
        return self._summary(began, latency, commands)

    def _summary(self, began: float, latency: Latency | None, commands: Callable[[Tally], list[str]]) -> Summary:
        truth = msgspec.json.decode(self._truth_file.read_bytes(), type=Truth)
        return summarize(
            self.tally,
            truth,
            seed=self._shop.seed,
            latency=latency,
            seconds=time.monotonic() - began,
            commands=commands(self.tally),
        )

    async def _simulate(self, watch: Watch) -> None:
        # The simulator waits for the fold, so both may start at the same time.
        log = self._installation.logs / "simulate.log"
        argv = perennial(
            "simulate", "--seed", str(self._shop.seed), "--shoppers", str(self._shop.shoppers),
            "--days", str(self._shop.days), "--logins", str(self._shop.logins),
            "--truth", str(self._truth_file),
        )  # fmt: skip
        with log.open("wb") as output:
            simulator = Child(argv, env=self._settings.environment(), output=output)
        try:
            while (code := simulator.poll()) is None:
                await watch.read()
                if self._installation.supervisor.refused is not None:
                    refused = self._installation.supervisor.refused
                    raise DemoFailed(self._installation.explain(f"{refused} refused to start", refused))
                if self.tally.events:
                    self._stage = "simulating"
        except BaseException:
            simulator.stop(within=5.0)
            raise
        if code != 0:
            raise DemoFailed(self._installation.explain(f"the simulator ended ({exit_reason(code)})", "simulate"))

    async def _await_recommender(self, watch: Watch) -> None:
        """Wait for a model that was trained on the last simulated days, for :data:`RETRAINED_WITHIN_S` at most."""
        self._stage = "training the recommender"
        given_up = time.monotonic() + RETRAINED_WITHIN_S
        while time.monotonic() < given_up:
            await watch.read()
            newest = self.tally.recommender
            if newest is not None and newest.run.grade is not None and newest.trained_until > self.tally.now - 7 * DAY:
                return

    async def _draw(self) -> None:
        while True:
            self._show(self.tally, self._stage)
            await asyncio.sleep(REFRESH_S)


def settings_file(folder: Path, port: int, ports: dict[str, int]) -> Path:
    """Write a shop's settings with its rules and templates, for a broker at ``port``, and return their path."""
    presets.write("shop", folder)
    file = folder / "perennial.yaml"
    written, _ = plain_yaml.read(file.read_text(encoding="utf-8"))
    content = {name: value for name, value in written.items() if value is not None}
    content["folder"] = "data"
    content["kafka"] = {"servers": f"127.0.0.1:{port}", "embedded": True}
    content["retrainer"] = {"every": "20s", "fresh": 2000, "dimensions": 32}
    for path, number in ports.items():
        section, _, name = path.partition(".")
        content.setdefault(section, {})[name] = number
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file
