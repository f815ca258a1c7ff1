"""How much disk the weights of a run need at a time, estimated before it starts."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data.encoders import EncoderSource
from bench.data.identity import encoder_of
from bench.plan.identity import Planned, method_of
from bench.store.artefacts import Artefacts, cache_root


def peak_bytes(missing: Sequence[Planned], hub_sizes: Mapping[str, int]) -> int | None:
    """Bytes of weights kept at a time, at most; None if an encoder's size is not known here yet.

    `hub_sizes`: by id the bytes that are downloaded of a repository, which stand for an encoder that is not here.

    The trainings of one encoder, seed and target are kept together, each with a snapshot a selection rule.
    """
    groups: Counter[tuple[str, int, str]] = Counter()
    sizes: dict[str, int] = {}
    for planned in missing:
        cell = planned.cell
        if cell.encoder not in sizes:
            size = _size(encoder_of(cell), hub_sizes)
            if size is None:
                return None
            sizes[cell.encoder] = size
        rounds = () if cell.broken else method_of(cell).rounds()
        own = max(1, sum(not isinstance(round_.method, str) for round_ in rounds))  # others' are counted with theirs
        groups[cell.encoder, cell.seed, cell.target] += own * len(cell.train.rules) * sizes[cell.encoder]
    return max(groups.values(), default=0)


def _size(encoder: EncoderSource, hub_sizes: Mapping[str, int]) -> int | None:
    folder = encoder.configured(Artefacts(cache_root()))
    files = list(folder.glob("*.safetensors")) if folder else []
    return sum(_as_float32(file) for file in files) if files else hub_sizes.get(encoder.where)


def _as_float32(file: Path) -> int:
    """Bytes that a safetensors file's weights take as float32, as we keep them; from its header alone."""
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return sum(4 * math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
