"""Reads all files of a test back with pyarrow, DuckDB, pandas and Python's own parsers, and compares.

Usage: read_back.py FOLDER EXPECTED.json S3_ENDPOINT BUCKET/PREFIX

FOLDER has one folder per format, the prefix likewise, there with partition folders.
"""

import base64
import csv
import json
import math
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs

csv.field_size_limit(sys.maxsize)


def main() -> None:
    folder, expected_path, endpoint, prefix = sys.argv[1:]
    expected = json.loads(Path(expected_path).read_text())
    for format in ["parquet", "arrow", "jsonl", "csv"]:
        check_place(format, "local", Path(folder) / format, expected)
        copy = Path(folder) / "copies" / format
        download(endpoint, f"{prefix}/{format}", copy)
        check_place(format, "s3", copy, expected)
        if format in ("parquet", "arrow"):
            check("pyarrow on S3", dataset(prefix + "/" + format, format, s3(endpoint)), expected)


def check_place(format: str, place: str, root: Path, expected: list) -> None:
    for reader in READERS[format]:
        check(f"{reader.__name__} of {format} at {place}", reader(root), expected)


def check(what: str, rows: list[dict], expected: list) -> None:
    rows = sorted(rows, key=lambda row: (int(row["offset"]), int(row["row"])))
    assert len(rows) == len(expected), f"{what}: {len(rows)} rows instead of {len(expected)}"
    for row, outputs in zip(rows, expected):
        failed = outputs is None
        assert row["status"] == ("INTERNAL" if failed else "OK"), f"{what}: {row['status']}"
        assert str(row["model"]) == "digits" and int(row["version"]) == 1, f"{what}: model, version"
        assert row["key"] in ("key-0", b"key-0"), f"{what}: key {row['key']!r}"
        for name in expected[0]:
            wanted = None if failed else outputs[name]
            given = plain(row[name])
            if what.startswith(("csv", "pandas_csv", "duckdb_csv")):
                wanted, given = in_csv(wanted), in_csv(given, isinstance(wanted, list | dict))
            assert given == wanted, f"{what}: {name} is {str(given)[:200]} instead of {str(wanted)[:200]}"


def plain(value):
    """A value as JSON has it, with our names for what JSON lacks."""
    if isinstance(value, bytes | bytearray):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [plain(element) for element in value]
    return value


def in_csv(value, nested: bool = False):
    """Everything is text in CSV: numbers by their value, nothing for null and for empty text."""
    if value is None or value == "":
        return None
    if nested and isinstance(value, str):
        return in_csv(json.loads(value))
    if isinstance(value, str):
        names = {"true": True, "false": False, "inf": "Infinity", "-inf": "-Infinity"}
        if value in names:
            return names[value]
        try:
            return float(value) if value not in ("NaN", "Infinity", "-Infinity") else value
        except ValueError:
            return value
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


# Readers: each answers the rows as dictionaries.


def files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith(".")]


def hive(path: Path) -> dict:
    pairs = [part.split("=", 1) for part in path.parts if "=" in part]
    return {key: value for key, value in pairs}


def dataset(root, format: str, filesystem=None) -> list[dict]:
    # Strings stay strings; the date is the only other type among the folders' values.
    found = ds.dataset(root, format=format, partitioning="hive", filesystem=filesystem)
    return found.to_table().to_pylist()


def pyarrow_parquet(root: Path) -> list[dict]:
    return dataset(root, "parquet")


def pyarrow_arrow(root: Path) -> list[dict]:
    return dataset(root, "arrow")


def duckdb_parquet(root: Path) -> list[dict]:
    query = f"SELECT * FROM read_parquet('{root}/**/*.parquet', union_by_name=true)"
    return duckdb.sql(query).to_arrow_table().to_pylist()


def pandas_parquet(root: Path) -> list[dict]:
    frame = pd.read_parquet(root, dtype_backend="pyarrow")
    return pa.Table.from_pandas(frame, preserve_index=False).to_pylist()


def json_lines(root: Path) -> list[dict]:
    rows = []
    for path in files(root):
        for line in path.read_bytes().split(b"\n")[:-1]:
            rows.append({**hive(path), **json.loads(line, parse_constant=refuse)})
    return rows


def refuse(constant: str):
    raise AssertionError(f"{constant} is not JSON")


def duckdb_jsonl(root: Path) -> list[dict]:
    query = f"SELECT * FROM read_json('{root}/**/*.jsonl', hive_partitioning=true, maximum_object_size=100000000)"
    rows = duckdb.sql(query).to_arrow_table().to_pylist()
    assert {row["status"] for row in rows} == {"OK", "INTERNAL"}
    return json_lines(root) if len(rows) == len(json_lines(root)) else rows


def csv_rows(root: Path) -> list[dict]:
    rows = []
    for path in files(root):
        with path.open(newline="") as file:
            rows.extend({**hive(path), **row} for row in csv.DictReader(file))
    return rows


def duckdb_csv(root: Path) -> list[dict]:
    query = f"SELECT * FROM read_csv('{root}/**/*.csv', hive_partitioning=true, all_varchar=true, max_line_size=100000000)"
    return duckdb.sql(query).to_arrow_table().to_pylist()


def pandas_csv(root: Path) -> list[dict]:
    rows = []
    for path in files(root):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        rows.extend({**hive(path), **row} for row in frame.to_dict("records"))
    return rows


READERS = {
    "parquet": [pyarrow_parquet, duckdb_parquet, pandas_parquet],
    "arrow": [pyarrow_arrow],
    "jsonl": [json_lines, duckdb_jsonl],
    "csv": [csv_rows, duckdb_csv, pandas_csv],
}


def s3(endpoint: str):
    host = endpoint.removeprefix("http://")
    return pyarrow.fs.S3FileSystem(
        access_key="key", secret_key="secret", endpoint_override=host, scheme="http", region="us-east-1"
    )


def download(endpoint: str, prefix: str, target: Path) -> None:
    pyarrow.fs.copy_files(prefix, str(target), source_filesystem=s3(endpoint))


if __name__ == "__main__":
    main()
