"""The one table model that every renderer reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

CellStatus = Literal["ok", "skipped", "failed", "missing", "no score"]


def half_width(mean: float | None, low: float | None, high: float | None) -> float | None:
    """Half of an interval's width: of the side that a limit (0 or 100 %) does not cut short."""
    return None if mean is None or low is None or high is None else max(high - mean, mean - low)


@dataclass(frozen=True)
class Cell:
    """One number with its interval, or a text in its place. Units are the column's; intervals are absolute."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    text: str = ""  # printed where there is no value
    digits: int = 1
    bold: bool = False  # not distinguishable from the column's best
    oracle: bool = False  # saw target labels: printed with a dagger
    notes: tuple[int, ...] = ()  # footnotes, from 1
    status: CellStatus = "ok"
    seeds: int | None = None
    n: int | None = None  # test sentences

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return half_width(self.value, self.low, self.high)


@dataclass(frozen=True, eq=False)
class Table:
    """A table: `frame` holds Cells only; its first columns, named in `heads`, say what a row is."""

    name: str  # of the files, without ending
    title: str
    heads: tuple[str, ...]
    frame: pd.DataFrame
    columns_are: str = "quantity"  # what the other columns are: language, type, rule, quantity
    notes: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()

    def rows(self) -> Iterator[dict[str, Cell]]:
        """The rows, by column name."""
        for values in self.frame.itertuples(index=False, name=None):
            yield dict(zip(self.frame.columns, values, strict=True))


@dataclass
class Footnotes:
    """Footnotes while a table is built; the same text gets one number."""

    texts: list[str] = field(default_factory=list)

    def add(self, texts: Sequence[str]) -> tuple[int, ...]:
        """The numbers of the texts."""
        for text in texts:
            if text not in self.texts:
                self.texts.append(text)
        return tuple(self.texts.index(text) + 1 for text in texts)


def frame_of(rows: Sequence[dict[str, Cell]], columns: Sequence[str]) -> pd.DataFrame:
    """A frame of Cells with these columns, in this order."""
    return pd.DataFrame([[row[c] for c in columns] for row in rows], columns=list(columns), dtype=object)
