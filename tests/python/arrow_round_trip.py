"""Sends the held-out digits as Arrow records and checks the results that come back.

Usage: arrow_round_trip.py BROKERS REQUEST_TOPIC RESULT_TOPIC

Uses nothing of Millrace: what it writes and reads is the contract of the topics.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
from confluent_kafka import Consumer, Producer

MODELS = Path(__file__).parents[2] / "models"
ROWS_A_RECORD = 5
DEADLINE_S = 60


def main(brokers: str, request_topic: str, result_topic: str) -> None:
    held_out = json.loads((MODELS / "digits/held_out.json").read_text())
    images = np.array(held_out["images"], dtype=np.float32)
    session = onnxruntime.InferenceSession(MODELS / "digits/1/model.onnx")
    [expected] = session.run(["scores"], {"image": images})

    producer = Producer({"bootstrap.servers": brokers})
    firsts = range(0, len(images), ROWS_A_RECORD)
    for first in firsts:
        value = encode(images[first : first + ROWS_A_RECORD], first)
        producer.produce(request_topic, value, headers={"mr-id": str(first)})
    producer.flush(DEADLINE_S)

    right = 0
    for first, batch in read_results(brokers, result_topic, len(firsts)).items():
        scores = batch.column("scores").to_numpy_ndarray()
        labels = batch.column("label").to_numpy()
        reference = expected[first : first + ROWS_A_RECORD]
        np.testing.assert_allclose(scores, reference, atol=1e-6)
        np.testing.assert_array_equal(labels, reference.argmax(axis=1))
        right += len(labels)
    assert right == len(images), f"{right} of {len(images)} images were answered"
    print(f"{right} right answers")


def encode(images: np.ndarray, first: int) -> bytes:
    """Every other record as a fixed-shape tensor, the rest as plain nested lists."""
    if (first // ROWS_A_RECORD) % 2:
        column = pa.FixedShapeTensorArray.from_numpy_ndarray(images)
    else:
        column = pa.array(images.tolist(), pa.list_(pa.list_(pa.float32())))
    batch = pa.record_batch({"image": column})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def read_results(brokers: str, topic: str, count: int) -> dict[int, pa.RecordBatch]:
    settings = {
        "bootstrap.servers": brokers,
        "group.id": f"{topic}.reader",
        "auto.offset.reset": "earliest",
    }
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    results: dict[int, pa.RecordBatch] = {}
    deadline = time.monotonic() + DEADLINE_S
    while len(results) < count:
        assert time.monotonic() < deadline, f"{len(results)} of {count} results came"
        message = consumer.poll(1.0)
        if message is None:
            continue
        assert message.error() is None, message.error()
        headers = {name: value.decode() for name, value in message.headers()}
        assert headers["mr-status"] == "OK", headers
        [batch] = pa.ipc.open_stream(message.value())
        results[int(headers["mr-id"])] = batch
    consumer.close()
    return results


if __name__ == "__main__":
    main(*sys.argv[1:])
