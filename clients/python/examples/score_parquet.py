"""Scores a Parquet file: a column per input of the model in, a column per output added.

    python score_parquet.py IN.parquet OUT.parquet --model affine [--brokers HOST:PORT]

Row groups go through the line in batches, some of them at once, and come out in order. Nothing but
what is on its way is held in memory.
"""

import argparse
from collections import deque

import pyarrow as pa
import pyarrow.parquet as pq

import millrace

ROWS = 512
AT_ONCE = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--model", required=True)
    parser.add_argument("--brokers")
    parser.add_argument("--prefix")
    arguments = parser.parse_args()
    source = pq.ParquetFile(arguments.source)
    # Columns of doubles may become the model's FP32.
    options = {"prefix": arguments.prefix, "casting": "same_kind"}
    with millrace.Client(arguments.brokers, **options) as client:
        names = [spec.name for spec in client.model(arguments.model).inputs]
        waiting: deque[tuple[pa.RecordBatch, millrace.Future]] = deque()
        rows = 0
        with Target(arguments.target) as target:
            for batch in source.iter_batches(ROWS):
                waiting.append((batch, client.submit(arguments.model, batch.select(names))))
                if len(waiting) == AT_ONCE:
                    rows += target.write(*waiting.popleft())
            while waiting:
                rows += target.write(*waiting.popleft())
    print(f"{rows} rows written to {arguments.target}")


class Target:
    """The file that is written; its schema is known with the first answer."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch, future: millrace.Future) -> int:
        for name, values in future.result().items():
            items = values if values.ndim == 1 else list(values.reshape(len(values), -1))
            batch = batch.append_column(name, pa.array(items))
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, batch.schema)
        self._writer.write_batch(batch)
        return batch.num_rows

    def __enter__(self) -> "Target":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


if __name__ == "__main__":
    main()
