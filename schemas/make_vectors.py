"""Writes the golden vectors that the tests of every language read.

    .venv/bin/python schemas/make_vectors.py [folder, default schemas/vectors]

`index.json` says what each file holds: rows, and per column its dtype, the shape of each row and the
elements of all rows: little-endian bytes in hexadecimal digits (a boolean is one byte), a list of
texts for STRING, a list of hexadecimal digits for BYTES. `refused` lists records that a decoder must
not take, and why; `claims` headers of values in a store, and what they mean. `rust/` is written by `cargo run -p millrace-wire --example write_vectors`.
"""

import json
import pathlib
import sys

from arrow_vectors import arrow_vectors, record_batch, stream
from avro_vectors import HERE, avro_messages, single_object
from claim_vectors import claim_vectors
from refused_vectors import refused_vectors


def plain(value):
    """Avro content as JSON takes it: bytes as hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def write_all(folder):
    index = {"arrow": [], "refused": [], "avro": [], "claims": claim_vectors()}
    for name, columns in arrow_vectors().items():
        batch = record_batch(columns)
        write(folder / "arrow" / f"{name}.arrows", stream(batch.schema, [batch]))
        contents = [entry for _, _, entry in columns]
        index["arrow"].append({"name": name, "rows": batch.num_rows, "columns": contents})
    for name, (payload, kind, message) in refused_vectors().items():
        write(folder / "refused" / f"{name}.arrows", payload)
        index["refused"].append({"name": name, "kind": kind, "message": message})
    for name, (schema, message) in avro_messages().items():
        write(folder / "avro" / f"{name}.avro", single_object(schema, message))
        index["avro"].append({"name": name, "schema": schema, "content": plain(message)})
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    write(folder / "index.json", text.encode())


def write(path, payload):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)


if __name__ == "__main__":
    write_all(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "vectors")
