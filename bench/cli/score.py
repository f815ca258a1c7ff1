"""`xner score GOLD PRED`: entity scores of anybody's CoNLL files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy stays out of `xner --help`
    from bench.core.conll import TaggedSentence
    from bench.measure.score import Mode, Summary

MODES = ("strict", "seqeval-default", "conlleval")


@dataclass(frozen=True)
class TaggedFile:
    """A CoNLL file: words and tags of each sentence, and the line of each word."""

    path: Path
    words: list[tuple[str, ...]]
    tags: list[tuple[str, ...]]
    lines: list[tuple[int, ...]]

    def where(self, sentence: int, token: int = 0) -> str:
        return f"{self.path}:{self.lines[sentence][token]}"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `score`."""
    parser = commands.add_parser(
        "score",
        help="entity F1 of predictions in a CoNLL file",
        description="Entity precision, recall and F1 (exact span and type, micro-averaged) of two CoNLL files: "
        "the word in the first column, the tag (O, B-X or I-X) in the last, an empty line between sentences.",
    )
    parser.add_argument("gold", type=Path, metavar="GOLD", help="CoNLL file with the gold tags")
    parser.add_argument("predicted", type=Path, metavar="PRED", help="CoNLL file with the same words, predicted tags")
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="strict",
        help="how ill-formed tags are read: strict ignores an I-X that continues no X, as seqeval's strict IOB2; "
        "the others open an entity there, as seqeval without a mode and conlleval.pl (default: strict)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, fractions from 0 to 1")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Score the two files and print a table in percent, or JSON in fractions.

    Raises:
        BadInput: a file cannot be read, the files hold different sentences, or a tag is not O, B-X or I-X.
    """
    from bench.measure.score import f1, score_tags, summary

    gold, predicted = read_file(args.gold), read_file(args.predicted)
    check_same(gold, predicted)
    check_tags(gold, gold)
    check_tags(predicted, gold)
    mode: Mode = args.mode
    scored = score_tags(gold.tags, predicted.tags, mode)
    total, size = summary(scored.counts, scored.types), (len(gold.words), sum(len(words) for words in gold.words))
    if args.json:
        print(json.dumps(as_json(total, mode, *size), indent=2, sort_keys=True, ensure_ascii=False))
    else:
        print(as_table(total, mode, *size))
    if mode == "strict":
        lenient = f1(score_tags(gold.tags, predicted.tags, "seqeval-default").counts)
        strict = f1(scored.counts)
        if lenient != strict:
            print(
                f"note: some I-X continue no X, and strict scoring ignores them; F1 is {100 * strict:.2f} here and "
                f"{100 * lenient:.2f} with --mode seqeval-default or conlleval",
                file=sys.stderr,
            )
    return 0


def read_file(path: Path) -> TaggedFile:
    """The sentences of a CoNLL file, tags as written; BadInput as `bench.core.conll.read_tagged`."""
    from bench.core.conll import read_tagged

    return tagged_file(path, read_tagged(path))


def tagged_file(path: Path, sentences: Sequence[TaggedSentence]) -> TaggedFile:
    """The sentences that were read from a file."""
    return TaggedFile(path, [s.words for s in sentences], [s.tags for s in sentences], [s.lines for s in sentences])


def check_same(gold: TaggedFile, predicted: TaggedFile) -> None:
    """Raise BadInput at the first difference in sentences, lengths or words."""
    from bench.core.errors import BadInput

    for index, (wanted, found) in enumerate(zip(gold.words, predicted.words, strict=False)):
        for position, (word, other) in enumerate(zip(wanted, found, strict=False)):
            if word != other:
                places = f"{gold.where(index, position)} has '{word}' where {predicted.where(index, position)}"
                raise BadInput(f"the files hold different words: {places} has '{other}'")
        if len(wanted) != len(found):
            raise BadInput(
                f"sentence {index + 1} has {len(wanted)} words at {gold.where(index)} "
                f"but {len(found)} at {predicted.where(index)}"
            )
    if len(gold.words) != len(predicted.words):
        longer = max(gold, predicted, key=lambda file: len(file.words))
        first = longer.where(min(len(gold.words), len(predicted.words)))
        counts = f"{gold.path} has {len(gold.words)} sentences but {predicted.path} has {len(predicted.words)}"
        raise BadInput(f"{counts}; the first without a partner starts at {first}")


def check_tags(file: TaggedFile, gold: TaggedFile) -> None:
    """Raise BadInput at the first tag that is not O, B-X or I-X."""
    from bench.core.errors import BadInput, nearest

    for index, tags in enumerate(file.tags):
        for position, tag in enumerate(tags):
            if not _is_tag(tag):
                known = {other for sentence in gold.tags for other in sentence if _is_tag(other)}
                raise BadInput(f"{file.where(index, position)}: tag '{tag}' is not O, B-X or I-X{nearest(tag, known)}")


def _is_tag(tag: str) -> bool:
    return tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def as_json(total: Summary, mode: str, sentences: int, tokens: int) -> dict[str, object]:
    """Scores as fractions, counts by type."""
    from bench.measure.score import ratios

    types = {
        type_: {**ratios(c.tp, c.fp, c.fn)._asdict(), "tp": c.tp, "fp": c.fp, "fn": c.fn}
        for type_, c in total.types.items()
    }
    return {
        "f1": total.f1,
        "precision": total.precision,
        "recall": total.recall,
        "mode": mode,
        "sentences": sentences,
        "tokens": tokens,
        "types": types,
    }


def as_table(total: Summary, mode: str, sentences: int, tokens: int) -> str:
    """A line a type and one for all, in percent; `gold` and `found` count entities."""
    from bench.measure.score import ratios

    rows: list[Sequence[str]] = [("", "precision", "recall", "F1", "gold", "found", "correct")]
    sums = [(type_, c.tp, c.fp, c.fn) for type_, c in total.types.items()]
    sums.append(("all", sum(r[1] for r in sums), sum(r[2] for r in sums), sum(r[3] for r in sums)))
    for name, tp, fp, fn in sums:
        percent = [f"{100 * value:.2f}" for value in ratios(tp, fp, fn)]
        rows.append((name, *percent, str(tp + fn), str(tp + fp), str(tp)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return "\n".join([f"{sentences} sentences, {tokens} tokens, mode {mode}, percent", *lines])
