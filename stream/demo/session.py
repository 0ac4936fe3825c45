"""One run of the demo: real processes, a simulated shop, and a reader that counts what comes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from models.errors import PerennialError
from models.storefront.truth import Truth
from models.units import DAY
from stream.demo.latency import measure
from stream.demo.summary import Latency, Summary, summarize
from stream.demo.tally import Tally
from stream.demo.watching import Watch
from stream.installation.commands import perennial
from stream.installation.running import Installation
from stream.processes.child import Child, exit_reason

REFRESH_S = 0.25
RETRAINED_WITHIN_S = 15.0


class DemoFailed(PerennialError):
    """A process of the demo ended before its time; the message names its log."""


class Session:
    """A run.

    Parameters
    ----------
    installation
        Just started; nothing has been fed.
    seed, shoppers, days
        Of the simulation.
    show
        Called a few times a second, with the tally and what is going on.
    """

    def __init__(
        self,
        installation: Installation,
        *,
        seed: int,
        shoppers: int,
        days: int,
        show: Callable[[Tally, str], None],
    ) -> None:
        self._installation = installation
        self._settings = installation.settings
        self._seed, self._shoppers, self._days = seed, shoppers, days
        self._show = show
        self._stage = "starting"
        self.tally = Tally()
        self._truth_file = installation.logs / "truth.json"

    async def run(self, began: float, commands: Callable[[Tally], list[str]]) -> Summary:
        """Let the shop run, measure, and count everything.

        Parameters
        ----------
        began
            ``time.monotonic()`` of the start of the whole demo.
        commands
            What to go on with, once there are users to name.

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
            seed=self._seed,
            latency=latency,
            seconds=time.monotonic() - began,
            commands=commands(self.tally),
        )

    async def _simulate(self, watch: Watch) -> None:
        # It waits for the fold by itself, so both start at the same time.
        log = self._installation.logs / "simulate.log"
        argv = perennial(
            "simulate", "--seed", str(self._seed), "--shoppers", str(self._shoppers), "--days", str(self._days),
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
        """Wait for a model that was trained up to the last simulated days, for a while."""
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
    """Write a shop's settings with its rules and templates, for a broker at ``port``; returns its path."""
    import yaml

    from stream import presets

    presets.write("shop", folder)
    file = folder / "perennial.yaml"
    written = yaml.safe_load(file.read_text(encoding="utf-8"))
    content = {name: value for name, value in written.items() if value is not None}
    content["folder"] = "data"
    content["kafka"] = {"servers": f"127.0.0.1:{port}", "embedded": True}
    content["retrainer"] = {"every": "20s", "fresh": 2000, "dimensions": 32}
    for path, number in ports.items():
        section, _, name = path.partition(".")
        content.setdefault(section, {})[name] = number
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file
