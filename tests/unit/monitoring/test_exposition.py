from __future__ import annotations

import urllib.request

from prometheus_client import CollectorRegistry

from monitoring.exposition import serve
from monitoring.metrics import REGISTRY, count, declare


def test_the_server_shows_the_metrics_on_loopback_and_frees_its_port() -> None:
    registry = CollectorRegistry()
    count({("interactions",): 2}, declare(registry))

    exposition = serve(0, registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{exposition.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        exposition.close()

    assert "perennial_interactions_total 2.0" in text
    assert "# HELP perennial_interactions_total User-item interactions" in text
    again = serve(exposition.port, registry=registry)
    again.close()


def test_a_process_exposes_its_versions_and_its_memory() -> None:
    exposition = serve(0)
    exposition.close()

    samples = {sample.name for metric in REGISTRY.collect() for sample in metric.samples}
    assert {"perennial_build_info", "process_resident_memory_bytes"} <= samples
