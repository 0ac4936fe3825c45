"""``perennial fmt``: the canonical form keeps the meaning, the comments, and everything outside of its sections."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conditions.parsing import parse_segments
from models.conditions.writing import hash_of
from models.configuration.parsing import parse
from stream.settings import plain_yaml
from stream.settings.formatting import formatted
from tests.support.random_conditions import random_lifecycle, random_segments
from tests.support.random_yaml import RandomLayout

BEFORE = "version: 1\n# settings\nkafka: {partitions:   4}   # four\n\n"
AFTER = "\n# more\ncaps:   # none\n  []\n"


def lifecycle(text: str) -> tuple[tuple[str, ...], list[tuple[str, str, int]]]:
    found = parse({"lifecycle": plain_yaml.read(text)[0]["lifecycle"]}, {}).lifecycle
    assert found is not None
    return found.stages, [(move.origin, move.target, hash_of(move.when)) for move in found.moves]


def meanings(text: str) -> list[tuple[str, int]]:
    rules = parse_segments(plain_yaml.read(text)[0]["segments"])
    return [(rule.name, hash_of(rule.when)) for rule in rules]


@given(st.integers(0, 1 << 40), st.integers(1, 4), st.sampled_from([0.0, 0.2, 0.6]))
@settings(max_examples=100, deadline=None)
def test_the_canonical_form_keeps_meaning_and_comments_and_is_final(seed: int, number: int, comments: float) -> None:
    rng = random.Random(seed)
    layout = RandomLayout(rng, comments)
    section = layout.section("segments", random_segments(rng, number))
    text = BEFORE + section + AFTER

    result = formatted(text)

    assert result.notes == ()
    assert result.text.startswith(BEFORE)
    assert result.text.endswith(AFTER)
    assert meanings(result.text) == meanings(text)
    kept = re.findall(r"# \d+ 'a': \[b, \{c", result.text)
    assert sorted(kept) == sorted(layout.written)
    assert formatted(result.text) == result


@given(st.integers(0, 1 << 40))
@settings(max_examples=30, deadline=None)
def test_two_layouts_of_the_same_segments_have_one_form(seed: int) -> None:
    segments = random_segments(random.Random(seed), 3)
    one, other = (RandomLayout(random.Random(seed + i), 0).section("segments", segments) for i in range(2))

    assert formatted(one) == formatted(other)


@given(st.integers(0, 1 << 40), st.sampled_from([0.0, 0.2, 0.6]))
@settings(max_examples=100, deadline=None)
def test_the_canonical_form_of_a_lifecycle_keeps_meaning_and_comments_and_is_final(seed: int, comments: float) -> None:
    rng = random.Random(seed)
    layout = RandomLayout(rng, comments)
    section = layout.section("lifecycle", random_lifecycle(rng))
    text = BEFORE + section + AFTER

    result = formatted(text)

    assert result.notes == ()
    assert result.text.startswith(BEFORE)
    assert result.text.endswith(AFTER)
    assert lifecycle(result.text) == lifecycle(text)
    kept = re.findall(r"# \d+ 'a': \[b, \{c", result.text)
    assert sorted(kept) == sorted(layout.written)
    assert formatted(result.text) == result


@given(st.integers(0, 1 << 40))
@settings(max_examples=30, deadline=None)
def test_two_layouts_of_the_same_lifecycle_have_one_form(seed: int) -> None:
    section = random_lifecycle(random.Random(seed))
    one, other = (RandomLayout(random.Random(seed + i), 0).section("lifecycle", section) for i in range(2))

    assert formatted(one) == formatted(other)


STATED = """\
# before
lifecycle: # ours
   moves: # our moves
     - {when: never, to: dormant, from: new}   # no

     # silence
     - to: at_risk   # the target
       from: [engaged, loyal]
       when:  # both
         all:
           - {for: 1.0 p90 gaps, absent: purchase}
           # no visit
           - {for: 1w, absent: page_view}
     - {from: [visitor], to: new, when: {times: {at_least: 1}, event: purchase, within: ever, where: {category:
         [lighting, furniture, kitchen], amount: {currency: EUR, at_least: 20}}}}

   defaults:  purchases   # of a shop
caps: []
segments: [{name: a, when: {lifecycle: at_risk}}]   # last
"""

STATED_CANONICAL = """\
# before
lifecycle:  # ours
  defaults: purchases  # of a shop
  moves:  # our moves
    - from: new
      to: dormant
      when: never  # no

    # silence
    - from: [engaged, loyal]
      to: at_risk  # the target
      # both
      when:
        all:
          - {absent: purchase, for: 1 p90 gap}
          # no visit
          - {absent: page_view, for: 7d}
    - from: visitor
      to: new
      when:
        event: purchase
        where: {amount: {at_least: 20, currency: EUR}, category: [lighting, furniture, kitchen]}
        times: {at_least: 1}
        within: ever
caps: []
segments:
  - name: a
    when: {lifecycle: at_risk}  # last
"""


def test_the_canonical_form_of_a_lifecycle_beside_segments() -> None:
    assert formatted(STATED).text == STATED_CANONICAL


def test_several_stages_are_written_as_a_list() -> None:
    text = "segments:\n  - name: a\n    when: {lifecycle: [at_risk, dormant]}\n"

    other = text.replace("[at_risk, dormant]", "{in: [at_risk, dormant]}")

    assert [formatted(one).text for one in (text, other)] == [text, text]


def test_a_lifecycle_of_its_own_stages_is_written_in_their_sequence() -> None:
    text = "lifecycle: {stages: [out, in], moves: [{to: in, when: {segment: b}, from: [out]}], defaults: none}\n"

    assert formatted(text).text == (
        "lifecycle:\n  defaults: none\n  stages: [out, in]\n  moves:\n"
        "    - from: out\n      to: in\n      when: {segment: b}\n"
    )


WRITTEN = """\
segments:   # ours
    # first
    - when:     # why
        all:  # of these
          # views
          - {event: product_view, where: {price: {currency: EUR, at_least: 20}}, within: 1w}   # a week
          - in: [free, trial]   # plans
            trait: plan

          - not: # our staff
              segment: staff
          - any: [{none: [{any: [{segment: b}, # bb
               {segment: c} # cc
               ]}]}]
      name: a   # its name
    # second


    # third
    - {name: "b", when: {event: purchase, times: {at_least: 3}, within: 90d,
        where: {category: [lighting, furniture, "21"], amount: {at_least: 20, currency: EUR}}}}   # b
# end
"""

CANONICAL = """\
segments:  # ours
  # first
  - name: a  # its name
    # why
    # of these
    when:
      all:
        # views
        - {event: product_view, where: {price: {at_least: 20, currency: EUR}}, times: {at_least: 1}, within: 7d}  # @
        # plans
        - {trait: plan, in: [free, trial]}

        # our staff
        - not: {segment: staff}
        - none:
            - {segment: b}  # bb
            - {segment: c}  # cc
  # second

  # third
  - name: b
    when:
      event: purchase
      where: {amount: {at_least: 20, currency: EUR}, category: [lighting, furniture, '21']}
      times: {at_least: 3}
      within: 90d  # b
# end
"""


def test_the_canonical_form_of_an_example() -> None:
    assert formatted(WRITTEN).text == CANONICAL.replace("# @", "# a week")


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("version: 1\n", ""),
        ("segments: []  # none\n", ""),
        ("segments:\n", ""),
        ("lifecycle: {}  # none\n", ""),
        ("lifecycle:\n", ""),
        ("{segments: [{name:  a, when: {segment: b}}]}", "the segments are left as they are: a file in braces"),
        ("{lifecycle: {defaults:  usage}}", "the lifecycle is left as it is: a file in braces"),
        ("segments:\n  - {name:  a, when: &x {segment: b}}\n", "the segments are left as they are: anchors"),
        ("x: &x {segment: b}\nsegments:\n  - {name:  a, when: *x}\n", "aliases"),
        ("segments:\n  - {name:  a, when: {segment: !!str b}}\n", "tags"),
        ("segments:\n  - name: |\n      a\n    when:  {segment: b}\n", "texts over several lines"),
        ("lifecycle:  {defaults: !!str usage}\n", "the lifecycle is left as it is: anchors, aliases, tags"),
    ],
)
def test_what_cannot_be_formatted_stays_as_it_is_with_the_reason(text: str, note: str) -> None:
    assert formatted(text).text == text
    notes = formatted(text).notes
    assert len(notes) == bool(note)
    assert note in "".join(notes)


def test_how_users_become_members_comes_after_the_condition() -> None:
    written = "segments: [{on_apply: enter, when: {segment: b}, name: a}]  # ours\n"

    expected = "segments:\n  - name: a\n    when: {segment: b}\n    on_apply: enter  # ours\n"
    assert formatted(written).text == expected


def test_an_anchor_outside_the_segments_does_not_matter() -> None:
    text = "x: &x 1\nsegments: [{name: a, when: {segment: b}}]\ny: *x"

    assert formatted(text).text == "x: &x 1\nsegments:\n  - name: a\n    when: {segment: b}\ny: *x"


@given(st.text(max_size=200), st.text(min_size=1, max_size=200))
def test_any_name_and_any_text_of_a_condition_are_kept(name: str, text: str) -> None:
    try:
        value = {"name": "a", "when": {"event": text[:200], "where": {name: text, "x": [text]}, "within": "1d"}}
        written = RandomLayout(random.Random(1), 0).section("segments", [value])
        plain_yaml.read(written)
    except plain_yaml.Unreadable:
        return  # half of a character, for example
    result = formatted(written).text

    assert meanings(result) == meanings(written)
    assert formatted(result).text == result
