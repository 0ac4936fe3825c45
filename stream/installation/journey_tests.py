"""The test files of journeys beside the settings file: which there are, whether they pass, and who has none."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from models.configuration.compiled import Configuration
from models.configuration.journeys.versions import Place, version_of
from models.counting import counted
from models.encoding import TEXT
from models.errors import InvalidConfiguration, PerennialError
from models.journey_tests.parsing import Variant, parse_test, variants_of
from models.journey_tests.running import FailedStep, play_test
from models.journey_tests.shaking import shakes_of
from models.journey_tests.written import WrittenTest
from models.spelling import did_you_mean
from stream.installation.findings import Finding
from stream.settings import plain_yaml
from stream.settings.loading import Settings
from stream.settings.sources import InvalidSettings, NotYaml

FOLDER = "journeys"
"""Folder of the test files, beside the settings file."""
TESTS = "journey_tests"
"""First part of the names of findings about tests."""
SUFFIX = ".test.yaml"
"""Ending of the name of each test file."""


class UntestedJourneys(PerennialError):
    """Journeys without a test that passes: write one, correct it, or waive it by name."""


class FileFailure(NamedTuple):
    """A step of a test file that does not hold.

    Attributes
    ----------
    place
        File and line.
    step
        What was expected there, what has come, and the timeline of the user.
    """

    place: str
    step: FailedStep


class FileResult(NamedTuple):
    """The result of a test file.

    Attributes
    ----------
    file
        The file.
    of
        Name of the journey; empty if the file cannot be read.
    variants
        Number of runs of the test: combinations of the matrix, with the changes of ``--shake``.
    failures
        What does not hold.
    reached
        The places to which runs have come, by journey.
    took_ms
        Time of the test, milliseconds.
    """

    file: Path
    of: str
    variants: int
    failures: tuple[FileFailure, ...]
    reached: frozenset[tuple[str, Place]]
    took_ms: float

    @property
    def passes(self) -> bool:
        """Whether everything holds."""
        return not self.failures


def files_of(settings: Settings) -> list[Path]:
    """Return the test files beside the settings file, by name."""
    return sorted((settings.home / FOLDER).glob(f"*{SUFFIX}"))


def run_file(file: Path, configuration: Configuration, *, shakes: bool = False) -> FileResult:
    """Run a test file; a file that cannot be read has one failure.

    Parameters
    ----------
    file
        The file.
    configuration
        The configuration of the settings file.
    shakes
        Whether to run it with small changes of its events, too.
    """
    began, runs, of = time.perf_counter(), 0, ""
    failures: list[FileFailure] = []
    reached: set[tuple[str, Place]] = set()
    lines: dict[str, int] = {}
    try:
        value, lines = _read(file)
        of = str(value.get("of", "")) if isinstance(value, dict) else ""
        test = parse_test(value, configuration)
        for variant in variants_of(test):
            runs += 1
            played = play_test(test, configuration, variant)
            reached |= played.reached
            failures += (FileFailure(_place(file, step.path, lines), step) for step in played.failures)
        if shakes and not failures:
            shaken, more = _shake(test, configuration, variants_of(test))
            runs += shaken
            failures += (FileFailure(_place(file, step.path, lines), step) for step in more)
    except InvalidSettings as error:
        failures.append(FileFailure(error.origin or str(file), FailedStep("", error.allowed, str(error.found))))
    except InvalidConfiguration as error:
        step = FailedStep(error.path, error.allowed, "nothing" if error.found is None else repr(error.found))
        failures.append(FileFailure(_place(file, error.path, lines), step))
    took = (time.perf_counter() - began) * 1_000
    return FileResult(file, of, runs, tuple(failures), frozenset(reached), took)


def _shake(
    test: WrittenTest, configuration: Configuration, variants: Sequence[Variant]
) -> tuple[int, list[FailedStep]]:
    found, runs = list[FailedStep](), 0
    for shake in shakes_of(test):
        for variant in variants:
            runs += 1
            found += play_test(test, configuration, variant, shake).failures
    return runs, found


def _read(file: Path) -> tuple[Any, dict[str, int]]:
    try:
        return plain_yaml.read(file.read_text(encoding=TEXT))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(str(file), "", str(error), "a text file in UTF-8") from error
    except plain_yaml.Unreadable as error:
        where = f"{file}:{error.line}" if error.line else str(file)
        if error.allowed:
            raise InvalidSettings(where, error.path, error.problem, error.allowed) from error
        raise NotYaml(where, error.problem) from error


def _place(file: Path, path: str, lines: dict[str, int]) -> str:
    """Return the file and the line of a path, or of the nearest place around it that the file has."""
    while path:
        if path in lines:
            return f"{file}:{lines[path]}"
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return str(file)


# --- journeys without a test -----------------------------------------------------------------------------------------


def untested(results: Iterable[FileResult], journeys: Iterable[str]) -> dict[str, str]:
    """Return the journeys that have no test, or one that fails, and why.

    Parameters
    ----------
    results
        The results of all files.
    journeys
        Names of the journeys that need a test.
    """
    found, known = dict[str, str](), list(results)
    for name in journeys:
        own = [result for result in known if result.of == name]
        failing = [result.file.name for result in own if not result.passes]
        if not own:
            found[name] = f"no file {FOLDER}/*{SUFFIX} tests it"
        elif failing:
            found[name] = f"its test fails: {', '.join(failing)}"
    return found


def changed_journeys(wanted: Configuration, known: Configuration | None) -> list[str]:
    """Return the names of the journeys that are new or have changed, in the sequence of the file."""
    versions = set() if known is None else {version_of(journey) for journey in known.journeys}
    return [journey.name for journey in wanted.journeys if version_of(journey) not in versions]


def require_tests(
    settings: Settings, wanted: Configuration, known: Configuration | None, waived: Collection[str] = ()
) -> None:
    """Check that each new or changed journey has a test, and that its tests pass.

    Parameters
    ----------
    settings
        The settings, beside whose file the tests are.
    wanted
        The configuration that is to be applied.
    known
        The configuration in use; ``None`` without one.
    waived
        Names of journeys that need no test.

    Raises
    ------
    UntestedJourneys
        A journey has no test, or one that fails. Or ``waived`` has a name that no journey has.
    """
    require_known_names(wanted, waived)
    needed = [name for name in changed_journeys(wanted, known) if name not in waived]
    if not needed:
        return
    results = [run_file(file, wanted) for file in files_of(settings)]
    found = untested(results, needed)
    if found:
        said = "; ".join(f"the journey {name}: {why}" for name, why in found.items())
        waive = " ".join(f"--without-test {name}" for name in found)
        raise UntestedJourneys(
            f"{said}. `perennial journeys test` shows what fails; nothing was applied. To apply without a test: {waive}"
        )


def findings_of_tests(
    settings: Settings, wanted: Configuration, known: Configuration | None, waived: Collection[str] = ()
) -> Iterator[Finding]:
    """Check that the tests of all journeys pass, and that each new or changed journey has one.

    Parameters
    ----------
    settings, wanted, known, waived
        As for :func:`require_tests`.
    """
    try:
        require_known_names(wanted, waived)
    except UntestedJourneys as error:
        yield Finding(TESTS, "failed", str(error))
    if not wanted.journeys:
        return
    results = [run_file(file, wanted) for file in files_of(settings)]
    for result in results:
        if result.passes:
            says = f"{result.file.name}: {counted(result.variants, 'run')} in {result.took_ms:.0f} ms"
            yield Finding(f"{TESTS}.{result.of}", "ok", says)
            continue
        first = result.failures[0]
        says = f"{first.place}: {first.step.path}: expected {first.step.expected}; came {first.step.came}"
        if len(result.failures) > 1:
            says += f" (and {counted(len(result.failures) - 1, 'other failure')})"
        yield Finding(f"{TESTS}.{result.of or result.file.name.removesuffix(SUFFIX)}", "failed", says)
    tested, changed = {result.of for result in results}, changed_journeys(wanted, known)
    for journey in wanted.journeys:
        if journey.name in tested:
            continue
        name, says = f"{TESTS}.{journey.name}", f"no file {FOLDER}/*{SUFFIX} tests the journey {journey.name}"
        if journey.name in waived:
            yield Finding(name, "note", f"{says}; --without-test waives it")
        elif journey.name not in changed:
            yield Finding(name, "note", f"{says}; it is in use, and apply asks for a test when it changes")
        else:
            waive = f"--without-test {journey.name}"
            yield Finding(name, "failed", f"{says}, so perennial apply refuses it; {waive} waives it")


def require_known_names(configuration: Configuration, waived: Iterable[str]) -> None:
    """Check that each waived name is that of a journey.

    Raises
    ------
    UntestedJourneys
        One is not.
    """
    names = [journey.name for journey in configuration.journeys]
    for name in waived:
        if name not in names:
            shown = ", ".join(names) or "none"
            raise UntestedJourneys(
                f"--without-test {name}: there is no such journey{did_you_mean(name, names)}; journeys: {shown}"
            )
