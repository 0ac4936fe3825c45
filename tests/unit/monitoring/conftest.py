import os
import shutil

import pytest


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        # promtool may be missing on a developer's machine, but not in continuous integration.
        assert not os.environ.get("CI"), "promtool is missing: apt-get install prometheus"
        pytest.skip("promtool is not installed (Debian's package `prometheus` has it)")
    return found
