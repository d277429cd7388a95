"""The line under test: infer and ingest as processes, on topics of their own."""

import os
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The probes that can be loaded; each folder is served by an infer process of its own.
MODELS = {
    "models": ["digits", "everything"],
    "tests/models": ["affine", "echo", "fails_if", "fixed_batch", "mean", "slides", "slow", "types"],
}
# How long anything may take that should be quick.
PATIENCE_S = 60


class Line:
    """Running services; `http` and `grpc` are the `host:port` of ingest."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.prefix = f"conformance-{secrets.token_hex(8)}"
        self.processes: dict[str, subprocess.Popen] = {}
        self.http = ""
        self.grpc = ""

    @property
    def url(self) -> str:
        return f"http://{self.http}"

    def start(self) -> None:
        self._apply_topics()
        for folder, models in MODELS.items():
            self._start("infer", folder.replace("/", "-"), infer_settings(folder, models))
        self._start("ingest", "ingest", INGEST_SETTINGS)
        self.http = self._port("ingest.http")
        self.grpc = self._port("ingest.grpc")
        self._wait_until_all_models_are_served()

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def __enter__(self) -> "Line":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _apply_topics(self) -> None:
        names = [name for names in MODELS.values() for name in names]
        models = [argument for name in names for argument in ("--model", name)]
        command = [binary("millrace"), "topics", "apply", "--brokers", brokers(), "--prefix", self.prefix, *models]
        answer = subprocess.run(command, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr

    def _start(self, service: str, name: str, settings: str) -> None:
        file = self.folder / f"{name}.toml"
        settings = settings.replace("FOLDER", str(self.folder)).replace("NAME", name)
        file.write_text(
            f'{settings}\n[kafka]\nbrokers = "{brokers()}"\n[topics]\nprefix = "{self.prefix}"\n'
        )
        with (self.folder / f"{name}.log").open("w") as log:
            # The services end with us, even if we are killed.
            command = ["setpriv", "--pdeathsig", "TERM", binary(f"millrace-{service}"), "--config", str(file)]
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment())

    def _port(self, name: str) -> str:
        file = self.folder / f"{name}.port"
        return self.wait(lambda: file.read_text().strip() if file.exists() else None, f"{name} to listen")

    def _wait_until_all_models_are_served(self) -> None:
        for names in MODELS.values():
            for name in names:
                path = f"{self.url}/v2/models/{name}/ready"
                self.wait(lambda path=path: answers_well(path), f"{name} to be served")

    def wait(self, condition, what: str):
        """The first result of `condition` that is true, while the processes run."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if result := condition():
                return result
            for name, process in self.processes.items():
                assert process.poll() is None, f"{name} ended:\n{self.log(name)}"
            time.sleep(0.05)
        logs = "\n".join(f"== {name}\n{self.log(name)}" for name in self.processes)
        raise AssertionError(f"waited {PATIENCE_S} s for {what}\n{logs}")

    def log(self, name: str) -> str:
        text = (self.folder / f"{name}.log").read_text().split("Stack backtrace:")[0]
        return "\n".join(text.splitlines()[-15:])


INGEST_SETTINGS = """
default_model = "everything"
[http]
listen = "127.0.0.1:0"
port_file = "FOLDER/ingest.http.port"
[grpc]
listen = "127.0.0.1:0"
port_file = "FOLDER/ingest.grpc.port"
"""


def environment() -> dict[str, str]:
    """Ours, without what the services would take for a setting of theirs."""
    return {key: value for key, value in os.environ.items() if key != "MILLRACE_BIN_DIR"}


def infer_settings(folder: str, models: list[str]) -> str:
    names = ", ".join(f'"{name}"' for name in models)
    return f"""
[models]
path = "{ROOT / folder}"
names = [{names}]
[engine]
library = "{ROOT}/.native/onnxruntime/libonnxruntime.so"
[admin]
listen = "127.0.0.1:0"
port_file = "FOLDER/NAME.admin.port"
"""


def brokers() -> str:
    found = os.environ.get("MILLRACE_KAFKA__BROKERS")
    assert found, "no broker: run scripts/with-broker, or set MILLRACE_KAFKA__BROKERS"
    return found


def binary(name: str) -> str:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
    path = Path(os.environ.get("CONFORMANCE_BIN_DIR", target)) / name
    assert path.exists(), f"{path} is not there: cargo build --workspace --bins"
    return str(path)


def answers_well(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S):
            return True
    except (urllib.error.HTTPError, OSError):
        return False
