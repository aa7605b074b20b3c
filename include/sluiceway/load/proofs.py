"""Which rings of earlier batches were valid, so that rings that come again need no second proof.

Proving takes a fifth of the time of a load of polygons, and the next version of a file holds mostly the same batches.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sluiceway.load.polygons import Rings  # loads shapely, which tables without a geometry do not need

Array = np.ndarray[Any, Any]

_DIGEST_BYTES = 16
_LENGTH = struct.Struct("<I")


@dataclass
class Proofs:
    """The verdicts on batches of rings, by a digest of the batch: 16 bytes and a bit a ring."""

    known: dict[bytes, bytes] = field(default_factory=dict)
    """Of the last load."""
    used: dict[bytes, bytes] = field(default_factory=dict)
    """Of this one."""

    @classmethod
    def of(cls, written: bytes) -> Proofs:
        """What `written` returned; nothing for nothing."""
        data, known, at = zlib.decompress(written) if written else b"", {}, 0
        while at < len(data):
            digest, at = data[at : at + _DIGEST_BYTES], at + _DIGEST_BYTES
            (length,), at = _LENGTH.unpack_from(data, at), at + _LENGTH.size
            known[digest], at = data[at : at + length], at + length
        return cls(known)

    def written(self) -> bytes:
        """The verdicts of this load, for the next one."""
        parts = (part for digest, bits in self.used.items() for part in (digest, _LENGTH.pack(len(bits)), bits))
        return zlib.compress(b"".join(parts)) if self.used else b""

    def good(self, rings: Rings, prove: Callable[[Rings], Array], prover: str) -> Array:
        """Which rings are valid, shape (rings,): by heart, or as `prove` says.

        :param prover: names `prove` and its version; what another one has said does not count.
        """
        digest = _digest(rings, prover)
        if digest not in self.known:
            verdict = prove(rings)
            self.used[digest] = np.packbits(verdict).tobytes()
            return verdict
        self.used[digest] = bits = self.known[digest]
        verdict = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=len(rings.starts) - 1)
        return verdict.astype(bool)


def _digest(rings: Rings, prover: str) -> bytes:
    digest = hashlib.sha256(prover.encode())
    for values in (rings.starts, rings.xy):
        digest.update(_LENGTH.pack(len(values)))
        digest.update(np.ascontiguousarray(values).data)
    return digest.digest()[:_DIGEST_BYTES]
