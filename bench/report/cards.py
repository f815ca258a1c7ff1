"""The model card of a tagger kept by `--keep-models`: its method, training data and scores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.core.errors import BadInput
from bench.core.files import write_bytes
from bench.report.frame import Group, Stored
from bench.report.notes import corpus_notes, setting_notes, source_notes, visible
from bench.report.scores import Scores, scores_of


def write_cards(all_groups: Sequence[Group]) -> dict[str, Path]:
    """Write README.md into the folder of every kept tagger; returns the folders by record key."""
    folders = {}
    for group in all_groups:
        for run in group.stored:
            folder = run.store.out / str(run.record.ran.get("tagger", ""))
            if run.record.status == "ok" and folder.parent.name == "taggers" and folder.is_dir():
                text = "\n".join(_lines(group, run, scores_of(group, run.record.rules[0])))
                write_bytes(folder / "README.md", f"{text}\n".encode())
                folders[run.record.key] = folder
    return folders


def chosen(all_groups: Sequence[Group], cell: str) -> Stored:
    """The record that `cell` names, by the beginning of its key or as ROW/TARGET/SEED.

    Raises:
        BadInput: no record matches, or several do.
    """
    stored = [run for group in all_groups for run in group.stored]
    named = [run for run in stored if f"{run.label}/{run.target}/{run.seed}" == cell]
    named = named or [run for run in stored if len(cell) > 3 and run.record.key.startswith(cell)]
    if len(named) != 1:
        problem = "several cells" if named else "no cell"
        raise BadInput(f"{cell}: {problem}: name one by its key or as ROW/TARGET/SEED, such as concner/de/1")
    return named[0]


def _lines(group: Group, run: Stored, scores: Scores) -> Iterator[str]:
    record, cell, rule = run.record, run.record.cell, run.record.rules[0]
    yield "---\nlibrary_name: transformers\npipeline_tag: token-classification\nlicense: other"
    same = [s for s in group.stored if s.row == run.row and s.seed == run.seed and _fits(s) == _fits(run)]
    yield f"language: {json.dumps(sorted({s.target for s in same}))}\ntags: [named-entity-recognition]\n---\n"
    yield f"# {visible(run.label)}, {run.target}, seed {run.seed}\n"
    types = ", ".join(record.corpus.get("types", []))
    yield f"A tagger of {types} (IOB2), trained by xner-bench. F1 in percent, strict.\n"
    yield "| language | this tagger | its method: mean over seeds | 95 % interval |\n|:--|--:|--:|--:|"
    for other in same:
        score, own = scores[run.row, other.target], other.score(rule)
        limits = "n/a" if score.limits is None else "{:.1f} to {:.1f}".format(*score.limits)
        if own is not None and score.mean is not None:
            yield f"| {other.target} | {100 * own.f1:.1f} | {score.mean:.1f} ({len(score.seeds)} seeds) | {limits} |"
    params = json.dumps(cell.get("params") or {}, ensure_ascii=False, sort_keys=True)
    factors = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in record.factors.items())
    yield f"\n- Method: {cell.get('method')}, parameters `{params}`; {factors}."
    yield f"- Matrix: {record.matrix}, cell `{record.key}`; checkpoint: {rule}."
    yield from (f"- {visible(note)}" for note in (*setting_notes(group), *corpus_notes(group), *source_notes(group)))
    yield "- The licence of the encoder's weights holds for these, too."
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))
    yield f"- Code: commit {record.commit or 'unknown'}, digest {record.code or 'unknown'}; {versions}."


def _fits(run: Stored) -> list[str]:
    return [key for name, key in sorted(run.record.parents.items()) if name.startswith("fit:")]
