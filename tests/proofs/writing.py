"""Random settings files with random templates: some are realistic, others are absurd.

Half of the texts follow the types of the settings, with right, wrong or absurd values in any place. The others are
modified copies of the files that ``perennial init`` writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from random import Random
from typing import NamedTuple

from msgspec import inspect

from stream.presets import files
from stream.settings.loading import FORMS

PARTS = ("subject", "text", "html", "sms", "fallback")
VARIABLES = ("HTTP__PORT", "TIMEZONE", "RULES", "DELIVERY__SMTP", "KAFKA__SERVERS", "HTPP__PORT", "CAPS")
NAMES = ("win_back", "first_order", "refund", "welcome")


class RandomInstallation(NamedTuple):
    """Files of one installation.

    Attributes
    ----------
    text
        Content of ``perennial.yaml``.
    templates
        Liquid source by path, such as ``first_order/text.liquid``.
    environment
        Environment variables of the process.
    """

    text: str
    templates: dict[str, str]
    environment: dict[str, str]


def case(random: Random) -> RandomInstallation:
    """Generate the files of one case."""
    text = _by_types(random) if random.random() < 0.5 else _changed(random, _preset_text())
    for _ in range(random.choice((0, 0, 0, 0, 0, 1, 3))):
        text = _mutated(random, text, ABSURD)
    environment = {}
    if random.random() < 0.05:
        name = random.choice(
            ("HTTP__PORT", "TIMEZONE", "RULES", "DELIVERY__SMTP", "KAFKA__SERVERS", "HTPP__PORT", "CAPS")
        )
        environment[f"PERENNIAL_{name}"] = _absurd(random)
    return RandomInstallation(text, _templates(random), environment)


def _templates(random: Random) -> dict[str, str]:
    found = dict(_preset_templates())
    if random.random() < 0.6:
        return found
    for _ in range(random.randint(1, 3)):
        path = f"{random.choice(NAMES)}/{random.choice(PARTS)}.liquid"
        source = found.get(path, "Hello {{ first_name }}")
        for _ in range(random.randint(1, 3)):
            source = _mutated(random, source, LIQUID)
        found[path] = source
    return found


# --- absurd values ----------------------------------------------------------------------------------------------------

ABSURD: tuple[Callable[[Random], str], ...] = (
    lambda random: "null",
    lambda random: "~",
    lambda random: "''",
    lambda random: "[]",
    lambda random: "{}",
    lambda random: "[[a]]",
    lambda random: "{gt: 3}",
    lambda random: "{a: {b: {c: [null, {d: e}]}}}",
    lambda random: "1e999",
    lambda random: "-0",
    lambda random: "0.1e-400",
    lambda random: "9" * random.choice((5, 20, 400, 5_000)),
    lambda random: "x" * random.choice((10, 500, 50_000)),
    lambda random: "[" * random.choice((3, 40, 3_000)),
    lambda random: "{a: " * random.choice((3, 40, 3_000)),
    lambda random: "[" + "a, " * random.choice((10, 1_000)) + "b]",
    lambda random: "&a [*a]",
    lambda random: "&b {c: *b}",
    lambda random: "*nobody",
    lambda random: "<<: *a",
    lambda random: "!!binary aGk=",
    lambda random: "!!python/object/apply:os.system [id]",
    lambda random: "!!int x",
    lambda random: "? [a]\n: b",
    lambda random: "\n---\n",
    lambda random: "\t",
    lambda random: "\x00",
    lambda random: "\ud7ff\u2028\u200d\ufeff\U0001f468",
    lambda random: ": : :",
    lambda random: "- - - - ",
    lambda random: "'",
    lambda random: '"\\u0000\\uD800"',
    lambda random: "|\n    " + "a\n    " * random.choice((1, 200)),
    lambda random: "{env: NO_SUCH_VARIABLE}",
    lambda random: "{file: /dev/zero}",
    lambda random: "{file: .}",
    lambda random: "a:1," * random.choice((1, 2_000)) + " ",
    lambda random: " " * random.choice((1, 3_000)),
    lambda random: "http://" + "a" * random.choice((1, 5_000)),
    lambda random: _laughs(random.choice((2, 5, 30))),
    lambda random: "{" + ", ".join(f"k{i}: {i}" for i in range(random.choice((5, 600)))) + "}",
)


def _laughs(levels: int) -> str:
    lines = ["\nl0: &l0 [x, x]", *(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, levels))]
    return "\n".join(lines) + "\n"


LIQUID: tuple[Callable[[Random], str], ...] = (
    lambda random: "{{ risk }}",
    lambda random: "{{ 1 | divided_by: orders }}",
    lambda random: "{{ traits.none | date: '%d' }}",
    lambda random: "{% if risk > 0.5 %}x{% endif %}",
    lambda random: "{% if traits.firstName > 10 %}x{% endif %}",
    lambda random: "{% for i in (1..100000000) %}x{% endfor %}",
    lambda random: "{% for i in (1..1000000000) reversed %}x{% endfor %}",
    lambda random: "{% for i in (1..9999) %}{{ user | append: user }}{% endfor %}",
    lambda random: "{% for i in (1..100) %}{% for j in (1..100) %}{{ i | times: j }}{% endfor %}{% endfor %}",
    lambda random: "{{ (1..1000000000) | join: user }}",
    lambda random: "{% assign s = 'xy' %}{% for i in (1..60) %}{% assign s = s | append: s %}{% endfor %}{{ s }}",
    lambda random: "{% assign n = 9 %}{% for i in (1..60) %}{% assign n = n | times: n %}{% endfor %}{{ n }}",
    lambda random: "{{ user | replace: '', user | replace: '', user | replace: '', user }}",
    lambda random: "{{ " * random.choice((1, 500)),
    lambda random: "{% if user %}" * random.choice((1, 100)),
    lambda random: "{% raw %}" * random.choice((1, 500)),
    lambda random: "{% comment %}{{ {% endcomment %}",
    lambda random: "{{" + " " * random.choice((1, 5_000)) + "}}",
    lambda random: "{{ " + "a[" * random.choice((1, 900)) + " }}",
    lambda random: "{% if a " + "or a " * random.choice((1, 700)) + "%}x{% endif %}",
    lambda random: "{{ user | " + " | ".join(["upcase"] * random.choice((1, 300))) + " }}",
    lambda random: "{% include 'x' %}",
    lambda random: "{% render 'x' %}",
    lambda random: "{% cycle 'a', 'b' %}",
    lambda random: "{% break %}",
    lambda random: "{% liquid\n echo user\n assign x = 1 %}",
    lambda random: "{% case user %}{% when 1 %}{% else %}{% endcase %}",
    lambda random: "{% tablerow i in (1..5000) %}{{ i }}{% endtablerow %}",
    lambda random: "{% capture x %}{{ traits }}{% endcapture %}{{ x }}",
    lambda random: "{{ traits | sort | map: 'a' | where: 'b' | uniq | join }}",
    lambda random: "{{ now | date: '" + "%" * random.choice((1, 300)) + "' }}",
    lambda random: "\x00\u2028\u200d",
    lambda random: "x" * random.choice((1, 30_000)),
    lambda random: "<!--" * random.choice((1, 3_000)) + "{{ '<<<a' | strip_html }}",
)


def _absurd(random: Random) -> str:
    return random.choice(ABSURD)(random)


def _mutated(random: Random, text: str, snippets: tuple[Callable[[Random], str], ...]) -> str:
    """Change a text in one place."""
    at = random.randint(0, len(text))
    to = min(len(text), at + random.choice((0, 1, 1, 5, 40)))
    match random.randrange(5):
        case 0:
            return text[:at] + random.choice(snippets)(random) + text[to:]
        case 1:
            return text[:at] + text[to:]
        case 2:
            return text[:at] + text[at:to] * random.choice((2, 3, 50)) + text[to:]
        case 3:
            return text[:at] + random.choice("{}[]:,-#&*!|>'\"%@` \n\ta0.~?<") + text[to:]
    lines = text.split("\n")
    lines.insert(random.randint(0, len(lines)), random.choice(lines))
    return "\n".join(lines)


# --- values that follow the types -------------------------------------------------------------------------------------


def _by_types(random: Random) -> str:
    fields = [field for form in _forms() for field in form.fields if field.encode_name != "version"]
    chosen = [field for field in fields if random.random() < 0.25]
    odd = random.choice((0.0, 0.0, 0.01, 0.06))
    lines = ["version: 1", *(f"{field.encode_name}: {_field(random, field, 0, odd)}" for field in chosen)]
    random.shuffle(lines)
    return "\n".join(lines) + "\n"


@cache
def _forms() -> tuple[inspect.StructType, ...]:
    return tuple(kind for kind in map(inspect.type_info, FORMS) if isinstance(kind, inspect.StructType))


def _value(random: Random, kind: inspect.Type, depth: int, odd: float) -> str:
    """Write a value of a type in YAML's flow style; with probability ``odd``, write something else."""
    if random.random() < odd or depth > 8:
        return re.sub(r"\s", " ", _absurd(random)) if random.random() < 0.9 else _absurd(random)
    match kind:
        case inspect.Metadata():
            return _value(random, kind.type, depth, odd)
        case inspect.UnionType():
            return _value(random, random.choice(kind.types), depth + 1, odd)
        case inspect.StructType():
            return _struct(random, kind, depth, odd)
        case inspect.DictType():
            pairs = (
                f"{_word(random)}: {_value(random, kind.value_type, depth + 1, odd)}"
                for _ in range(random.randint(0, 4))
            )
            return "{" + ", ".join(pairs) + "}"
        case inspect.ListType() | inspect.VarTupleType():
            values = [_value(random, kind.item_type, depth + 1, odd) for _ in range(random.randint(0, 4))]
            return "[" + ", ".join(values) + "]"
        case inspect.LiteralType():
            return str(random.choice(kind.values)).replace("True", "true")
        case inspect.BoolType():
            return random.choice(("true", "false"))
        case inspect.IntType():
            return str(random.choice((0, 1, 3, 80, 1025, 65_535, -1, 10**9)))
        case inspect.FloatType():
            return random.choice(("0.7", "0", "1", "1.5", "-0.1", "1e-9", "1e30"))
        case inspect.NoneType():
            return "null"
        case inspect.StrType():
            return _text(random, kind)
    return _word(random)


def _struct(random: Random, kind: inspect.StructType, depth: int, odd: float) -> str:
    chosen = [field for field in kind.fields if field.required or random.random() < 0.35]
    random.shuffle(chosen)
    pairs = [f"{field.encode_name}: {_field(random, field, depth + 1, odd)}" for field in chosen]
    if pairs and random.random() < odd:
        pairs.append(random.choice(pairs))
    if random.random() < odd:
        pairs.append(f"{_word(random)}: 1")
    return "{" + ", ".join(pairs) + "}"


USUAL = {
    "timezone": "Europe/Berlin",
    "servers": "localhost:9092",
    "from": "hello@shop.example",
    "env": "HOME",
    "file": "perennial.yaml",
    "host": "127.0.0.1",
    "folder": ".perennial",
}
"""Usual value of a setting, by its name."""


def _field(random: Random, field: inspect.Field, depth: int, odd: float) -> str:
    usual = USUAL.get(field.encode_name)
    return usual if usual and random.random() < 0.9 else _value(random, field.type, depth, odd)


def _text(random: Random, kind: inspect.StrType) -> str:
    """Write a text for the pattern if the pattern is a known one. Some texts do not match their pattern."""
    pattern = kind.pattern or ""
    if "(s|m|h|d|w)" in pattern:
        return random.choice(("90s", "30m", "1h", "14d", "2w", "999999w", "0h", "1 h"))
    if "(d|w)" in pattern:
        return random.choice(("14d", "2w", "1d", "9999w"))
    if "[0-5][0-9]" in pattern:
        return random.choice(("'21:00'", "08:00", "'24:00'", "'00:00'"))
    if "a-z0-9_" in pattern:
        return random.choice(NAMES)
    if "https?" in pattern:
        return random.choice(("https://shop.example", "http://127.0.0.1:8080/x?y=z"))
    return _word(random)


WORDS = ("Europe/Berlin", "plan", "a.b", "'a[0]'", "refund", "'Trial Started'", "localhost:9092", "no", "3", "ä")


def _word(random: Random) -> str:
    return random.choice((*WORDS, *NAMES))


# --- copies of the files that init writes -----------------------------------------------------------------------------


@cache
def _preset_text() -> str:
    text = "\n".join(line.partition(" #")[0] for line in files("shop")["perennial.yaml"].splitlines())
    return "\n".join(line for line in text.split("\n") if line.strip() and not line.startswith("#")) + "\n"


@cache
def _preset_templates() -> dict[str, str]:
    found = {path.removeprefix("templates/"): text for path, text in files("shop").items() if path.endswith(".liquid")}
    chosen = {path: text for path, text in found.items() if path.split("/")[0] in NAMES}
    return chosen | {f"welcome/{path.split('/')[1]}": text for path, text in chosen.items() if "first_order" in path}


def _changed(random: Random, text: str) -> str:
    """Leave some sections out, and change the text in a few places."""
    sections = re.split(r"\n(?=[a-z])", text)
    kept = [section for section in sections if section.startswith("version") or random.random() < 0.5]
    changed = "\n".join(kept) + "\n"
    for _ in range(random.choice((0, 0, 1, 1, 2, 4))):
        changed = _mutated(random, changed, ABSURD)
    return changed
