"""Reads the one Avro message that a client needs: what an infer process serves.

`schemas/model_descriptor.avsc` is the schema. It is small and fixed, and its fingerprint stands in
every message, so it is read here field by field and no Avro library is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from millrace._signature import TensorSpec

# Marker of a single object, CRC-64-AVRO of the schema in its canonical form.
HEADER = b"\xc3\x01" + bytes.fromhex("bf70a45414910ced")
_STATES = ("LOADING", "AVAILABLE", "UNLOADING", "END", "FAILED")
_MOST_ITEMS = 1 << 16


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What one infer process says of one version of a model; times are Unix milliseconds."""

    model: str
    version: int
    replica: str
    state: str
    reason: str
    labels: tuple[str, ...]
    engine: str
    weights_sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_rows: int
    control_offset: int
    canary_percent: int
    delivery: str
    lanes: tuple[str, ...]
    backlog_records: int
    lease_until_unix_ms: int


def decode_descriptor(message: bytes) -> Descriptor:
    """Reads one message of the models topic.

    Raises:
        ValueError: Not such a message, or of another schema.
    """
    if not message.startswith(HEADER):
        raise ValueError("not a model descriptor of the schema that this client knows")
    reader = _Reader(message, len(HEADER))
    descriptor = Descriptor(
        model=reader.text(),
        version=reader.long(),
        replica=reader.text(),
        state=reader.state(),
        reason=reader.text(),
        labels=tuple(reader.texts()),
        engine=reader.text(),
        weights_sha256=reader.text(),
        inputs=tuple(reader.tensors()),
        outputs=tuple(reader.tensors()),
        max_batch_rows=reader.long(),
        control_offset=reader.long(),
        canary_percent=reader.long(),
        delivery=reader.text(),
        lanes=tuple(reader.texts()),
        backlog_records=reader.long(),
        lease_until_unix_ms=reader.long(),
    )
    reader.expect_end()
    return descriptor


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def long(self) -> int:
        """A zigzag number of at most 64 bits."""
        value = shift = 0
        while shift < 70:
            if self._at >= len(self._data):
                raise ValueError("the message ends within a number")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
        raise ValueError("a number has more than 64 bits")

    def text(self) -> str:
        length = self.long()
        end = self._at + length
        if length < 0 or end > len(self._data):
            raise ValueError("a text ends outside the message")
        text = self._data[self._at : end].decode()
        self._at = end
        return text

    def state(self) -> str:
        index = self.long()
        if not 0 <= index < len(_STATES):
            raise ValueError(f"there is no state {index}")
        return _STATES[index]

    def texts(self) -> list[str]:
        return [self.text() for _ in self._items()]

    def tensors(self) -> list[TensorSpec]:
        tensors = []
        for _ in self._items():
            name, dtype = self.text(), self.text()
            shape = tuple([self.long() for _ in self._items()])
            tensors.append(TensorSpec(name, dtype, shape))
        return tensors

    def expect_end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("the message has bytes after its end")

    def _items(self) -> Iterator[int]:
        """One turn per item of an array, which comes in blocks."""
        while count := self.long():
            if count < 0:  # its absolute value, then the bytes of the block
                count = -count
                self.long()
            if count > _MOST_ITEMS:
                raise ValueError(f"an array has {count} items")
            yield from range(count)
