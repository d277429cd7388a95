"""Shows what sink has written: rows in PostgreSQL or SQLite, files in Parquet."""

import sqlite3
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
from line import DemoError

DEADLINE_S = 30


# The certainty of an answer is an element of an array in PostgreSQL, of JSON text in SQLite.
POSTGRES_QUERY = """SELECT partition, "offset", id, status, label, round(scores[label + 1]::numeric, 3)
FROM results ORDER BY partition, "offset\""""
SQLITE_QUERY = """SELECT partition, offset, id, status, label, round(json_extract(scores, '$[' || label || ']'), 3)
FROM results ORDER BY partition, offset"""


def show(postgres: str, database: Path, parquet: Path, expected: int) -> None:
    where, query = ("PostgreSQL", POSTGRES_QUERY) if postgres else ("SQLite", SQLITE_QUERY)
    print(f"\nThe rows that arrived in {where}\n")
    for line in query.splitlines():
        print(f"  {line}")
    print()
    probe = (lambda: ask_postgres(postgres)) if postgres else (lambda: ask_sqlite(database))
    rows = wait_for(f"rows in {where}", lambda: enough(probe(), expected))
    for partition, offset, identity, status, label, score in rows[-6:]:
        print(f"  partition {partition} offset {offset:<3} {identity[:12]:<13}{status}  label {label}  p = {score}")
    table = f"psql {postgres}" if postgres else database.name
    print(f"  {len(rows)} rows in all: {table}, table results")

    print("\nThe Parquet files\n")
    files = wait_for("Parquet files", lambda: read_files(parquet, expected))
    for file, count in files:
        print(f" {file.name}\n   {count} rows, {file.stat().st_size} bytes")


def enough(rows: list, expected: int) -> list | None:
    return rows if len(rows) >= expected else None


def ask_postgres(url: str) -> list:
    command = ["psql", "-qAt", "-F", "\t", "-c", POSTGRES_QUERY, url]
    answer = subprocess.run(command, capture_output=True, text=True)
    # Before the first row the table, or a column of it, is not there.
    return [line.split("\t") for line in answer.stdout.splitlines()]


def ask_sqlite(database: Path) -> list:
    if not database.exists():
        return []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(SQLITE_QUERY).fetchall()
    except sqlite3.OperationalError:
        return []  # the table, or a column of it, is not there yet
    finally:
        connection.close()


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
