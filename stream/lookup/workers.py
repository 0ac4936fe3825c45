"""Where this machine's workers answer."""

from __future__ import annotations

from stream.settings import Settings

WORKERS_ON_A_MACHINE = 16
"""So many folds of one machine find a port of their own, from ``worker.port`` upwards."""


def ports(settings: Settings) -> range:
    """Ports to try, in order; just 0 where the system shall choose."""
    first = settings.worker.port
    return range(first, min(first + WORKERS_ON_A_MACHINE, 65_536)) if first else range(1)


def places(settings: Settings) -> list[str]:
    """``host:port`` of every worker that the HTTP door may ask: those of the settings, else those of this machine."""
    return list(settings.http.workers) or [address.removeprefix("http://") for address in addresses(settings)]


def addresses(settings: Settings) -> list[str]:
    """``http://host:port`` of every worker that there may be."""
    return [f"http://{settings.worker.host}:{port}" for port in ports(settings)]
