"""Just enough of FlatBuffers to read the messages of Arrow, and to write one kind of them.

Offsets are checked as they are followed: the bytes come from a topic that anybody may write to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

_U16 = struct.Struct("<H")
_I32 = struct.Struct("<i")
_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")


class Table:
    """A table of a flatbuffer; fields are numbered in the order of their schema.

    Raises:
        struct.error, ValueError: The bytes are no such table.
    """

    __slots__ = ("_at", "_data", "_vtable", "_vtable_size")

    def __init__(self, data: bytes, at: int) -> None:
        vtable = at - _I32.unpack_from(data, at)[0]
        if not 0 <= vtable < len(data):
            raise ValueError("a table points outside its message")
        self._data, self._at, self._vtable = data, at, vtable
        self._vtable_size = _U16.unpack_from(data, vtable)[0]

    @classmethod
    def root(cls, data: bytes) -> Table:
        """The outermost table."""
        return cls(data, _U32.unpack_from(data, 0)[0])

    def number(self, field: int, layout: struct.Struct, default: int = 0) -> int:
        """A scalar field."""
        at = self._field(field)
        return int(layout.unpack_from(self._data, at)[0]) if at else default

    def u8(self, field: int) -> int:
        """An unsigned byte, a boolean, or the kind of a union."""
        at = self._field(field)
        return self._data[at] if at else 0

    def i16(self, field: int) -> int:
        """A short integer."""
        return self.number(field, struct.Struct("<h"))

    def i32(self, field: int) -> int:
        """An integer."""
        return self.number(field, _I32)

    def i64(self, field: int) -> int:
        """A long integer."""
        return self.number(field, _I64)

    def has(self, field: int) -> bool:
        """Whether the field was written."""
        return self._field(field) != 0

    def table(self, field: int) -> Table | None:
        """A table, or the value of a union."""
        at = self._reference(field)
        return Table(self._data, at) if at else None

    def text(self, field: int) -> str:
        """A string; empty if absent."""
        at = self._reference(field)
        if not at:
            return ""
        length = _U32.unpack_from(self._data, at)[0]
        raw = self._data[at + 4 : at + 4 + length]
        if len(raw) != length:
            raise ValueError("a string ends outside its message")
        return raw.decode()

    def tables(self, field: int) -> Iterator[Table]:
        """A vector of tables."""
        at, count = self._vector(field, 4)
        for item in range(at, at + 4 * count, 4):
            yield Table(self._data, item + _U32.unpack_from(self._data, item)[0])

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A vector of structs of two long integers."""
        at, count = self._vector(field, 16)
        return [struct.unpack_from("<qq", self._data, at + 16 * index) for index in range(count)]

    def _field(self, field: int) -> int:
        slot = 4 + 2 * field
        if slot + 2 > self._vtable_size:
            return 0
        offset: int = _U16.unpack_from(self._data, self._vtable + slot)[0]
        return self._at + offset if offset else 0

    def _reference(self, field: int) -> int:
        at = self._field(field)
        return at + int(_U32.unpack_from(self._data, at)[0]) if at else 0

    def _vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        at = self._reference(field)
        if not at:
            return 0, 0
        count: int = _U32.unpack_from(self._data, at)[0]
        if at + 4 + count * item_bytes > len(self._data):
            raise ValueError("a vector ends outside its message")
        return at + 4, count


def record_batch(
    rows: int, nodes: Sequence[int], buffers: Sequence[tuple[int, int]], body_bytes: int
) -> bytes:
    """The message of a record batch without nulls, padded so that its body may follow.

    Args:
        rows: Rows of the batch.
        nodes: The length of each field, nested ones included.
        buffers: Offset and length of each buffer in the body.
        body_bytes: Length of the body.
    """
    metadata = struct.pack(
        _BATCH_HEAD,
        16,  # the root: Message
        *(12, 20, 16, 18, 4, 8),  # its vtable: version, header_type, header, bodyLength
        *(12, 48 - 20, body_bytes, _VERSION_5, _RECORD_BATCH),
        *(10, 20, 8, 4, 16),  # the vtable of RecordBatch: length, nodes, buffers
        *(12, 68 - 52, rows, 72 + 16 * len(nodes) + 4 - 64, len(nodes)),
    )
    flat_nodes = [part for node in nodes for part in (node, 0)]
    flat_buffers = [part for buffer in buffers for part in buffer]
    metadata += struct.pack(f"<{len(flat_nodes)}qxxxxI", *flat_nodes, len(buffers))
    metadata += struct.pack(f"<{len(flat_buffers)}q", *flat_buffers)
    return struct.pack("<Ii", 0xFFFFFFFF, len(metadata)) + metadata


_VERSION_5 = 4
_RECORD_BATCH = 3
# The vtable of Message stands at byte 4 and the table at 16; those of RecordBatch at 36 and 48.
_BATCH_HEAD = "<I 6H iIqhBx 5Hxx iIqII"
