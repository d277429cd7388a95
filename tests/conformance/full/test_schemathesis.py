"""Schemathesis reads our own description and asks everything that it allows, and much that it forbids.

No answer may be a 5xx, have a status, type, header or shape that is not described, accept what is malformed, or take
another method than the described ones.
"""

import subprocess
import sys
from pathlib import Path

# A body that fits the description need not fit the model: its metadata, not the description, says what it takes.
LEFT_OUT = "positive_data_acceptance"


def test_everything_described_is_answered_as_described(line):
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        str(program), "run", f"{line.url}/openapi.json",
        "--phases", "examples,coverage,fuzzing",
        "--checks", "all", "--exclude-checks", LEFT_OUT,
        "--max-examples", "20", "--seed", "1", "--generation-deterministic",
        "--workers", "2", "--request-timeout", "40", "--max-time", "90", "--no-color",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, cwd=line.folder)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
