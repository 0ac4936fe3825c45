"""Where this machine's workers answer."""

from __future__ import annotations

from stream.settings.loading import Settings

WORKERS_ON_A_MACHINE = 16
"""Maximum number of folds of one machine: each takes a port of its own, from ``worker.port`` upwards."""


def ports(settings: Settings) -> range:
    """Ports to try, in order; just 0 where the system shall choose."""
    first = settings.worker.port
    return range(first, min(first + WORKERS_ON_A_MACHINE, 65_536)) if first else range(1)


def places(settings: Settings) -> list[str]:
    """``host:port`` of every worker that the HTTP door may ask: those of the settings, else those of this machine."""
    return list(settings.http.workers) or [address.removeprefix("http://") for address in addresses(settings)]


def addresses(settings: Settings) -> list[str]:
    """``http://host:port`` of every worker that there may be."""
    host = settings.worker.host.strip("[]")
    shown = f"[{host}]" if ":" in host else host
    return [f"http://{shown}:{port}" for port in ports(settings)]
