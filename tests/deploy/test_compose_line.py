"""The settings of compose.yaml start the processes of this machine: the line answers and writes as its containers would."""

import json
import os
import secrets
import subprocess
import time
import urllib.request

import pytest

from composition import FOLDER, ROOT, Volumes, binary, outside, program, services

PATIENCE_S = 120


class Line:
    """The services of compose.yaml as processes, on the broker and the PostgreSQL of the tests."""

    def __init__(self, folder):
        self.folder = folder
        self.volumes = Volumes(folder / "volumes")
        self.services = services()
        self.table = f"results_{secrets.token_hex(6)}"
        self.processes = {}
        # What is different outside of containers: where others are, and where one may listen.
        self.different = {
            "MILLRACE_KAFKA__BROKERS": named("MILLRACE_KAFKA__BROKERS"),
            "MILLRACE_TOPICS__PREFIX": f"compose-{secrets.token_hex(8)}",
        }

    def command(self, name, extra=()):
        service = self.services[name]
        arguments = self.volumes.arguments(service)
        if name == "sink":
            arguments[1] = str(self.sink_settings())
        command = [str(binary(program(service))), *arguments, *extra]
        environment = {**outside(), **self.volumes.environment(service), **self.different}
        return command, environment

    def listening(self, name):
        key = "http" if name == "ingest" else "admin"
        flags = [f"{key}.listen=127.0.0.1:0", f"{key}.port_file={self.folder / name}.port"]
        if name == "ingest":
            flags.append("grpc.listen=127.0.0.1:0")
        if name == "infer":
            flags += [
                f"engine.library={ROOT}/.native/onnxruntime/libonnxruntime.so",
                f"state.path={self.volumes.place('/state', self.services[name])}/state",
            ]
        return [word for flag in flags for word in ("--set", flag)]

    def sink_settings(self):
        """The shipped file, with the database and the folder of this machine."""
        service = self.services["sink"]
        text = (FOLDER / "sink.toml").read_text()
        url = self.volumes.place("/run/secrets/sink/url", service)
        with open(url, "w") as file:
            file.write(named("TEST_POSTGRES_URL"))
        for old, new in [
            ("/run/secrets/sink/url", url),
            ("/data/digits", self.volumes.place("/data/digits", service)),
            ('table = "results"', f'table = "{self.table}"'),
        ]:
            assert old in text
            text = text.replace(old, new)
        file = self.folder / "sink.toml"
        file.write_text(text)
        return file

    def start(self):
        self.run_once("topics")
        for name in ["infer", "sink", "ingest"]:
            command, environment = self.command(name, self.listening(name))
            with (self.folder / f"{name}.log").open("w") as log:
                # The services end with us, even if we are killed.
                command = ["setpriv", "--pdeathsig", "TERM", *command]
                self.processes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        for name in self.processes:
            self.wait(lambda name=name: self.is_ready(name), f"{name} to be ready")

    def run_once(self, name):
        command, environment = self.command(name)
        # One broker has all replicas that there are.
        answer = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr

    def is_ready(self, name):
        """As the health check of the container asks."""
        test = self.services[name]["healthcheck"]["test"]
        assert test[0] == "CMD"
        assert test[1] == f"/opt/millrace/{program(self.services[name])}"
        assert test[-1] == "--ready"
        command, environment = self.command(name, [*self.listening(name), "--ready"])
        return subprocess.run(command, env=environment, capture_output=True).returncode == 0

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if condition():
                return
            for name, process in self.processes.items():
                assert process.poll() is None, f"{name} ended:\n{self.log(name)}"
            time.sleep(0.2)
        logs = "\n".join(f"== {name}\n{self.log(name)}" for name in self.processes)
        raise AssertionError(f"waited {PATIENCE_S} s for {what}\n{logs}")

    def log(self, name):
        return "\n".join((self.folder / f"{name}.log").read_text().splitlines()[-15:])


def named(variable):
    value = os.environ.get(variable)
    assert value, f"{variable} is not set: run `make test`"
    return value


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    line = Line(tmp_path_factory.mktemp("line"))
    try:
        line.start()
        yield line
    finally:
        line.stop()


def predict(line):
    address = (line.folder / "ingest.port").read_text().strip()
    body = (ROOT / "models/digits/example.json").read_bytes()
    request = urllib.request.Request(f"http://{address}/v1/models/digits:predict", body)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def rows(line):
    query = f"SELECT count(*) FROM {line.table} WHERE model = 'digits' AND label = 9 AND status = 'OK'"
    command = ["psql", "-qAt", "-d", named("TEST_POSTGRES_URL"), "-c", query]
    answer = subprocess.run(command, capture_output=True, text=True)
    return int(answer.stdout) if answer.returncode == 0 else 0


def test_the_settings_of_the_containers_start_a_line_that_answers_and_writes(line):
    assert predict(line)["predictions"][0]["label"] == 9
    line.wait(lambda: rows(line) >= 1, "a row in PostgreSQL")


def test_who_is_gone_is_not_healthy(line):
    assert line.is_ready("ingest")
    process = line.processes.pop("ingest")
    process.terminate()
    process.wait(PATIENCE_S)
    assert not line.is_ready("ingest")
