"""The README's snippets for web pages, as pages, so that the tests run exactly the code that readers paste."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from tests.clients.install import BUILD
from tests.support.paths import ROOT

README = ROOT / "README.md"
NODE_MODULES = BUILD / "npm" / "node_modules"
FILES = {
    "/js/standalone.js": NODE_MODULES / "@segment/analytics-next/dist/umd/standalone.js",
    "/js/rudder.js": NODE_MODULES / "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js",
}
"""Files of the packages that the README says to put on the shop's server, by their path there."""
DOOR, KEY = "https://events.shop.example", "wk_web"
"""Parts of a snippet that a reader replaces."""
_BLOCK = re.compile(r"^```(html|js)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_MARKS = {
    "segment": {"html": "/js/standalone.js", "js": '"@segment/analytics-next"'},
    "rudder": {"html": "/js/rudder.js", "js": '"@rudderstack/analytics-js/bundled"'},
}
_VARIABLE = {"segment": "analytics", "rudder": "rudderanalytics"}


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way to put an SDK into a page.

    Attributes
    ----------
    brand
        ``segment`` or ``rudder``.
    form
        ``html``: script tags. ``js``: a module that a bundler packs.
    code
        Code as in the README.
    """

    brand: str
    form: str
    code: str

    @property
    def steps(self) -> int:
        """Number of the story's first calls that the snippet itself makes when the page loads."""
        calls = re.findall(r"analytics\.(page\(\"Home\"\)|track\(\"Product Viewed\")", self.code)
        assert [call[:4] for call in calls] in (["page"], ["page", "trac"]), f"a story begins with other calls: {calls}"
        return len(calls)

    def page(self, door: str, key: str) -> str:
        """Return a page with the snippet, for a door and a key, and with the code that plays a story."""
        assert DOOR in self.code, "the README names another door"
        assert KEY in self.code, "the README names another key"
        code = self.code.replace(DOOR, door).replace(KEY, key)
        if self.form == "js":
            name = _VARIABLE[self.brand]
            code = f"<script>{_bundled(f'{code}; window.{name} = {name};')}</script>"
        play = "".join(f'<script src="/pages/{name}.js"></script>\n' for name in (self.brand, "play"))
        return f"<!doctype html>\n<title>A shop</title>\n{code}\n{play}"


def snippets(brand: str) -> list[Snippet]:
    """Return every form in which the README shows an SDK.

    Parameters
    ----------
    brand
        ``segment`` or ``rudder``.
    """
    blocks = _BLOCK.findall(README.read_text(encoding="utf-8"))
    found = [Snippet(brand, form, code) for form, code in blocks if _MARKS[brand][form] in code]
    assert sorted(snippet.form for snippet in found) == ["html", "js"], f"other forms of {brand} in the README: {found}"
    return found


def _bundled(code: str) -> str:
    """Pack a module with its imports, as a shop's build does."""
    esbuild = [str(NODE_MODULES / ".bin" / "esbuild"), "--bundle", "--format=iife", "--log-level=error"]
    done = subprocess.run(esbuild, input=code, cwd=BUILD / "npm", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("</script", "<\\/script")
