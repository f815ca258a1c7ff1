"""What a process keeps between trainings: one store of bounded size, emptied after a matrix."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from functools import cache
from typing import Any

MOST = 3 * 2**30  # bytes, everything together: pre-trained encoders, states of frozen layers, sub-words, sentences


class Memo:
    """Values by key, at most `most` bytes of them; the least recently used go first.

    A kept value must equal, to the bit, what making it again would give.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most, self.bytes = most, 0
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """The value, None if it is not kept."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value of `size` bytes, unless it is larger than the whole store."""
        self.bytes -= self._kept.pop(key, (None, 0))[1]
        if size > self.most:
            return
        while self.bytes + size > self.most:
            self.bytes -= self._kept.popitem(last=False)[1][1]
        self._kept[key] = (value, size)
        self.bytes += size

    def forget(self, kind: str) -> None:
        """Drop the values whose key begins with `kind`."""
        for key in [key for key in self._kept if isinstance(key, tuple) and key[:1] == (kind,)]:
            self.bytes -= self._kept.pop(key)[1]

    def clear(self) -> None:
        self._kept.clear()
        self.bytes = 0


@cache
def process_memo() -> Memo:
    """The one store of this process."""
    return Memo()
