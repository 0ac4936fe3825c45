from __future__ import annotations

import pytest

from tests.clients.snippets import snippets


@pytest.mark.parametrize("brand", ["segment", "rudder"])
def test_the_readme_shows_each_sdk_with_script_tags_and_for_a_bundler(brand: str) -> None:
    shown = snippets(brand)

    assert sorted(snippet.form for snippet in shown) == ["html", "js"]
    assert all(snippet.steps >= 1 for snippet in shown), "each snippet sends a page view"


@pytest.mark.parametrize("brand", ["segment", "rudder"])
def test_a_reader_replaces_only_the_door_and_the_key(brand: str) -> None:
    [tags] = [snippet for snippet in snippets(brand) if snippet.form == "html"]

    page = tags.page("http://127.0.0.1:18080", "key-1")

    assert "shop.example" not in page
    assert "wk_web" not in page
