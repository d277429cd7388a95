"""Schemathesis reads our own description and asks everything that it allows, and much that it forbids.

No answer may be a server's error, or have a status, type, header or shape that is not described; nothing malformed may
be accepted, and no other methods than the described ones. schemathesis.toml beside us says what is left out, and why.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Threads make Python 3.11's own parser fail in Hypothesis: one worker.
OPTIONS = [
    "--phases=examples,coverage,fuzzing",
    "--workers=1",
    "--max-examples=20",
    "--max-time=90",
    "--request-timeout=40",
    "--generation-deterministic",
    "--no-color",
]


def test_everything_described_is_answered_as_described(line, tmp_path):
    program = Path(sys.executable).with_name("schemathesis")
    command = [program, "--config-file", HERE.parent / "schemathesis.toml", "run", f"{line.url}/openapi.json", *OPTIONS]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
