"""What the Dockerfile promises, as far as it can be seen without building it."""

import re

import pytest

from composition import FOLDER

TEXT = (FOLDER / "Dockerfile").read_text()
STAGES = re.findall(r"(?m)^FROM (\S+) AS (\S+)$", TEXT)
PARENTS = {name: parent for parent, name in STAGES}
TARGETS = ["ingest", "infer", "infer-torch", "infer-cuda", "sink", "cli"]


def ancestry(name):
    """A stage and those that it is made on."""
    while name in PARENTS:
        yield name
        name = PARENTS[name]


def body(name):
    return re.search(rf"(?ms)^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", TEXT)[1]


@pytest.mark.parametrize("target", TARGETS)
def test_every_image_begins_empty_and_runs_as_nobody(target):
    stages = list(ancestry(target))
    assert PARENTS[stages[-1]] == "scratch"
    users = [user for stage in stages for user in re.findall(r"(?m)^USER (\S+)$", body(stage))]
    assert users == ["10001:10001"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_image_says_what_it_is(target):
    labels = "".join(body(stage) for stage in ancestry(target))
    for label in ["title", "description", "version", "revision", "licenses"]:
        assert f"org.opencontainers.image.{label}=" in labels


def test_bases_are_pinned_by_digest():
    bases = re.findall(r"(?m)^ARG \w+_IMAGE=(\S+)$", TEXT)
    assert len(bases) == 2
    assert all(re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", base) for base in bases)
    named = {parent for parent in PARENTS.values() if parent not in PARENTS}
    assert named == {"${RUST_IMAGE}", "${DEBIAN_IMAGE}", "${PROGRAMS}", "${PROGRAMS_TORCH}", "scratch"}


def test_the_classic_builder_can_build_it():
    assert "# syntax" not in TEXT
    assert "--mount" not in TEXT
    assert "<<" not in TEXT


def test_what_is_installed_from_registries_has_a_version():
    for line in re.findall(r"cargo install [^\n&]+", TEXT):
        assert "--locked" in line
        assert re.search(r"--version \d+\.\d+\.\d+ ", line)
