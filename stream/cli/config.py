"""``perennial config``: the settings, the source of each, and their JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from models.configuration.definition import Definition
from models.journey_tests.schema import json_schema
from models.reading import read
from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table
from stream.settings.loading import load
from stream.settings.loading import schema as made

app = typer.Typer(help="Show the settings and where each comes from.", no_args_is_help=True, add_completion=False)


@app.command()
def show(config: Config = None, json: Json = False) -> None:
    """Show each setting with its value and its source; secrets are masked."""
    settings = load(config)
    rows = [
        {"setting": path, "value": value, "source": _source(settings.given.source(path))}
        for path, value in settings_of(settings)
    ]
    if settings.note:
        print_error(f"note: {settings.note}")
    if json:
        print_json(rows)
        return
    print_table(
        ("setting", "value", "source"),
        [(str(row["setting"]), _shown(row["value"]), str(row["source"])) for row in rows],
    )


@app.command()
def schema(
    tests: Annotated[
        bool, typer.Option("--tests", help="Print the JSON Schema of the test files journeys/*.test.yaml.")
    ] = False,
) -> None:
    """Print the JSON Schema of perennial.yaml, or of a test of a journey, for editors."""
    print_line(_indented(json_schema() if tests else made()))


def _indented(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def settings_of(settings: Any) -> Iterator[tuple[str, Any]]:
    """Yield path and value of each setting; for a secret, yield only the place that it is read from."""
    effective = _effective(settings)
    for path, value in _leaves("", msgspec.to_builtins(settings.sections)):
        yield path, effective.get(path) if value is None else value
    # sections with a mistake are shown as they are written; `perennial check` reports the mistake
    try:
        carried = msgspec.to_builtins(read(settings.definition, Definition))
    except ValueError:
        carried = dict(settings.definition)
    for path, value in _leaves("", carried):
        if value is not None or "[" not in path:  # fields that a rule leaves out are not shown
            yield path, value


def _effective(settings: Any) -> dict[str, Any]:
    """Return the values in use for settings that have no fixed default."""
    return {
        "kafka.servers": settings.servers,
        "kafka.embedded": settings.embedded,
        "kafka.partitions": settings.partitions,
        "kafka.replication_factor": "the cluster's" if settings.replication_factor < 0 else settings.replication_factor,
        "kafka.session_timeout": f"{settings.session_timeout_s:g}s",
        "http.public_url": settings.public_url,
        "retrainer.artifacts": str(settings.artifacts),
        "delivery.outbox": str(settings.outbox),
    }


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and not _is_secret(value):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}".lstrip("."), inner)
    elif isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        for i, item in enumerate(value):
            yield from _leaves(f"{path}[{i}]", item)
    else:
        yield path, _masked(value) if isinstance(value, dict) and _is_secret(value) else value


def _is_secret(value: dict[str, Any]) -> bool:
    return set(value) >= {"env", "file"}


def _masked(value: dict[str, Any]) -> str:
    kind = "".join(f", {value[name]}" for name in ("kind", "role") if name in value)
    if value.get("value") is not None:
        return f"{value['value']} (value{kind})"
    where = f"env: {value['env']}" if value["env"] is not None else f"file: {value['file']}"
    return f"*** ({where}{kind})"


def _source(origin: str) -> str:
    return f"environment {origin}" if origin.startswith("PERENNIAL_") else origin.removeprefix(f"{Path.cwd()}/")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "-"
    return str(value)
