"""Ranges of linked target words: what the span rules choose from."""

from __future__ import annotations

from collections.abc import Sequence

Range = tuple[int, int]  # first word, and the word after the last


def ranges(linked: Sequence[int], gap: int = 0) -> list[Range]:
    """The runs of consecutive words in `linked` (sorted), those at most `gap` unlinked words apart as one; in order."""
    found: list[Range] = []
    for word in linked:
        if found and word - found[-1][1] <= gap:
            found[-1] = (found[-1][0], word + 1)
        else:
            found.append((word, word + 1))
    return found


def longest(found: Sequence[Range]) -> Range:
    """The range of the most words, the first of those."""
    return max(found, key=lambda one: one[1] - one[0])
