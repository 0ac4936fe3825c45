"""Tests of the rules of English that a program can check, and a check that the whole repository follows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import prose
from tests.support.prose import Violation, in_module, in_page, main, violations


def rules(source: str) -> list[str]:
    return [violation.rule for violation in in_module("module.py", source)]


def test_source_tests_and_pages_follow_the_rules() -> None:
    assert [str(violation) for violation in violations()] == []


def test_the_check_covers_source_tests_pages_and_comments_of_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def record(name: str, _: str) -> list[Violation]:
        seen.append(name)
        return []

    monkeypatch.setattr(prose, "in_module", record)
    monkeypatch.setattr(prose, "in_page", record)
    monkeypatch.setattr(prose, "in_comments", record)

    list(violations())

    assert len(seen) > 600
    assert {"stream/__init__.py", "tests/docs/test_prose.py", "docs/runbook.md", "README.md", "Makefile"} <= {*seen}


@pytest.mark.parametrize(
    "source",
    [
        'def first():\n    """What comes first."""',
        'def first():\n    """First of all."""',
        'class First:\n    """Returns the first."""',
        'class First:\n    """Whether it is first."""',
        'class First:\n    @property\n    def is_first(self):\n        """How often it was first."""',
        'FIRST = 1\n"""So it begins."""',
    ],
)
def test_a_docstring_begins_as_its_kind_requires(source: str) -> None:
    assert rules(source) == ["start"]


@pytest.mark.parametrize(
    "source",
    [
        'def first():\n    """Return the first."""',
        'def first():\n    """Called when the first one comes."""',
        'class First:\n    """The first of several."""',
        'class First:\n    @property\n    def is_first(self):\n        """Whether it is the first."""',
        'FIRST_S = 1\n"""How long the first one lasts."""',
    ],
)
def test_a_docstring_that_begins_so_is_accepted(source: str) -> None:
    assert rules(source) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('LIMIT = 1\n"""Maximum number of users."""', ["constant"]),
        ('MAX_USERS = 1\n"""Number of users."""', ["constant"]),
        ('WAIT = 1\n"""Time between two attempts, seconds."""', ["constant"]),
        ('WAIT_S = 1\n"""Time between two attempts, seconds."""', []),
        ('MAX_USERS = 1\n"""Maximum number of users."""', []),
    ],
)
def test_the_name_of_a_constant_agrees_with_its_docstring(source: str, found: list[str]) -> None:
    assert rules(source) == found


LONG = " ".join(["word"] * 26)


@pytest.mark.parametrize(
    "text",
    [
        f"{LONG}.",
        f"{LONG.replace('word word word', 'word; word word', 1)}.",
        f"{LONG.replace('word word', 'word: word', 1)}.",
        LONG.replace("word word", "word:\nword", 1),
    ],
)
def test_a_long_sentence_is_found_even_if_semicolons_join_it(text: str) -> None:
    assert rules(f'"""{text}"""') == ["long"]
    assert [violation.rule for violation in in_page("page.md", text)] == ["long"]
    assert rules(f"# {text}".replace("\n", "\n# ")) == ["long"]


def test_code_and_lists_do_not_count_as_long_sentences() -> None:
    assert rules(f'"""See ``{LONG}``.\n\n- {LONG[:60]}\n- {LONG[:60]}\n- {LONG[:60]}\n"""') == []
    assert list(in_page("page.md", f"```\n{LONG}\n```\n\n    {LONG}\n")) == []


FORBIDDEN = "nobody"  # only a constant contains the word, because the check does not read values of constants


@pytest.mark.parametrize(
    "source",
    [
        f'"""A report to {FORBIDDEN}."""',
        f"# known to {FORBIDDEN}",
        f'raise ValueError("known to {FORBIDDEN}")',
        f"def test_{FORBIDDEN}_knows_it(): ...",
    ],
)
def test_a_forbidden_word_is_found_in_documents_comments_messages_and_names_of_tests(source: str) -> None:
    assert rules(source) == ["plain"]


def test_the_command_prints_each_violation_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "module.py"
    file.write_text('\ndef first():\n    """What comes first."""\n')

    assert main([str(file)]) == 1
    assert capsys.readouterr().out.startswith(f"{file}:3: start: first: 'What'")
    file.write_text("")
    assert main([str(file)]) == 0
