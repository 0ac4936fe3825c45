"""``perennial journeys test``: run the test files of journeys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from models.configuration.compiled import Configuration
from models.configuration.journeys.versions import Place
from models.counting import counted
from models.journey_tests.coverage import unreached
from stream.cli.output import Config, Json, print_error, print_json, print_line
from stream.installation.journey_tests import FOLDER, SUFFIX, FileFailure, FileResult, files_of, run_file
from stream.settings.loading import load
from stream.settings.rules import read_configuration


def run_tests(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            metavar="[FILE]...",
            help=f"Test files; by default {FOLDER}/*{SUFFIX} beside the settings file.",
        ),
    ] = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Name the steps and arms that no test has reached.")
    ] = False,
    shake: Annotated[
        bool,
        typer.Option("--shake", help="Also run with each event 1 ms earlier and later, and with neighbours exchanged."),
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Run the test files of journeys; the exit code is 1 if one fails.

    A test plays its events through the fold that production uses, in memory and with
    a clock of its own. It needs no broker, and sends nothing. docs/journey_tests.md
    describes the files. `perennial journeys record` writes one from the log.
    """
    settings = load(config)
    configuration = read_configuration(settings)
    found = files or files_of(settings)
    if not found:
        print_error(f"there is no {settings.home / FOLDER}/*{SUFFIX}; docs/journey_tests.md has an example")
        raise typer.Exit(2)
    results = [run_file(file, configuration, shakes=shake) for file in found]
    missed = dict(_missed(configuration, results)) if coverage else {}
    if json:
        print_json({"tests": [_described(one) for one in results], **({"not_reached": missed} if coverage else {})})
    else:
        _show(results, missed)
    if not all(one.passes for one in results):
        raise typer.Exit(1)


def _missed(configuration: Configuration, results: Sequence[FileResult]) -> Iterator[tuple[str, list[str]]]:
    reached: set[tuple[str, Place]] = set()
    for one in results:
        reached |= one.reached
    for journey in configuration.journeys:
        yield journey.name, list(unreached(journey, reached))


def _show(results: Sequence[FileResult], missed: dict[str, list[str]]) -> None:
    for one in results:
        said = "passed" if one.passes else "FAILED"
        print_line(f"{said}  {one.file}  {one.of or '-'}, {counted(one.variants, 'run')}, {one.took_ms:.0f} ms")
        for failure in one.failures:
            _show_failure(failure)
    for name, places in missed.items():
        said = f"no test reaches {', '.join(places)}" if places else "all steps and arms are reached"
        print_line(f"{name}: {said}")


def _show_failure(failure: FileFailure) -> None:
    step = failure.step
    print_line(f"  {failure.place}: {step.path}" + (f" ({step.variant})" if step.variant else ""))
    print_line(f"    expected: {step.expected}")
    print_line(f"    came:     {step.came}")
    for line in step.timeline:
        print_line(f"      {line}")


def _described(one: FileResult) -> dict[str, Any]:
    return {
        "file": str(one.file),
        "journey": one.of or None,
        "passed": one.passes,
        "runs": one.variants,
        "ms": round(one.took_ms, 1),
        "failures": [{"place": failure.place, **failure.step._asdict()} for failure in one.failures],
    }
