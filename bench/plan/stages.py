"""The stages of the core with their declared versions, and which modules belong to each.

A key holds the versions of the stages that made its content, never their code. Raise a stage's version where the same
input gives another output; `stages.lock` and its test see to it that nobody forgets (`python -m tests.relock`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

VERSIONS: Mapping[str, int] = MappingProxyType(
    {
        "corpus": 1,  # subsets, dev samples, tests
        "encoder": 1,  # what is kept of an encoder
        "translate": 1,
        "transfer": 1,  # translations with marks that carry labels
        "embed": 1,  # sub-word vectors for aligners
        "links": 1,
        "project": 1,  # matchers and filters applied
        "fit": 1,
        "predict": 1,
        "score": 1,
        "cell": 1,  # how the stages follow each other; the leakage guard
    }
)

# By module or room the stages that it belongs to; of several that match, the longest. Rooms that are not here decide
# no number.
MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bench.core": ("corpus",),
        "bench.core.errors": (),
        "bench.core.files": (),
        "bench.core.memo": (),
        "bench.core.subwords": ("embed", "fit", "predict"),
        "bench.core.tokenise": ("corpus", "translate"),
        "bench.api": ("fit", "predict"),
        "bench.api.candidates": ("project", "predict"),
        "bench.api.held_out": ("corpus",),
        "bench.api.hub": (),
        "bench.api.projection": ("transfer", "project"),
        "bench.api.recipes": ("corpus", "links"),
        "bench.api.source_files": ("corpus",),
        "bench.plan.keys": ("corpus", "fit"),  # seed streams
        "bench.data": ("corpus",),
        "bench.data.aligning": (),
        "bench.data.cell_data": ("corpus", "cell"),
        "bench.data.embed": ("embed",),
        "bench.data.encoders": ("encoder",),
        "bench.data.identity": (),
        "bench.data.labels": ("links",),
        "bench.data.loading": ("embed", "fit", "predict"),
        "bench.data.project_stream": (),
        "bench.data.projected": ("project",),
        "bench.data.sources": (),
        "bench.data.translated": ("translate", "transfer"),
        "bench.data.translating": (),
        "bench.measure.score": ("score",),
        "bench.train": ("fit",),
        "bench.train.ask": ("cell",),
        "bench.train.batches": ("fit", "predict"),
        "bench.train.diagnostics": ("cell",),
        "bench.train.encoder": ("fit", "predict"),
        "bench.train.predict": ("predict",),
        "bench.train.tagger": ("fit", "predict"),
        "bench.train.training": ("cell", "fit"),
        "bench.run.cell": ("cell",),
    }
)


def stages_of(module: str) -> tuple[str, ...]:
    """The stages that a module of the core belongs to, () where it decides no number."""
    name = module
    while name:
        if name in MODULES:
            return MODULES[name]
        name = name.rpartition(".")[0]
    return ()
