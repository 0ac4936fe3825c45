import os
import shutil

import pytest


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        # On a developer's machine it may be missing; where a change is accepted it may not.
        assert not os.environ.get("CI"), "promtool is missing: apt-get install prometheus"
        pytest.skip("promtool is not installed (Debian's package `prometheus` has it)")
    return found
