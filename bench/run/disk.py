"""How much disk the weights of a run need at a time, estimated before it starts."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.plan.identity import Planned, encoder_of
from bench.store.artefacts import Artefacts, cache_root


def peak_bytes(missing: Sequence[Planned]) -> int | None:
    """Bytes of weights kept at a time, at most; None if an encoder's size is not known here yet.

    The trainings of one encoder, seed and target are kept together, each with a snapshot a selection rule.
    """
    groups: Counter[tuple[str, int, str]] = Counter()
    sizes: dict[str, int] = {}
    for one in missing:
        cell = one.cell
        if cell.encoder not in sizes:
            size = _size(encoder_of(cell).where, encoder_of(cell).key)
            if size is None:
                return None
            sizes[cell.encoder] = size
        rounds = 2 if cell.params.get("distil") else 1
        groups[cell.encoder, cell.seed, cell.target] += rounds * len(cell.train.rules) * sizes[cell.encoder]
    return max(groups.values(), default=0)


def _size(where: str, key: str) -> int | None:
    folder = Path(where) if where and Path(where).is_dir() else Artefacts(cache_root()).folder("encoder", key)
    files = list(folder.glob("*.safetensors"))
    return sum(_as_float32(file) for file in files) if files else None


def _as_float32(file: Path) -> int:
    """Bytes that a safetensors file's weights take as float32, as we keep them; from its header alone."""
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return sum(4 * math.prod(one["shape"]) for name, one in header.items() if name != "__metadata__")
