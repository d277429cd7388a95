"""Triton's load generator, which asks for metadata, configuration and statistics before it measures."""

import os
import subprocess

import pytest

from line import ROOT

FOLDER = ROOT / ".native/perf-analyzer"


def measure(line, *arguments):
    program = FOLDER / "bin/perf_analyzer"
    program.chmod(0o755)
    # One window of a second is enough to see that it measures; what it measures is not our question here.
    command = [str(program), "-u", line.http, "--measurement-mode=time_windows", "-p1000", "-s999", *arguments]
    environment = os.environ | {"LD_LIBRARY_PATH": str(FOLDER / "nvidia/cuda_runtime/lib")}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.mark.parametrize("arguments", [(), ("-b", "4"), ("--input-tensor-format=json", "--output-tensor-format=json")])
def test_it_measures(line, arguments):
    report = measure(line, "-m", "echo", "--concurrency-range=2", *arguments)
    assert "infer/sec" in report
    assert "Server:" in report and "Inference count:" in report, report


def test_it_measures_at_a_given_rate(line):
    report = measure(line, "-m", "affine", "--request-rate-range=20")
    assert "Request Rate: 20" in report and "infer/sec" in report, report
