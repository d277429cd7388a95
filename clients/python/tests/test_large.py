"""Tensors that are too large for their records, through the store of the line, both ways."""

import os

import line as line_module
import numpy as np
import pytest
from line import Line, brokers

import millrace
from millrace import _claims
from millrace._claims import Claim, ClaimSettings, Store

# 20 MB where the topics take 16; over HTTP what a body may be.
NUMBERS = {"kafka": 5_000_000, "http": 2_400_000}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("claims")


@pytest.fixture(scope="module")
def large_line(store, tmp_path_factory):
    """A line that serves `negate` alone, with a store that all find in the same way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_CLAIMS__URL", str(store))
        patch.setattr(line_module, "MODELS", {"tests/models": ["negate"]})
        with Line(tmp_path_factory.mktemp("large-line")) as line:
            yield line


@pytest.mark.parametrize("transport", ["kafka", "http"])
def test_a_large_tensor_comes_back(large_line, store, transport):
    x = np.arange(NUMBERS[transport], dtype=np.float32).reshape(1, -1)
    target = brokers() if transport == "kafka" else large_line.url
    with millrace.Client(target, prefix=large_line.prefix, timeout=120) as client:
        for _ in range(2):  # the second time by the short way, if there is one
            np.testing.assert_array_equal(client.submit("negate", x=x).result()["y"], -x)
        np.testing.assert_array_equal(client.predict("negate", x=x[:, :3])["y"], -x[:, :3])
    assert sum(path.stat().st_size for path in store.rglob("values/*/*")) >= 2 * x.nbytes


def test_results_in_the_store_are_followed(large_line):
    x = np.full((1, 1_000_000), 7, np.float32)
    with millrace.Client(prefix=large_line.prefix, timeout=120) as client:
        asked = client.predict("negate", x=x)
        results = client.follow("negate", start="beginning", idle=20)
        (result,) = (result for result in results if result.id == asked.id)
        assert result.size_bytes == 0
        np.testing.assert_array_equal(result.prediction()["y"], -x)


def store_in(folder):
    return Store(ClaimSettings(str(folder / "claims"), max_bytes=100))


def test_an_object_is_the_one_that_rust_writes(tmp_path):
    claim = store_in(tmp_path).put(b"value", 1)
    assert (tmp_path / "claims" / claim.path).read_bytes() == b"value"
    assert (tmp_path / "claims/millrace-claims").read_bytes() == _claims._MARKER_TEXT
    assert claim.path.split("/")[0] == "values"
    assert claim.path.endswith(f"/{claim.sha256}")
    assert store_in(tmp_path).get(claim) == b"value"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(_claims, "_MISSING_S", 0.1)
    monkeypatch.setattr(_claims, "_PATIENCE_S", 0.3)


@pytest.mark.usefixtures("impatient")
def test_another_object_is_refused(tmp_path):
    store = store_in(tmp_path)
    claim = store.put(b"value", 1)
    (tmp_path / "secret").write_bytes(b"value")
    os.symlink(tmp_path / "secret", tmp_path / "claims/values/link")
    os.symlink(tmp_path, tmp_path / "claims/values/folder")
    for path in ("values/none", "values/link", "values/folder/secret", "values"):
        with pytest.raises(millrace.BadAnswer):
            store.get(claim._replace(path=path))
    (tmp_path / "claims" / claim.path).write_bytes(b"valuE")
    with pytest.raises(millrace.BadAnswer, match="not what the record says"):
        store.get(claim)
    with pytest.raises(millrace.BadAnswer, match=r"claims\.max_bytes"):
        store.get(Claim("a", 101, "0" * 64))
    with pytest.raises(millrace.InputError, match="more than the store's"):
        store.put(bytes(101), 1)


@pytest.mark.usefixtures("impatient")
def test_a_store_that_is_away_is_no_missing_object(tmp_path):
    store = store_in(tmp_path)
    claim = store.put(b"value", 1)
    (tmp_path / "claims").rename(tmp_path / "away")
    with pytest.raises(millrace.ConnectionFailed, match="cannot be used"):
        store.get(claim)
    with pytest.raises(millrace.ConnectionFailed, match="is it mounted"):
        store.put(b"value", 0.1)
    (tmp_path / "claims").mkdir()  # as where nothing is mounted
    with pytest.raises(millrace.ConnectionFailed, match="is it mounted"):
        store.get(claim)
    with pytest.raises(millrace.ConnectionFailed, match="is it mounted"):
        store.put(b"value", 0.1)
    (tmp_path / "claims").rmdir()
    (tmp_path / "away").rename(tmp_path / "claims")
    assert store.get(claim) == b"value"
