"""The stages of the core with their declared versions, and which modules belong to each.

A key holds the versions of the stages that made its content, never their code. Raise a stage's version where the same
input gives another output; `stages.lock` and its test see to it that nobody forgets (`python -m tests.relock`).
"""

from __future__ import annotations

from collections.abc import Mapping

VERSIONS: Mapping[str, int] = {
    "corpus": 1,  # subsets, dev samples, tests
    "encoder": 1,  # the stored encoder
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

# The modules and rooms of `bench` by the stages that they belong to; of several that match a module, the longest. Rooms
# that are not here decide no number.
_MODULES: Mapping[tuple[str, ...], str] = {
    ("corpus",): "core api.source_files data",
    (): ("core.errors core.files core.memo api.hub data.aligning data.identity data.sources data.translating"),
    ("embed", "fit", "predict"): "core.subwords data.loading",
    ("corpus", "translate"): "core.tokenise",
    ("fit", "predict"): "api train.batches train.encoder train.tagger",
    ("project", "predict"): "api.candidates",
    ("transfer", "project"): "api.projection",
    ("corpus", "links"): "api.recipes",
    ("corpus", "fit"): "plan.keys",  # seed streams
    ("corpus", "cell"): "data.cell_data",
    ("embed",): "data.embed",
    ("encoder",): "data.encoders",
    ("links",): "data.labels",
    ("project",): "data.projected",
    ("translate", "transfer"): "data.translated",
    ("score",): "measure.score",
    ("fit",): "train",
    ("cell",): "train.ask train.diagnostics run.cell",
    ("predict",): "train.predict",
    ("cell", "fit"): "train.training",
}
MODULES = {f"bench.{name}": stages for stages, names in _MODULES.items() for name in names.split()}


def stages_of(module: str) -> tuple[str, ...]:
    """The stages that a module of the core belongs to, () where it decides no number."""
    while module and module not in MODULES:
        module = module.rpartition(".")[0]
    return MODULES.get(module, ())
