"""The Avro messages of the golden vectors."""

import pathlib

import fastavro
import pyarrow as pa

HERE = pathlib.Path(__file__).parent


def avro_messages():
    """File -> schema and content as fastavro takes it."""
    descriptor = {
        "model": "ffnn",
        "version": 3,
        "replica": "infer-0",
        "state": "AVAILABLE",
        "reason": "",
        "labels": ["stable", "canary"],
        "engine": "onnx",
        "weights_sha256": "0123456789abcdef" * 4,
        "inputs": [{"name": "input", "dtype": "FP32", "shape": [-1, 784]}],
        "outputs": [{"name": "output", "dtype": "FP32", "shape": [-1, 10]}],
        "max_batch_rows": 512,
        "control_offset": 41,
        "canary_percent": 5,
        "delivery": "exactly_once",
        "lanes": ["interactive", "bulk"],
        "backlog_records": 0,
        "lease_until_unix_ms": 1767225600000,
    }
    failed = descriptor | {
        "version": 2**63 - 1,
        "state": "FAILED",
        "reason": "Mühle: 🌊",
        "labels": [],
        "inputs": [],
        "outputs": [],
        "weights_sha256": "",
        "control_offset": -1,
        "canary_percent": 0,
        "delivery": "",
        "lanes": [],
    }
    letter = {
        "key": b"\x00key",
        "value": bytes(range(256)),
        "headers": [
            {"name": "mr-id", "value": b"7"},
            {"name": "mr-id", "value": None},
            {"name": "", "value": b""},
        ],
        "topic": "millrace.requests.ffnn",
        "partition": 2,
        "offset": 2**40,
        "timestamp_unix_ms": 1767225600000,
        "code": "INVALID_ARGUMENT",
        "reason": "column x has 3 items",
        "stage": "decode",
        "model": "ffnn",
        "attempts": 1,
        "failed_at_unix_ms": 1767225600001,
    }
    bare = letter | {"key": None, "value": None, "headers": [], "timestamp_unix_ms": -1, "model": ""}
    control = {
        "model": "ffnn",
        "labels": {"canary": 2**40, "old": None, "stable": 3},
        "canary": {"label": "canary", "percent": 5},
        "unloaded": False,
        "changed_at_unix_ms": 1767225600000,
        "changed_by": "anna@host",
    }
    unloaded = control | {"labels": {}, "canary": None, "unloaded": True, "changed_by": "Mühle: 🌊"}
    return {
        "control": ("model_control", control),
        "control-unloaded": ("model_control", unloaded),
        "model-available": ("model_descriptor", descriptor),
        "model-failed": ("model_descriptor", failed),
        "dead-letter": ("dead_letter", letter),
        "dead-letter-tombstone": ("dead_letter", bare | {"attempts": 2**31 - 1}),
    }


def single_object(schema_name, message):
    schema = fastavro.schema.load_schema(HERE / f"{schema_name}.avsc")
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    fingerprint = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
    sink = pa.BufferOutputStream()
    sink.write(b"\xc3\x01" + fingerprint)
    fastavro.schemaless_writer(sink, schema, message)
    return sink.getvalue().to_pybytes()
