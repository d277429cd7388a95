"""pyarrow's streams over HTTP, and the requests that README.md shows."""

import json
import urllib.request

import numpy as np
import pyarrow as pa
import pytest

from line import ROOT


def test_the_request_that_the_readme_shows_is_answered(line):
    body = (ROOT / "models/digits/infer.json").read_bytes()
    with urllib.request.urlopen(f"{line.url}/v2/models/digits/infer", body, timeout=60) as answer:
        outputs = {output["name"]: output["data"] for output in json.load(answer)["outputs"]}
    held_out = json.loads((ROOT / "models/digits/held_out.json").read_text())
    assert outputs["label"] == held_out["labels"][:1]


@pytest.mark.parametrize("path", ["/v1/models/digits:predict", "/v2/models/digits/infer"])
def test_arrow_that_pyarrow_wrote_is_answered_with_arrow_that_it_reads(line, path):
    images = np.array(json.loads((ROOT / "models/digits/held_out.json").read_text())["images"][:20], np.float32)
    batch = pa.record_batch({"image": pa.FixedShapeTensorArray.from_numpy_ndarray(images)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
    request = urllib.request.Request(line.url + path, sink.getvalue().to_pybytes(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        table = pa.ipc.open_stream(answer.read()).read_all()
    scores = table["scores"].combine_chunks().to_numpy_ndarray()
    assert scores.shape == (20, 10)
    assert (scores.argmax(axis=1) == table["label"].to_numpy()).all()
