"""What languages are grouped by: script of the test, family, and whether an encoder was pre-trained on them."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_HERE = Path(__file__).parent
UNKNOWN = "unknown"
_SCRIPTS = {"Cjk": "Han", "Hiragana": "Kana", "Katakana": "Kana"}
ENOUGH = 20_000  # letters that say which script a text is in


def script_of(words: Iterable[str]) -> str:
    """The script of most letters of the first words, after Unicode's names of them; a text says it, not its code:
    Serbian, for one, is written in two."""
    seen: Counter[str] = Counter()
    for word in words:
        seen.update(c for c in word if c.isalpha())
        if seen.total() > ENOUGH:
            break
    scripts: Counter[str] = Counter()
    for letter, count in seen.items():
        first = unicodedata.name(letter, UNKNOWN).split()[0].title()
        scripts[_SCRIPTS.get(first, first)] += count
    return scripts.most_common(1)[0][0] if scripts else UNKNOWN


def family_of(language: str) -> str:
    """Its family, of Indo-European and Afro-Asiatic the branch (families.csv)."""
    return _families().get(language, UNKNOWN)


def pretrained_on(encoder: str, language: str) -> str:
    """'seen' or 'not seen' by the encoder's pre-training (pretraining.csv, which says where its lists are from)."""
    known = _pretraining().get(encoder.rsplit("/", 1)[-1])
    return UNKNOWN if known is None else "seen" if language in known else "not seen"


@lru_cache(maxsize=1)
def _families() -> dict[str, str]:
    return {code: row["family"] for row in _rows("families.csv") for code in row["languages"].split()}


@lru_cache(maxsize=1)
def _pretraining() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for row in _rows("pretraining.csv"):
        same = row["source"].removeprefix("as ")
        found[row["encoder"]] = found.get(same, frozenset()) | set(row["languages"].split())
    return found


def _rows(name: str) -> list[dict[str, str]]:
    with (_HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
