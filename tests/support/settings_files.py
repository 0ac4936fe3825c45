"""Settings files with templates, as tests write them."""

from __future__ import annotations

from pathlib import Path

from stream.settings.loading import Settings, load

WIN_BACK = "rules:\n  - name: win_back\n    when: {churn_risk: {crosses: 0.7}}\n"
"""A section with one rule, whose template is ``win_back``."""


def write_settings(folder: Path, text: str, **templates: str) -> Settings:
    """Write a settings file, and templates such as ``win_back__text="Hello"``, into a folder, and load them."""
    (folder / "perennial.yaml").write_text(f"version: 1\n{text}")
    for name, content in templates.items():
        template, _, part = name.partition("__")
        file = folder / "templates" / template / f"{part}.liquid"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return load(folder / "perennial.yaml", environment={})
