"""The texts of the pages: the same in each language."""

from __future__ import annotations

import string

import msgspec
import pytest

from models.events import CHANNELS
from stream.collector import pages
from stream.collector.texts import LANGUAGES, PageTexts, texts_in


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_every_text_with_the_same_placeholders(language: str) -> None:
    own, english = texts_in(language), texts_in("en")
    for field in msgspec.structs.fields(PageTexts):
        mine, theirs = getattr(own, field.name), getattr(english, field.name)
        if isinstance(mine, dict):
            assert mine.keys() == theirs.keys() >= set(CHANNELS)
            assert all(mine.values())
        else:
            assert mine.strip(), field.name
            assert placeholders(mine) == placeholders(theirs), field.name


def test_no_text_of_another_language_is_left_in_english() -> None:
    english = texts_in("en")
    for language in LANGUAGES[1:]:
        same = [
            field.name
            for field in msgspec.structs.fields(PageTexts)
            if getattr(texts_in(language), field.name) == getattr(english, field.name)
        ]
        assert same == [], language


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_of_a_reader_is_escaped(language: str) -> None:
    texts = texts_in(language)

    assert "<b>" not in pages.stopped(language, pages.stopped_text(texts, "email", "<b>"))
