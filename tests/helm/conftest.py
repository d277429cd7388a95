"""The chart, rendered by Helm as an installation would be."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/millrace"
VALUES = Path(__file__).parent / "values"
RELEASE = "mill"
NAMESPACE = "serving"


def helm(*arguments):
    command = [os.environ.get("HELM", str(ROOT / ".native/helm/bin/helm")), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def render(*arguments):
    return helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", "1.33.0", *arguments)


class Rendered:
    def __init__(self, name):
        answer = render("--values", str(VALUES / f"{name}.yaml"))
        assert answer.returncode == 0, answer.stderr
        self.text = answer.stdout
        self.all = [it for it in yaml.safe_load_all(self.text) if it]

    def of(self, kind):
        return [it for it in self.all if it["kind"] == kind]

    def named(self, kind, name):
        [found] = [it for it in self.of(kind) if it["metadata"]["name"] == name]
        return found

    def pods(self):
        return [it["spec"]["template"] for kind in ("StatefulSet", "Job") for it in self.of(kind)]


@pytest.fixture(scope="session", params=["least", "most"])
def chart(request):
    return Rendered(request.param)


@pytest.fixture(scope="session")
def most():
    return Rendered("most")


def binary(name):
    path = Path(os.environ.get("MILLRACE_BIN_DIR", ROOT / "target/debug")) / name
    assert path.exists(), f"{path} is missing: cargo build --workspace --bins"
    return path


def selected(labels, selector):
    return all(labels.get(key) == value for key, value in selector["matchLabels"].items())


def dump(documents):
    return "\n---\n".join(json.dumps(it) for it in documents)
