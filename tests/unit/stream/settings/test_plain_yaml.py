"""The time to read a settings file grows only with its length, whatever is written in it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stream.settings.plain_yaml import MAX_DEPTH, MAX_VALUES, Unreadable, read
from stream.settings.sources import InvalidSettings, NotYaml, read_file

ALIASES = "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30))])


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (ALIASES, 6, "more than 100,000 values"),
        ("a: &a\n  - *a", 2, "the alias 'a' is used inside the value that it names"),
        ("a: &a {b: &b {c: *a}}", 1, "the alias 'a' is used inside the value that it names"),
        ("a: *unknown", 1, "undefined alias 'unknown'"),
        ("a: " + "[" * 5_000, 1, "nested deeper than 50 levels"),
        ("a: " + "{b: " * 5_000, 1, "nested deeper than 50 levels"),
        ("a: [" + "1, " * MAX_VALUES + "1]", 1, "more than 100,000 values"),
        ("a: 1\n---\nb: 1", 2, "a second document"),
        ("a: 1\nb: \x07", 2, "the character #x0007 is not allowed"),
        ("a: 'b", 1, "unexpected end of stream"),
        ('a: 1\nb: "\\uD800"', 2, "half of a character"),
        ('a: 1\n"\\uDFFF": 1', 2, "half of a character"),
        ("#" * 3_000_000, 0, "3,000,000 characters"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_immediately_with_its_line(text: str, line: int, problem: str) -> None:
    began = time.process_time()

    with pytest.raises(Unreadable) as caught:
        read(text)

    assert problem in caught.value.problem
    assert caught.value.line == line
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("text", "path", "problem", "allowed"),
    [
        ("a:\n  b: 1e999", "a.b", "1e999", "a number of at most 308 digits"),
        ("a:\n  - " + "9" * 5_000, "a[0]", "9" * 5_000, "a whole number of at most 64 bits"),
        ("a:\n  b: 9223372036854775808", "a.b", "9223372036854775808", "a whole number of at most 64 bits"),
        ("a:\n  b: !!binary aGk=", "a.b", "!!binary", "plain values, without a tag"),
        ("a:\n  b: !!int x", "a.b", "!!int", "plain values, without a tag"),
        ("a:\n  b: !!python/object:os.system {}", "a.b", "!!python/object:os.system", "plain values, without a tag"),
        ("a:\n  ? [x]\n  : 1", "a", "a list as a key", "a text"),
        ("a: 1\na: 2", "a", "a again", "each key once; line 1 has it, too"),
        ("x:\n  a: 1\n  'a': 2", "x.a", "a again", "each key once; line 2 has it, too"),
    ],
)
def test_a_value_that_settings_cannot_contain_is_named_with_its_place(
    text: str, path: str, problem: str, allowed: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        read(text)

    found = caught.value
    assert (found.path, found.problem, found.allowed) == (path, problem, allowed)
    assert found.line == (3 if path == "x.a" else 2)


def test_plain_values_have_the_types_that_people_mean() -> None:
    text = (
        "a: no\nb: 21:00\nc: 012\nd: 2024-01-01\ne: ~\nf: true\ng: -1.5e3\nh: '1'\ni: !!str 5\nj:\n3: x\ntrue: y\n<<: z"
    )

    values, _ = read(text)

    assert values == {
        "a": "no",
        "b": "21:00",
        "c": 12,
        "d": "2024-01-01",
        "e": None,
        "f": True,
        "g": -1500.0,
        "h": "1",
        "i": "5",
        "j": None,
        "3": "x",
        "true": "y",
        "<<": "z",
    }


def test_a_changed_alias_does_not_change_its_original() -> None:
    values, lines = read("a: &a\n  b: 1\nc:\n  - *a\n  - 2")

    assert values == {"a": {"b": 1}, "c": [{"b": 1}, 2]}
    assert lines == {"a": 1, "a.b": 2, "c": 3, "c[0]": 1, "c[0].b": 2, "c[1]": 5}


def test_nesting_up_to_the_limit_is_read() -> None:
    deep = MAX_DEPTH - 1

    assert read("[" * deep + "]" * deep)[0] is not None


def test_an_empty_text_has_no_value() -> None:
    assert read("# only a comment\n") == (None, {})


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "perennial.yaml"
    file.write_bytes(b"\xef\xbb\xbfversion: 1\ntimezone: UTC\n")

    assert read_file(file).values == {"version": 1, "timezone": "UTC"}


def test_errors_of_a_file_name_the_file_and_the_line(tmp_path: Path) -> None:
    file = tmp_path / "perennial.yaml"
    file.write_text("version: 1\na: 1e999\n")
    with pytest.raises(InvalidSettings, match=r"perennial\.yaml:2: a: found '1e999'; allowed: a number of at most 308"):
        read_file(file)
    file.write_text("version: 1\na: &a [*a]\n")
    with pytest.raises(NotYaml, match=r"perennial\.yaml:2 is not YAML: the alias 'a' is used inside"):
        read_file(file)
