"""How long the features of a FlatGeobuf are, read from the lengths that stand before them.

Format: https://github.com/flatgeobuf/flatgeobuf (magic bytes, header, index of a packed R-tree, features).
"""

from __future__ import annotations

import struct
from pathlib import Path

_MAGIC_BYTES = 8
_MOST_HEADER_BYTES = 10 << 20
"""GDAL reads no header that is longer."""
_LENGTH = struct.Struct("<I")
_FEATURES_COUNT, _INDEX_NODE_SIZE = 8, 9
"""Fields of the header, by their place in its schema."""
_NODE_BYTES = 40
_INDEX_NODE_SIZE_DEFAULT = 16


def longest_feature(path: Path) -> tuple[int, int]:
    """The row whose feature is longest, and its bytes; row 1 with 0 bytes where the file is cut off before any."""
    longest = (1, 0)
    with path.open("rb") as file:
        file.seek(_MAGIC_BYTES)
        header = file.read(min(_length(file.read(_LENGTH.size)), _MOST_HEADER_BYTES))
        file.seek(_index_bytes(header), 1)
        row = 0
        while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
            row += 1
            size = _length(head)
            if size > longest[1]:
                longest = row, size
            file.seek(size, 1)
    return longest


def _index_bytes(header: bytes) -> int:
    features = _number(header, _FEATURES_COUNT, "<Q", 0)
    node_size = _number(header, _INDEX_NODE_SIZE, "<H", _INDEX_NODE_SIZE_DEFAULT)
    if not features or node_size < 2:
        return 0
    nodes = level = features
    while level > 1:
        level = -(-level // node_size)
        nodes += level
    # a tree of one feature has a root all the same
    return (nodes + (features == 1)) * _NODE_BYTES


def _number(table: bytes, field: int, form: str, default: int) -> int:
    """A number of a flatbuffer's root table, by the table of offsets that lies before it."""
    try:
        (root,) = _LENGTH.unpack_from(table)
        (back,) = struct.unpack_from("<i", table, root)
        fields = root - back
        (known,) = struct.unpack_from("<H", table, fields)
        at = 4 + 2 * field
        if at + 2 > known:
            return default
        (offset,) = struct.unpack_from("<H", table, fields + at)
        return int(struct.unpack_from(form, table, root + offset)[0]) if offset else default
    except struct.error:
        return default


def _length(head: bytes) -> int:
    return int.from_bytes(head, "little")
