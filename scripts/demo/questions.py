"""Asks the models: digit images over HTTP and as Arrow records, and the nine inputs of Cluster Serving's example."""

import json
import time
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow as pa
from confluent_kafka import Consumer, Producer
from line import DemoError

MODELS = Path(__file__).resolve().parents[2] / "models"
HELD_OUT = json.loads((MODELS / "digits/held_out.json").read_text())
HTTP_IMAGES = 8
ARROW_IMAGES = 8
IMAGES = HTTP_IMAGES + ARROW_IMAGES
DEADLINE_S = 30
SHADES = " .:-=+*#%@"


def over_http(http: str) -> int:
    """Sends images one by one to /v1/models/digits:predict; how many answers are right."""
    print("\nDigits over HTTP (images that the model never saw)\n")
    show_images(range(4))
    right = 0
    for index in range(HTTP_IMAGES):
        body = {"instances": [{"image": HELD_OUT["images"][index]}]}
        started = time.monotonic()
        answer = post(f"{http}/v1/models/digits:predict", body)
        took_ms = (time.monotonic() - started) * 1000
        [prediction] = answer["predictions"]
        note = f"p = {max(prediction['scores']):.3f}, {took_ms:.1f} ms"
        right += show_answer(index, prediction["label"], note)
    return right


def as_arrow_records(brokers: str) -> int:
    """Produces images as one Arrow record each and consumes the results; how many answers are right."""
    print("\nDigits as Arrow records, straight to Kafka\n")
    indexes = range(HTTP_IMAGES, IMAGES)
    run = f"demo-{time.time_ns()}"  # a broker that ran before us may hold older answers
    producer = Producer({"bootstrap.servers": brokers})
    for index in indexes:
        image = np.array([HELD_OUT["images"][index]], dtype=np.float32)
        value = encode({"image": pa.FixedShapeTensorArray.from_numpy_ndarray(image)})
        producer.produce("millrace.requests.digits", value, headers={"mr-id": f"{run}-{index}"})
    producer.flush(DEADLINE_S)
    right = 0
    answers = read_results(brokers, "millrace.results.digits", {f"{run}-{index}" for index in indexes})
    for index in indexes:
        source, batch = answers[f"{run}-{index}"]
        label = batch.column("label")[0].as_py()
        right += show_answer(index, label, f"from {source}")
    return right


def nine_inputs(http: str) -> None:
    """Sends the request of the Cluster Serving slides to /predict."""
    print("\nCluster Serving's own example: nine inputs, two instances, POST /predict\n")
    example = json.loads((MODELS / "everything/example.json").read_text())
    predictions = post(f"{http}/predict", example)["predictions"]
    if len(predictions) != 2:
        raise DemoError(f"two instances were asked about, {len(predictions)} answered")
    for number, prediction in enumerate(predictions):
        print(f"  prediction {number}")
        for name in ["intScalar_plus_one", "floatScalar_doubled", "stringScalar_same", "intTensor_sum"]:
            print(f"    {name:<22}{shorten(prediction[name])}")
        print(f"    … and {len(prediction) - 4} more outputs")


def show_images(indexes: range) -> None:
    for row in range(8):
        line = ["".join(2 * SHADES[pixel * 9 // 16] for pixel in HELD_OUT["images"][i][row]) for i in indexes]
        print("  " + "  ".join(line))
    print()


def show_answer(index: int, label: int, note: str) -> bool:
    truth = HELD_OUT["labels"][index]
    verdict = "right" if label == truth else "wrong"
    print(f"  image {index:>2}  answer {label}  truth {truth}  {verdict}  {note}")
    return label == truth


def post(url: str, body: object) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return json.load(answer)
    except OSError as error:
        detail = error.read().decode() if hasattr(error, "read") else ""
        raise DemoError(f"{url}: {error} {detail}") from error


def encode(columns: dict[str, pa.Array]) -> bytes:
    """One Arrow IPC stream with one record batch: the value of a request record."""
    batch = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def read_results(brokers: str, topic: str, ids: set[str]) -> dict[str, tuple[str, pa.RecordBatch]]:
    settings = {"bootstrap.servers": brokers, "group.id": f"demo-{time.time_ns()}", "auto.offset.reset": "earliest"}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    answers = {}
    deadline = time.monotonic() + DEADLINE_S
    while ids - answers.keys():
        if time.monotonic() > deadline:
            raise DemoError(f"no answers to {sorted(ids - answers.keys())} within {DEADLINE_S} s")
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        headers = {name: value.decode() for name, value in message.headers()}
        if headers["mr-id"] in ids:
            if headers["mr-status"] != "OK":
                raise DemoError(f"{headers['mr-id']}: {headers['mr-error']}")
            [batch] = pa.ipc.open_stream(message.value())
            answers[headers["mr-id"]] = (headers["mr-source"], batch)
    consumer.close()
    return answers


def shorten(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 48 else f"{text[:47]}…"
