"""No worker imports torch, not even through an import that import-linter does not see."""

from __future__ import annotations

import subprocess
import sys


def test_the_imports_of_a_worker_do_not_load_torch() -> None:
    later = "stream.lookup.serving, stream.delivery.channels, agents.learn_churn, agents.learn_segments"
    code = f"import sys, stream.worker.process, stream.cli.worker, {later}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
