"""The output of `xner encoder-check`: tables by language, or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.report.folder import aligned

if TYPE_CHECKING:
    from bench.encoder_check.check import EncoderFacts, Gap, RetrievalScores
    from bench.encoder_check.run import Scores, Training

ENGLISH = ("en", "europarl-en")


@dataclass
class CheckedEncoder:
    """The results of one encoder; None is a part that was not asked for."""

    label: str
    key: str
    facts: EncoderFacts
    retrieval: RetrievalScores | None = None
    linear: Scores | None = None
    projection: Scores | None = None
    ner: Scores | None = None

    @property
    def gaps(self) -> list[Gap]:
        """The missing measures of all parts."""
        return [gap for part in (self.retrieval, self.linear, self.projection, self.ner) if part for gap in part.gaps]

    @property
    def measured(self) -> bool:
        """Whether there is any score."""
        scored = (self.linear, self.projection, self.ner)
        return bool(self.retrieval and self.retrieval.retrieved) or any(part and part.f1 for part in scored)


def as_json(checked: Sequence[CheckedEncoder], how: Training) -> dict[str, Any]:
    """Everything, fractions from 0 to 1; a part that was not asked for is null."""
    settings = {"freeze": how.freeze, "lr": how.lr, "matcher": "min-max", "seeds": list(how.seeds), "split": how.tests}
    return {"encoders": [_encoder_json(encoder) for encoder in checked], **settings}


def _encoder_json(encoder: CheckedEncoder) -> dict[str, Any]:
    retrieval, ner, means = encoder.retrieval, encoder.ner, _ner(encoder.ner)
    seconds = {"retrieval": retrieval.seconds if retrieval else None, "training": ner.seconds if ner else None}
    return {
        **asdict(encoder.facts),
        "encoder": encoder.label,
        "gaps": [asdict(gap) for gap in encoder.gaps],
        "key": encoder.key,
        "linear": _ner(encoder.linear) if encoder.linear else None,
        "means": {
            "from_en": _mean(_retrieved(encoder, "from_en")),
            "linear_targets": _mean(_targets(encoder.linear)),
            "ner_targets": _mean(_targets(ner)),
            "to_en": _mean(_retrieved(encoder, "to_en")),
        },
        "ner": {column: {"mean": mean, "seeds": ner.f1[column]} for column, mean in means.items()} if ner else None,
        "pieces_per_word": retrieval.pieces_per_word if retrieval else None,
        "projection": encoder.projection.f1 if encoder.projection else None,
        "retrieval": {k: asdict(v) for k, v in retrieval.retrieved.items()} if retrieval else None,
        "seconds": {name: None if value is None else round(value, 1) for name, value in seconds.items()},
    }


def _retrieved(encoder: CheckedEncoder, way: str) -> dict[str, float]:
    return {k: getattr(v, way) for k, v in encoder.retrieval.retrieved.items()} if encoder.retrieval else {}


def _ner(scores: Scores | None) -> dict[str, float]:
    """Mean over the seeds by column."""
    return {column: fmean(seeds.values()) for column, seeds in scores.f1.items()} if scores else {}


def _targets(scores: Scores | None) -> dict[str, float]:
    return {column: value for column, value in _ner(scores).items() if column not in ENGLISH}


def _mean(values: Mapping[str, float]) -> float | None:
    return fmean(values.values()) if values else None


def as_text(checked: Sequence[CheckedEncoder], how: Training) -> str:
    """A table for each measure, with a row for each encoder and a column for each language; percent."""
    facts = {
        encoder.label: {
            "parameters": f"{encoder.facts.parameters / 1e6:.1f} M",
            "weights": f"{encoder.facts.weights_bytes / 1e6:.1f} MB",
            "layer": f"{encoder.facts.layer} of {encoder.facts.layers}",
        }
        | ({"training": f"{encoder.ner.seconds:.0f} s"} if encoder.ner and encoder.ner.seconds is not None else {})
        for encoder in checked
    }
    blocks = [_table(f"encoders ({how.tests} sets below; percent)", facts)]
    blocks += [f"{encoder.label}: {encoder.facts.what}" for encoder in checked if encoder.facts.what]
    if any(encoder.retrieval for encoder in checked):
        blocks += _retrieval_blocks(checked)
    projections = {encoder.label: encoder.projection.f1 for encoder in checked if encoder.projection}
    for matching in sorted({matching for scores in projections.values() for matching in scores}, reverse=True):
        rows = {label: scores.get(matching, {}) for label, scores in projections.items()}
        blocks.append(_percents(f"span F1, English gold projected on PUD: {matching}, min-max spans", rows))
    n, learnt = len(how.seeds), f"lowest {how.freeze} layers as pre-trained" if how.freeze else "all layers"
    titles = {
        "linear": "F1 of a linear tagger on frozen vectors (mean: without English)",
        "ner": f"F1, mean of {n} seed{'s' * (n > 1)} (lr {how.lr:g}, {learnt}; mean: without English)",
    }
    for part, title in titles.items():
        scores: dict[str, Scores] = {encoder.label: own for encoder in checked if (own := getattr(encoder, part))}
        means = {label: {"mean": _mean(_targets(own)), **_ner(own)} for label, own in scores.items()}
        blocks += [_percents(f"zero-shot NER from en_pud, {title}", means)] if means else []
    if gaps := dict.fromkeys(f"{gap.part} {gap.language}: {gap.reason}" for e in checked for gap in e.gaps):
        blocks.append("\n".join(["not measured:", *gaps]))
    return "\n\n".join(blocks)


def _retrieval_blocks(checked: Sequence[CheckedEncoder]) -> list[str]:
    sizes: dict[str, list[str]] = {}
    for encoder in checked:
        for language, r in (encoder.retrieval.retrieved if encoder.retrieval else {}).items():
            sizes.setdefault(f"{r.sentences} of {r.text}", []).append(language)
    named = [f"{' '.join(dict.fromkeys(of))}: {size}" for size, of in sizes.items()]
    among = "; ".join(sizes if len(sizes) == 1 else named)
    blocks = []
    for way, name in (("to_en", "x → en"), ("from_en", "en → x")):
        rows = {o.label: {"mean": _mean(_retrieved(o, way)), **_retrieved(o, way)} for o in checked if o.retrieval}
        blocks.append(_percents(f"translation retrieval {name}, accuracy@1 ({among})", rows))
    pieces = {o.label: {k: f"{v:.2f}" for k, v in o.retrieval.pieces_per_word.items()} for o in checked if o.retrieval}
    return [*blocks, _table("pieces per word (zh: per character)", pieces)]


def _percents(title: str, rows: Mapping[str, Mapping[str, float | None]]) -> str:
    cells = {k: {c: f"{100 * v:.1f}" for c, v in row.items() if v is not None} for k, row in rows.items()}
    return _table(title, cells)


def _table(title: str, rows: Mapping[str, Mapping[str, str]]) -> str:
    """Title, head and rows; – if a row lacks a column."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    grid = [["", *columns], *([label, *(row.get(c, "–") for c in columns)] for label, row in rows.items())]
    return "\n".join([title, *aligned(grid)])
