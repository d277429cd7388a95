"""Every snippet that is documented, every example and the notebook run, against a real line."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from line import ROOT, brokers

CLIENT = Path(__file__).parents[1]
EXAMPLES = CLIENT / "examples"
PAGES = ["clients/python/README.md", "docs/python.md", "README.md"]


def snippets(page):
    """The Python of a page, as one program."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    if page == "README.md":  # its other snippets are tests/conformance' or parts of programs
        blocks = [block for block in blocks if "millrace" in block.split("\n", 1)[0]]
    return "".join(blocks)


@pytest.mark.parametrize("page", PAGES)
def test_the_snippets_of_a_page_run_as_printed(page, line, environment):
    program = snippets(page)
    assert "import millrace" in program
    exec(compile(program, page, "exec"), {"__name__": "snippet"})


def test_the_docstring_of_the_package_runs(line, environment):
    import millrace

    (program,) = re.findall(r"```python\n(.*?)```", millrace.__doc__, re.S)
    exec(program.replace('"localhost:9092"', repr(brokers())), {})


def test_a_folder_of_images_is_classified(line, tmp_path):
    from PIL import Image

    held_out = json.loads((ROOT / "models/digits/held_out.json").read_text())
    for i, image in enumerate(held_out["images"][:50]):
        Image.fromarray(np.array(image, np.uint8)).save(tmp_path / f"{i:03}.png")
    (tmp_path / "not-an-image.txt").write_text("text")
    shown = run(line, "classify_folder.py", str(tmp_path))
    lines = dict(row.split(": ", 1) for row in shown.splitlines()[:-1])
    right = sum(
        lines[f"{i:03}.png"].startswith(str(label))
        for i, label in enumerate(held_out["labels"][:50])
    )
    assert right >= 48
    assert "no image that can be read" in lines["not-an-image.txt"]
    assert "failed: 1" in shown.splitlines()[-1]


def test_a_parquet_file_is_scored(line, tmp_path):
    x = np.random.default_rng(5).normal(size=(3000, 4))
    table = pa.table({"id": range(3000), "x": pa.FixedSizeListArray.from_arrays(x.ravel(), 4)})
    pq.write_table(table, tmp_path / "in.parquet")
    shown = run(
        line,
        "score_parquet.py",
        str(tmp_path / "in.parquet"),
        str(tmp_path / "out.parquet"),
        "--model",
        "affine",
    )
    assert shown.startswith("3000 rows")
    scored = pq.read_table(tmp_path / "out.parquet")
    assert scored["id"].to_pylist() == list(range(3000))
    y = np.array(scored["y"].to_pylist(), np.float32)
    np.testing.assert_array_equal(y, 2 * x.astype(np.float32) + 1)


def test_a_stream_is_followed(line, kafka):
    ids = [kafka.predict("fails_if", np.zeros(4, np.float32)).id]
    deadline = time.monotonic() + 60
    while True:  # the results topic may be a little behind the reply
        shown = run(line, "follow_stream.py", "fails_if", "--minutes-ago", "5", "--idle", "1")
        if all(id in shown for id in ids):
            break
        assert time.monotonic() < deadline, shown
    assert re.search(r"\d+ results, \d+ failures$", shown.strip())


def test_the_notebook_runs_from_top_to_bottom(line, environment, monkeypatch):
    notebook = json.loads((EXAMPLES / "tour.ipynb").read_text())
    names = {"__name__": "notebook"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)


def run(line, example, *arguments):
    command = [sys.executable, str(EXAMPLES / example), *arguments, "--prefix", line.prefix]
    environment = {**os.environ, "PYTHONPATH": str(CLIENT / "src")}
    answer = subprocess.run(
        [*command, "--brokers", brokers()], capture_output=True, text=True, env=environment
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout
