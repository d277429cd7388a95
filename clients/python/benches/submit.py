"""What `submit` costs beside confluent-kafka producing the same bytes.

    scripts/with-broker .venv/bin/python clients/python/benches/submit.py [--rounds 6]

Both produce the same records (one row of four FP32, the headers of a request) to the same topic with
the same options; they take short turns, so that other
programs disturb both alike; ratios are taken within a round. Nobody answers, so this is
the price of asking alone: processor time of the whole process, librdkafka's threads included.
"""

import argparse
import io
import os
import pathlib
import resource
import secrets
import statistics
import sys
import time

import fastavro
import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

CLIENT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(CLIENT / "src"))

import millrace  # noqa: E402
from millrace._avro import HEADER  # noqa: E402
from millrace._settings import Settings  # noqa: E402

RECORDS = 10_000
TURNS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    brokers = os.environ["MILLRACE_KAFKA__BROKERS"]
    prefix = f"bench-{secrets.token_hex(8)}"
    admin = AdminClient({"bootstrap.servers": brokers})
    topics = [f"{prefix}.{name}" for name in ("replies", "models", "requests.echo")]
    for created in admin.create_topics([NewTopic(name, 1, 1) for name in topics]).values():
        created.result()
    publish(brokers, prefix)
    try:
        measure(brokers, prefix, arguments.rounds)
    finally:
        for deleted in admin.delete_topics(topics).values():
            deleted.result()


def measure(brokers: str, prefix: str, rounds: int) -> None:
    producer = Producer(Settings(brokers, prefix).producer())
    client = millrace.Client(brokers, prefix=prefix, timeout=600, max_in_flight=10 * RECORDS)
    x = np.array([1, 2, 3, 4], np.float32)
    future = client.submit("echo", x=x)
    record = client._bound["echo"].binder.record({"x": x})[0]
    print(f"{RECORDS} records of {len(record)} bytes a turn, {TURNS} turns of each in a round")
    print("µs of processor time a record")
    print(f"{'round':>5} {'produce':>8} {'submit':>8} {'ratio':>6} {'submits/s':>10}")
    ratios, rates = [], []
    for turn in range(rounds):
        plain = ours = seconds = 0.0
        for _ in range(TURNS):
            plain += cost(lambda: produce(producer, prefix, record), lambda: drain(producer))[0]
            used, took = cost(lambda: submit(client, x), lambda: drain(client._line.producer))
            ours, seconds = ours + used, seconds + took
            client._line.outstanding.fail_all(millrace.Closed("the turn is over"))
            list(client.results())
        records = RECORDS * TURNS
        ratios.append(ours / plain)
        rates.append(records / seconds)
        plain, ours = plain * 1e6 / records, ours * 1e6 / records
        print(f"{turn:>5} {plain:>8.2f} {ours:>8.2f} {ours / plain:>6.2f} {rates[-1]:>10,.0f}")
    low, high = min(ratios), max(ratios)
    print(f"median ratio {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")
    print(f"median rate {statistics.median(rates):,.0f} submits/s of one thread")
    assert future.done()
    client.close(1)


def cost(work, finish) -> tuple[float, float]:
    """Seconds of processor time, with what was queued delivered; and seconds until it was queued."""
    began, cpu = time.perf_counter(), processor_s()
    work()
    seconds = time.perf_counter() - began
    finish()
    return processor_s() - cpu, seconds


def drain(producer: Producer) -> None:
    """Waits until the broker has everything; `flush` spins where the broker is slow."""
    while len(producer):
        producer.poll(0.05)


def produce(producer: Producer, prefix: str, record: bytes) -> None:
    topic, reply_to = f"{prefix}.requests.echo", ("mr-reply-to", f"{prefix}.replies/0")
    start = secrets.token_hex(16)
    for i in range(RECORDS):
        headers = [("mr-id", f"{start}{i:08x}"), reply_to, ("mr-deadline", "1767225600000")]
        producer.produce(topic, record, headers=headers, on_delivery=reported)
        if i % 256 == 0:
            producer.poll(0)


def reported(error, message) -> None:
    assert error is None, error


def submit(client: millrace.Client, x: np.ndarray) -> None:
    for _ in range(RECORDS):
        client.submit("echo", x=x)


def processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def publish(brokers: str, prefix: str) -> None:
    """Says that somebody serves `echo` for the next hour."""
    tensor = {"dtype": "FP32", "shape": [-1, 4]}
    descriptor = {
        "model": "echo",
        "version": 1,
        "replica": "bench",
        "state": "AVAILABLE",
        "reason": "",
        "labels": [],
        "engine": "none",
        "weights_sha256": "",
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
        "max_batch_rows": 1,
        "control_offset": -1,
        "canary_percent": 0,
        "delivery": "at_least_once",
        "lanes": ["interactive"],
        "backlog_records": 0,
        "lease_until_unix_ms": int(time.time() * 1000) + 3_600_000,
    }
    schema = fastavro.schema.load_schema(CLIENT.parents[1] / "schemas/model_descriptor.avsc")
    datum = io.BytesIO()
    fastavro.schemaless_writer(datum, schema, descriptor)
    producer = Producer({"bootstrap.servers": brokers})
    producer.produce(f"{prefix}.models", HEADER + datum.getvalue(), key="echo/1/bench")
    assert producer.flush(30) == 0


if __name__ == "__main__":
    main()
