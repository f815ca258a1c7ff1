"""What `xner encoder-check` prints: tables by language, or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.report.folder import aligned

if TYPE_CHECKING:
    from bench.encoder_check.check import Facts, Found, Gap
    from bench.encoder_check.run import Scores, Training

ENGLISH = ("en", "europarl-en")


@dataclass
class Checked:
    """One encoder; None is a part that was not asked for."""

    label: str
    key: str
    facts: Facts
    retrieval: Found | None = None
    linear: Scores | None = None
    projection: Scores | None = None
    ner: Scores | None = None

    @property
    def gaps(self) -> list[Gap]:
        """What is missing, of all parts."""
        return [gap for part in (self.retrieval, self.linear, self.projection, self.ner) if part for gap in part.gaps]

    @property
    def measured(self) -> bool:
        """Whether any number was found."""
        scored = (self.linear, self.projection, self.ner)
        return bool(self.retrieval and self.retrieval.retrieved) or any(part and part.f1 for part in scored)


def as_json(checked: Sequence[Checked], how: Training) -> dict[str, Any]:
    """Everything, fractions from 0 to 1; a part that was not asked for is null."""
    said = {"freeze": how.freeze, "lr": how.lr, "matcher": "min-max", "seeds": list(how.seeds), "split": how.tests}
    return {"encoders": [_one(one) for one in checked], **said}


def _one(one: Checked) -> dict[str, Any]:
    retrieval, ner = one.retrieval, _ner(one.ner)
    seconds = {"retrieval": retrieval.seconds if retrieval else None, "training": one.ner.seconds if one.ner else None}
    return {
        **asdict(one.facts),
        "encoder": one.label,
        "gaps": [asdict(gap) for gap in one.gaps],
        "key": one.key,
        "linear": _ner(one.linear) if one.linear else None,
        "means": {
            "from_en": _mean(_retrieved(one, "from_en")),
            "linear_targets": _mean(_targets(one.linear)),
            "ner_targets": _mean(_targets(one.ner)),
            "to_en": _mean(_retrieved(one, "to_en")),
        },
        "ner": {column: {"mean": ner[column], "seeds": one.ner.f1[column]} for column in ner} if one.ner else None,
        "pieces_per_word": retrieval.pieces_per_word if retrieval else None,
        "projection": one.projection.f1 if one.projection else None,
        "retrieval": {k: asdict(v) for k, v in retrieval.retrieved.items()} if retrieval else None,
        "seconds": {name: None if value is None else round(value, 1) for name, value in seconds.items()},
    }


def _retrieved(one: Checked, way: str) -> dict[str, float]:
    return {k: getattr(v, way) for k, v in one.retrieval.retrieved.items()} if one.retrieval else {}


def _ner(scores: Scores | None) -> dict[str, float]:
    """Mean over the seeds by column."""
    return {column: fmean(seeds.values()) for column, seeds in scores.f1.items()} if scores else {}


def _targets(scores: Scores | None) -> dict[str, float]:
    return {column: value for column, value in _ner(scores).items() if column not in ENGLISH}


def _mean(values: Mapping[str, float]) -> float | None:
    return fmean(values.values()) if values else None


def as_text(checked: Sequence[Checked], how: Training) -> str:
    """A table a measure, a row an encoder, a column a language; percent."""
    facts = {
        one.label: {
            "parameters": f"{one.facts.parameters / 1e6:.1f} M",
            "weights": f"{one.facts.weights_bytes / 1e6:.1f} MB",
            "layer": f"{one.facts.layer} of {one.facts.layers}",
        }
        | ({"training": f"{one.ner.seconds:.0f} s"} if one.ner and one.ner.seconds is not None else {})
        for one in checked
    }
    blocks = [_table(f"encoders ({how.tests} sets below; percent)", facts)]
    blocks += [f"{one.label}: {one.facts.what}" for one in checked if one.facts.what]
    if any(one.retrieval for one in checked):
        blocks += _retrieval_blocks(checked)
    matchings = sorted({matching for one in checked if one.projection for matching in one.projection.f1})
    for matching in sorted(matchings, reverse=True):
        rows = {one.label: one.projection.f1.get(matching, {}) for one in checked if one.projection}
        blocks.append(_percents(f"span F1, English gold projected on PUD: {matching}, min-max spans", rows))
    n, learnt = len(how.seeds), f"lowest {how.freeze} layers as pre-trained" if how.freeze else "all layers"
    titles = {
        "linear": "F1 of a linear tagger on frozen vectors (mean: without English)",
        "ner": f"F1, mean of {n} seed{'s' * (n > 1)} (lr {how.lr:g}, {learnt}; mean: without English)",
    }
    for part, title in titles.items():
        scores: dict[str, Scores] = {one.label: found for one in checked if (found := getattr(one, part))}
        means = {label: {"mean": _mean(_targets(found)), **_ner(found)} for label, found in scores.items()}
        blocks += [_percents(f"zero-shot NER from en_pud, {title}", means)] if means else []
    gaps = dict.fromkeys(f"{gap.part} {gap.language}: {gap.reason}" for one in checked for gap in one.gaps)
    if gaps:
        blocks.append("\n".join(["not measured:", *gaps]))
    return "\n\n".join(blocks)


def _retrieval_blocks(checked: Sequence[Checked]) -> list[str]:
    sizes: dict[str, list[str]] = {}
    for one in checked:
        for language, r in (one.retrieval.retrieved if one.retrieval else {}).items():
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
    """Title, head and a line a row; – where a row has no such column."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    grid = [["", *columns], *([label, *(row.get(c, "–") for c in columns)] for label, row in rows.items())]
    return "\n".join([title, *aligned(grid)])
