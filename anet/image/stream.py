"""Pieces of memory read as one file, without copying them together, and only for so long."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from anet.image.formats.header import Clock


class Joined(io.RawIOBase):
    """A read-only file over `pieces`; reading raises Refused once the clock has run out.

    A decoder that asks for data piece by piece is thereby stopped in time.
    """

    def __init__(self, pieces: Sequence[bytes | memoryview], clock: Clock) -> None:
        self.pieces = [memoryview(piece) for piece in pieces if len(piece)]
        self.starts = [0, *accumulate(map(len, self.pieces))]
        self.clock, self.at = clock, 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place and give it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.starts[-1]}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self.at = base + offset
        return self.at

    def tell(self) -> int:
        """Give the place."""
        return self.at

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, all for -1."""
        self.clock.check()
        end = self.starts[-1] if size is None or size < 0 else min(self.at + size, self.starts[-1])
        found = []
        while self.at < end:
            i = bisect_right(self.starts, self.at) - 1
            piece = self.pieces[i][self.at - self.starts[i] : end - self.starts[i]]
            found.append(piece)
            self.at += len(piece)
        return b"".join(found)
