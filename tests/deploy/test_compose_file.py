"""What deploy/compose promises, as far as it can be seen without a Docker engine."""

import re
import subprocess

import pytest

from composition import FILE, FOLDER, ROOT, VARIABLE, VARIANTS, Volumes, binary, image_name
from composition import load, outside, program, services, variables

ALL = services()
LONG = {name: it for name, it in ALL.items() if it["restart"] != "no"}
OURS = [
    (variant, name)
    for variant in VARIANTS
    for name, service in services(variant).items()
    if program(service) not in (None, "millrace")
]


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    return Volumes(tmp_path_factory.mktemp("volumes"))


@pytest.mark.parametrize(("variant", "name"), OURS, ids=lambda it: it or "plain")
def test_every_setting_is_one_that_the_service_takes(variant, name, volumes):
    service = services(variant)[name]
    environment = {**outside(), **volumes.environment(service)}
    arguments = volumes.arguments(service)
    if program(service) == "millrace-sink":
        arguments[1] = sink_settings(arguments[1], volumes, service)
    command = [binary(program(service)), *arguments, "--check-config"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "the settings are valid" in answer.stdout


def sink_settings(file, volumes, service):
    """The same file with the paths of this machine."""
    text = (FOLDER / "sink.toml").read_text()
    for path in ["/run/secrets/sink/url", "/data/digits"]:
        assert path in text
        text = text.replace(path, volumes.place(path, service))
    copy = volumes.folder / "sink.toml"
    copy.write_text(text)
    return str(copy)


@pytest.mark.parametrize("name", ALL)
def test_nobody_is_root_and_nothing_can_be_written_but_volumes(name):
    service = ALL[name]
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), "a numeric user that is not root"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service


@pytest.mark.parametrize("name", LONG)
def test_whatever_stays_is_limited_watched_and_started_again(name):
    service = LONG[name]
    limits = service["deploy"]["resources"]["limits"]
    assert limits["memory"]
    assert limits["pids"]
    assert service["restart"] == "unless-stopped"
    # Jaeger's image has nothing that could look.
    assert name == "jaeger" or service["healthcheck"]["test"][0] == "CMD"


def test_dependencies_are_waited_for_by_condition():
    for name, service in ALL.items():
        for other, how in service.get("depends_on", {}).items():
            once = ALL[other]["restart"] == "no"
            wanted = "service_completed_successfully" if once else "service_healthy"
            assert how["condition"] == wanted, f"{name} on {other}"
            # A service of another profile is not there for all.
            foreign = set(ALL[other].get("profiles", [])) - set(service.get("profiles", []))
            assert not foreign or how["required"] is False, f"{name} on {other}"


def test_infer_can_be_scaled():
    infer = ALL["infer"]
    assert "container_name" not in infer
    assert "ports" not in infer
    assert "MILLRACE_REPLICA" not in infer["environment"]
    assert "MILLRACE_CONSUMER__INSTANCE_ID" not in infer["environment"]


def test_ports_are_those_of_this_machine_alone():
    ports = [port for service in ALL.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", ALL)
def test_images_are_built_here_or_pinned(name):
    service = ALL[name]
    if "build" in service:
        dockerfile = (FOLDER / "Dockerfile").read_text()
        assert f" AS {service['build']['target']}\n" in dockerfile
        assert (FOLDER / service["build"]["context"]).resolve() == ROOT
    else:
        assert re.fullmatch(r"[a-z/]+:[\w.-]+@sha256:[0-9a-f]{64}", service["image"])


def test_kafka_is_the_version_that_the_tests_run_on():
    version = subprocess.run([ROOT / "scripts/kafka/version"], capture_output=True, text=True)
    assert image_name(ALL["kafka"]) == "apache/kafka"
    assert f":{version.stdout.strip()}@" in ALL["kafka"]["image"]


def test_files_that_are_mounted_exist_and_are_read_only():
    for name, service in ALL.items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                assert (FOLDER / source).exists(), f"{name}: {source}"
                assert mode == ["ro"], f"{name}: {target}"
            if source.endswith("-secret") and image_name(service) != "millrace-secrets":
                assert mode == ["ro"], f"{name}: {target}"


def test_volumes_are_those_that_are_used():
    used = {volume.split(":")[0] for service in ALL.values() for volume in service.get("volumes", [])}
    assert {name for name in used if not name.startswith(".")} == set(load()["volumes"])


def test_passwords_stand_in_no_variable():
    for name, service in ALL.items():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key:
                assert not value or str(value).startswith("/run/secrets/"), f"{name}: {key}"


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_files_of_variables_name_what_the_compose_file_asks_for(variant):
    asked = {match["name"] for match in VARIABLE.finditer(FILE.read_text())}
    said = variables(variant)
    profile = said.pop("COMPOSE_PROFILES")
    assert set(said) <= asked
    assert profile in {name for service in ALL.values() for name in service.get("profiles", [])}


def test_every_variable_has_a_default():
    text = re.sub(r"(?m)^\s*#.*$", "", FILE.read_text())
    assert text.count("${") == len(VARIABLE.findall(text))


def test_the_profiles_are_those_that_are_promised():
    profiles = {name for service in ALL.values() for name in service.get("profiles", [])}
    assert profiles == {"openvino", "torch", "gpu", "tracing", "cluster", "secure"}
