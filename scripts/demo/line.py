"""Starts and stops the processes of the demo and waits until they are ready."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

MODELS = ["digits", "everything"]
# How long one process may take to start. A slow disk counts; a network does not.
START_S = 60
STOP_S = 30


class DemoError(Exception):
    """Something that the person at the terminal should read."""


class Service(NamedTuple):
    name: str
    process: subprocess.Popen
    url: str


class Line:
    """One broker, one process of each service, all below one folder."""

    def __init__(self, root: Path, bin_dir: Path):
        self.root = root
        self.bin_dir = bin_dir
        self.folder = root / ".native/demo"
        self.broker_folder = root / ".native/demo-broker"
        self.database = self.folder / "results.sqlite"
        self.parquet = self.folder / "parquet"
        self.tool = bin_dir / "millrace"
        self.postgres_folder: Path | None = None
        self.postgres = ""  # the URL, if there is a PostgreSQL
        self.brokers = ""
        self.http = ""
        self.grpc = ""
        self.services: list[Service] = []

    def start(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.brokers = os.environ.get("MILLRACE_KAFKA__BROKERS") or self._start_broker()
        self.postgres = self._start_postgres()
        say("creating the topics")
        self._apply_topics()
        say("starting infer, ingest and sink")
        self._start("infer", "admin", self._infer_settings(), free_port())
        self._start("sink", "admin", self._sink_settings(), free_port())
        port = 8080 if is_free(8080) else free_port()
        grpc_port = 8081 if is_free(8081) else free_port()
        self.grpc = f"127.0.0.1:{grpc_port}"
        settings = f'default_model = "everything"\n[grpc]\nlisten = "{self.grpc}"'
        self._start("ingest", "http", settings, port)
        self.http = self.services[-1].url
        say("waiting until all are ready")
        for service in self.services:
            self._wait_ready(f"{service.url}/ready")

    def wait(self) -> None:
        """Until Ctrl-C, or until a service ends by itself."""
        while True:
            self._check_running()
            time.sleep(1)

    def stop(self) -> None:
        if self.services:
            say("stopping")
        for service in reversed(self.services):
            service.process.terminate()
        for service in self.services:
            try:
                service.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                service.process.kill()
        if self.postgres_folder:
            self._script("postgres", "stop", self.postgres_folder)
            shutil.rmtree(self.postgres_folder, ignore_errors=True)
        self._broker("stop")

    # The broker, unless MILLRACE_KAFKA__BROKERS names one that runs already

    def _start_broker(self) -> str:
        self._broker("stop")
        shutil.rmtree(self.broker_folder, ignore_errors=True)
        say("starting Apache Kafka")
        return self._broker("start", "--port", "0")

    def _broker(self, *arguments: str) -> str:
        return self._script("broker", *arguments, self.broker_folder)

    def _start_postgres(self) -> str:
        if not any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
            say("PostgreSQL is not installed: results go to SQLite")
            return ""
        say("starting PostgreSQL")
        # It refuses to run as root, and as another user it may not enter our folder.
        self.postgres_folder = Path(tempfile.mkdtemp(prefix="millrace-demo."))
        self.postgres_folder.chmod(0o711)
        return self._script("postgres", "start", self.postgres_folder)

    def _script(self, name: str, *arguments) -> str:
        *words, folder = arguments
        command = [self.root / "scripts" / name, *words, "--dir", folder]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode:
            raise DemoError(answer.stderr.strip())
        return answer.stdout.strip()

    # The services

    def _infer_settings(self) -> str:
        library = self.root / ".native/onnxruntime/libonnxruntime.so"
        return (
            f'[models]\npath = "{self.root}/models"\nnames = {MODELS}\n'
            f'[engine]\nlibrary = "{library}"'
        ).replace("'", '"')

    def _sink_settings(self) -> str:
        table = f'type = "sqlite", path = "{self.database}"'
        if self.postgres:
            table = f'type = "postgres", url = "{self.postgres}"'
        # Files are closed after two seconds so that there is something to see at once.
        return (
            f'[[pipelines]]\nname = "table"\nmodels = ["digits"]\n'
            f"destination = {{ {table} }}\n"
            f'[[pipelines]]\nname = "files"\nmodels = ["digits"]\n'
            f'destination = {{ type = "files", url = "{self.parquet}" }}\nroll = {{ age = "2s" }}'
        )

    def _start(self, name: str, listener: str, settings: str, port: int) -> None:
        file = self.folder / f"{name}.toml"
        file.write_text(
            f'{settings}\n[{listener}]\nlisten = "127.0.0.1:{port}"\n'
            f'[kafka]\nbrokers = "{self.brokers}"\n'
        )
        log = (self.folder / f"{name}.log").open("w")
        # Ctrl-C in the terminal must reach only us: we stop the others in order.
        process = subprocess.Popen(
            [self.bin_dir / f"millrace-{name}", "--config", file],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self.services.append(Service(name, process, f"http://127.0.0.1:{port}"))

    def _apply_topics(self) -> None:
        models = [argument for model in MODELS for argument in ("--model", model)]
        command = [self.tool, "topics", "apply", "--brokers", self.brokers, *models]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode:
            raise DemoError(f"the topics could not be created:\n{answer.stderr}")

    def _wait_ready(self, url: str) -> None:
        deadline = time.monotonic() + START_S
        reason = ""
        while time.monotonic() < deadline:
            self._check_running()
            try:
                urllib.request.urlopen(url, timeout=5)
                return
            except urllib.error.HTTPError as error:
                reason = error.read().decode()
            except OSError as error:
                reason = str(error)
            time.sleep(0.1)
        raise DemoError(f"{url} was not ready within {START_S} s: {reason}")

    def _check_running(self) -> None:
        for service in self.services:
            if service.process.poll() is not None:
                log = (self.folder / f"{service.name}.log").read_text()
                tail = "\n".join(log.splitlines()[-15:])
                raise DemoError(f"{service.name} ended; its log ends with:\n{tail}")


def say(text: str) -> None:
    print(f"- {text}", flush=True)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
