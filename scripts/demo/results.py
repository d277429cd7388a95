"""Shows what sink has written: rows in SQLite, files in Parquet."""

import json
import sqlite3
import time
from pathlib import Path

import pyarrow.parquet as pq
from line import DemoError

DEADLINE_S = 30


def show(database: Path, parquet: Path, expected: int) -> None:
    print("\nThe rows that arrived in SQLite\n")
    rows = wait_for("rows in SQLite", lambda: read_rows(database, expected))
    for topic_partition, offset, identity, status, outputs in rows[-6:]:
        label = json.loads(outputs)["label"]
        print(f"  partition {topic_partition} offset {offset:<3} {identity[:12]:<13}{status}  label {label}")
    print(f"  {len(rows)} rows in all: {database.name}, table results")

    print("\nThe Parquet files\n")
    files = wait_for("Parquet files", lambda: read_files(parquet, expected))
    for file, count in files:
        print(f" {file.name}\n   {count} rows, {file.stat().st_size} bytes")


def read_rows(database: Path, expected: int) -> list | None:
    if not database.exists():
        return None
    query = (
        "SELECT source_partition, source_offset, id, status, outputs FROM results "
        "ORDER BY source_partition, source_offset"
    )
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return None  # the table is not there yet
    finally:
        connection.close()
    return rows if len(rows) >= expected else None


def read_files(folder: Path, expected: int) -> list[tuple[Path, int]] | None:
    files = [(file, pq.ParquetFile(file).metadata.num_rows) for file in sorted(folder.rglob("*.parquet"))]
    return files if sum(count for _, count in files) >= expected else None


def wait_for(what: str, probe):
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = probe()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise DemoError(f"{what} did not arrive within {DEADLINE_S} s; see sink.log")
        time.sleep(0.1)
