"""The compose file as Compose reads it: variables filled in, profiles chosen."""

import os
import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/compose"
FILE = FOLDER / "compose.yaml"
# ${NAME:-default}; the only form that the file uses.
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+):-(?P<default>[^}]*)\}")
VARIANTS = ["", "secure", "cluster", "tracing"]
# Which program an image of ours runs.
PROGRAMS = {
    "millrace-ingest": "millrace-ingest",
    "millrace-infer": "millrace-infer",
    "millrace-infer-torch": "millrace-infer",
    "millrace-infer-cuda": "millrace-infer",
    "millrace-sink": "millrace-sink",
    "millrace-cli": "millrace",
}


def variables(variant: str) -> dict[str, str]:
    """What `--env-file VARIANT.env` says."""
    if not variant:
        return {}
    lines = (FOLDER / f"{variant}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def load(variant: str = "") -> dict:
    said = variables(variant)

    def fill(match: re.Match) -> str:
        return said.get(match["name"]) or match["default"]

    return yaml.safe_load(VARIABLE.sub(fill, FILE.read_text()))


def services(variant: str = "") -> dict[str, dict]:
    return load(variant)["services"]


def image_name(service: dict) -> str:
    return service["image"].split("@")[0].rsplit(":", 1)[0]


def program(service: dict) -> str | None:
    """The program of ours that a service runs."""
    return PROGRAMS.get(image_name(service))


def binary(name: str) -> Path:
    path = Path(os.environ.get("MILLRACE_BIN_DIR", ROOT / "target/debug")) / name
    assert path.exists(), f"{path} is missing: cargo build --workspace --bins"
    return path


class Volumes:
    """Stands for the folders of the containers: everything that a container sees below / lies in a folder here."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ["passwords", "certificates"]:
            self._make_secrets(name)

    def _make_secrets(self, kind: str) -> None:
        root = self.folder / "secrets"
        for name in ["database", "sink", "grafana", "kafka", "client", "ingest"]:
            (root / name).mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "SECRETS_ROOT": str(root)}
        command = [FOLDER / "make-secrets", kind]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr

    def place(self, path: str, service: dict) -> str:
        """Where a path of a container lies on this machine."""
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            if path == target or path.startswith(target + "/"):
                return str(self._source(source)) + path.removeprefix(target)
            if target.startswith(path + "/"):
                # Above what is mounted: only its name counts.
                return str(self._source("above"))
        raise AssertionError(f"{path} is in no volume of {service['image']}")

    def _source(self, source: str) -> Path:
        if source.startswith("."):
            return (FOLDER / source).resolve()
        if source.endswith("-secret"):
            return self.folder / "secrets" / source.removesuffix("-secret")
        place = self.folder / source
        place.mkdir(exist_ok=True)
        return place

    def environment(self, service: dict) -> dict[str, str]:
        """The settings of a service, with its paths as they are on this machine."""
        said = {key: str(value or "") for key, value in service.get("environment", {}).items()}
        return {key: self._here(value, service) for key, value in said.items()}

    def arguments(self, service: dict) -> list[str]:
        return [self._here(str(value), service) for value in service.get("command", [])]

    def _here(self, value: str, service: dict) -> str:
        return self.place(value, service) if value.startswith("/") else value


def outside() -> dict[str, str]:
    """Our environment without any setting of a service."""
    return {key: value for key, value in os.environ.items() if not key.startswith("MILLRACE_")}
