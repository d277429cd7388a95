"""A line to look at: two versions of the digits model that differ, ingest with control, a sink."""

import json
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/conformance"))

from line import Line, binary, brokers, infer_settings  # noqa: E402

HELD_OUT = json.loads((ROOT / "models/digits/held_out.json").read_text())
MODEL_TOML = '[versions]\npolicy = "all"\nlabels = { stable = 1, next = 2 }\n'
INGEST = '[http]\nlisten = "127.0.0.1:0"\nport_file = "FOLDER/NAME.port"\n[grpc]\nlisten = ""\n'
SINK = """
[admin]
listen = "127.0.0.1:0"
[[pipelines]]
name = "archive"
models = ["digits"]
destination = { type = "files", url = "FOLDER/archive" }
"""


class Stage(Line):
    """The line; its ingest is at `url`, another one that wants a key at `guarded`."""

    key = ""
    guarded = ""

    def start(self) -> None:
        self.prefix = self.prefix.replace("conformance", "console")
        self.tool("topics", "apply", "--model", "digits")
        models = self.folder / "models"
        make_versions(models)
        settings = infer_settings("models", ["digits"]).replace(str(ROOT / "models"), str(models), 1)
        self._start("infer", "infer", settings)
        self._start("sink", "sink", SINK)
        self._start("ingest", "ingest", f"{INGEST}[control]\nenabled = true\n")
        self.http = self._port("ingest")
        self._write_key()
        guarded = '[access]\napi_keys = "FOLDER/keys.toml"\n[console]\nopen_page = true\n'
        self._start("ingest", "guarded", INGEST + guarded)
        self.guarded = f"http://{self._port('guarded')}"
        self.wait(lambda: answers(f"{self.url}/v2/models/digits/versions/2/ready"), "both versions to be served")
        self.wait(lambda: answers(f"{self.guarded}/ready"), "the guarded ingest to be ready")

    def _write_key(self) -> None:
        self.key, entry = self.tool("access", "new-key", "looker", line=False).split("\n", 1)
        (self.folder / "keys.toml").write_text(entry)

    def tool(self, *arguments: str, line: bool = True) -> str:
        where = ["--brokers", brokers(), "--prefix", self.prefix] if line else []
        answer = subprocess.run([binary("millrace"), *arguments, *where], capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def predict(self, index: int) -> None:
        body = json.dumps({"instances": [HELD_OUT["images"][index % len(HELD_OUT["images"])]]}).encode()
        request = urllib.request.Request(f"{self.url}/v1/models/digits:predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200


class Traffic:
    """Requests one after the other, for as long as it stands."""

    def __init__(self, stage: Stage):
        self.stage, self.enough, self.failure = stage, threading.Event(), None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        number = 0
        try:
            while not self.enough.wait(0.02):
                self.stage.predict(number)
                number += 1
        except Exception as failure:  # told by the test
            self.failure = failure

    def __enter__(self) -> "Traffic":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enough.set()
        self.thread.join()
        assert self.failure is None, self.failure


def make_versions(folder: Path) -> None:
    """Version 1 is the digits model, version 2 the same with some noise on its weights."""
    first = folder / "digits/1"
    shutil.copytree(ROOT / "models/digits/1", first)
    (folder / "digits/model.toml").write_text(MODEL_TOML)
    model = onnx.load(first / "model.onnx")
    noise = np.random.default_rng(7)
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.size > 64:
            changed = values + noise.normal(0, 0.12 * values.std(), values.shape).astype(np.float32)
            weights.CopyFrom(numpy_helper.from_array(changed, weights.name))
    (folder / "digits/2").mkdir()
    onnx.save(model, folder / "digits/2/model.onnx")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=60):
            return True
    except (urllib.error.HTTPError, OSError):
        return False
