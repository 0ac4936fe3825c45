"""``perennial fmt`` rewrites the segments and the lifecycle of a settings file, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.cli import run

WRITTEN = "version: 1\n# caps\nsegments: [{when: {segment: b},   name: a}]  # ours\ncaps:  []\n"
CANONICAL = "version: 1\n# caps\nsegments:\n  - name: a\n    when: {segment: b}  # ours\ncaps:  []\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "perennial.yaml"
    place.write_text(WRITTEN)
    return place


def test_the_file_is_written_once(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.chmod(0o640)

    assert run(["fmt", str(file)]) == 0
    assert run(["fmt", str(file)]) == 0

    assert capsys.readouterr().out == f"{file} is now in canonical form\n{file} is in canonical form\n"
    assert file.read_text() == CANONICAL
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["perennial.yaml"]


def test_check_writes_nothing_and_its_exit_code_says_whether_the_file_would_change(file: Path) -> None:
    assert run(["fmt", str(file), "--check"]) == 1
    assert file.read_text() == WRITTEN

    file.write_text(CANONICAL)
    assert run(["fmt", str(file), "--check"]) == 0


def test_the_canonical_form_can_be_printed(file: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["fmt", str(file), "--stdout"]) == 0

    assert capfdbinary.readouterr().out == CANONICAL.encode()
    assert file.read_text() == WRITTEN
    assert run(["fmt", str(file), "--stdout", "--check"]) == 2


def test_a_file_that_is_named_by_the_environment_is_found_and_a_link_stays_a_link(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = file.parent / "link.yaml"
    link.symlink_to(file)
    monkeypatch.setenv("PERENNIAL_CONFIG", str(link))

    assert run(["fmt"]) == 0

    assert link.is_symlink()
    assert file.read_text() == CANONICAL


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_ends_of_lines_and_the_byte_order_mark_stay(file: Path, mark: bytes) -> None:
    file.write_bytes(mark + WRITTEN.replace("\n", "\r\n").encode())

    assert run(["fmt", str(file)]) == 0

    assert file.read_bytes() == mark + CANONICAL.replace("\n", "\r\n").encode()


def test_what_is_left_as_it_is_has_a_reason(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixed = WRITTEN.replace("\n", "\r\n", 1).encode()
    file.write_bytes(mixed)

    assert run(["fmt", str(file)]) == 0

    assert file.read_bytes() == mixed
    said = capsys.readouterr()
    assert said.out == f"{file} is unchanged\n"
    assert "the conditions are left as they are: the lines of the file end in different ways" in said.err


def test_segments_that_read_the_stage_are_formatted_beside_the_lifecycle(file: Path) -> None:
    stages, segments = "lifecycle: {defaults:  usage}\n", "segments: [{name: a, when: {lifecycle:  at_risk}}]\n"
    file.write_text(f"version: 1\n{stages}{segments}")

    assert run(["fmt", str(file)]) == 0

    assert file.read_text() == (
        "version: 1\nlifecycle:\n  defaults: usage\nsegments:\n  - name: a\n    when: {lifecycle: at_risk}\n"
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("version: 1\nlifecycle:\n  defaults: usag\n", "did you mean usage?"),
        (
            "version: 1\nlifecycle:\n  moves:\n    - {from: new, to: lost, when: never}\n",
            ":4: lifecycle.moves[0].to: found 'lost'; allowed: one of visitor, new, activated",
        ),
        ("version: 1\nsegments:\n  - name: a\n    when: {segmnt: b}\n", ":4: segments[0].when.segmnt"),
        ("version: 1\nsegments: [{name: a, when: {segment: b}, whn: 1}]\n", "did you mean when?"),
        ("version: 1\nsegments: {\n", "is not YAML"),
    ],
)
def test_a_mistake_is_reported_with_its_line_and_nothing_is_written(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, error: str
) -> None:
    file.write_text(text)

    assert run(["fmt", str(file)]) == 2

    assert error in capsys.readouterr().err
    assert file.read_text() == text


def test_a_file_that_is_missing_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fmt", str(tmp_path / "none.yaml")]) == 2
    assert "a file that can be read" in capsys.readouterr().err
