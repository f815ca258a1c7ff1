"""`xner score GOLD PRED`: entity scores of any two CoNLL files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.formats import add_format, formats_of
from bench.core.errors import BadInput, nearest
from bench.core.sentences import MODES, Mode
from bench.measure.tagged import Spans, Tagged, check_same
from bench.report.folder import aligned

if TYPE_CHECKING:  # numpy stays out of `xner --help`
    from bench.measure.score import Summary


WAYS = " or --mode conlleval"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "score",
        help="entity F1 of predictions in a CoNLL file",
        description="Entity precision, recall and F1 (exact span and type, micro-averaged) of two CoNLL files: "
        "the word in the first column, the tag in the last, an empty line between sentences.",
    )
    parser.add_argument("gold", type=Path, metavar="GOLD", help="CoNLL file with the gold tags")
    parser.add_argument("predicted", type=Path, metavar="PRED", help="CoNLL file with the same words, predicted tags")
    add_mode(parser)
    add_format(parser, "GOLD", "PRED")
    parser.add_argument("--json", action="store_true", help="print JSON, fractions from 0 to 1")
    parser.set_defaults(run=run)


def add_mode(parser: argparse.ArgumentParser) -> None:
    """Register --mode."""
    about = (
        "how ill-formed tags are read: strict ignores an I-X that continues no X, as seqeval's strict IOB2, and so "
        "refuses gold with any; the others open an entity there, as seqeval without a mode and conlleval.pl "
        "(default: strict)"
    )
    parser.add_argument("--mode", choices=MODES, default="strict", help=about)


def run(args: argparse.Namespace) -> int:
    """Score the two files and print a table in percent, or JSON in fractions.

    Raises:
        BadInput: a file cannot be read, the files hold different sentences, a tag is not of the scheme, or the mode
            would drop entities of the gold.
    """
    gold, predicted = read_both(args)
    mode: Mode = args.mode
    wanted = gold.gold(mode, WAYS)
    entities = predicted.entities(mode)
    if not any(wanted):
        print(f"note: {gold.path}: not one entity, so every score is 0", file=sys.stderr)
    total, size = scored(wanted, entities), (len(gold.items), sum(len(item.words) for item in gold.items))
    if args.json:
        print(json.dumps(as_json(total, mode, *size), indent=2, sort_keys=True, ensure_ascii=False))
    else:
        print(as_table(total, mode, *size))
    known = {span.type for spans in wanted for span in spans}
    for type_ in sorted({span.type for spans in entities for span in spans} - known if known else ()):
        print(f"note: the gold has no type '{type_}', so it counts as wrong{nearest(type_, known)}", file=sys.stderr)
    lenient = scored(wanted, predicted.entities("seqeval-default")).f1 if mode == "strict" else total.f1
    print_notes(gold, predicted, mode, (total.f1, lenient))
    return 0


def read_both(args: argparse.Namespace) -> tuple[Tagged, Tagged]:
    """The files `gold` and `predicted` of a command.

    Raises:
        BadInput: an option is wrong, a file cannot be read, or the files hold different sentences.
    """
    formats = formats_of(args, 2)
    if args.mode == "conlleval" and "BIOES" in [form.scheme for form in formats]:
        raise BadInput("--mode conlleval: conlleval.pl knows no BIOES tags; strict and seqeval-default read them")
    gold, predicted = (Tagged.read(path, form) for path, form in zip((args.gold, args.predicted), formats, strict=True))
    check_same(gold, predicted)
    return gold, predicted


def scored(wanted: Spans, predicted: Spans) -> Summary:
    """The scores over all types that occur."""
    from bench.measure.score import count, summary

    types = sorted({span.type for side in (wanted, predicted) for spans in side for span in spans})
    return summary(count(wanted, predicted, types), types)


def print_notes(gold: Tagged, predicted: Tagged, mode: Mode, f1: tuple[float, float]) -> None:
    """Print what was skipped, and predictions that the mode ignores; `f1`: in this mode and in seqeval's default."""
    notes = [*gold.notes(mode), *predicted.notes(mode)]
    for place, tag in (dropped := predicted.dropped(mode))[:1]:
        notes.append(
            f"{len(dropped)} predicted entities are ill-formed, the first at {place} ('{tag}'), and strict scoring "
            f"ignores them; F1 is {100 * f1[0]:.2f} here and {100 * f1[1]:.2f} with --mode seqeval-default"
        )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def as_json(total: Summary, mode: str, sentences: int, tokens: int) -> dict[str, object]:
    """Scores as fractions, counts by type."""
    from bench.measure.score import ratios

    scores = {"f1": total.f1, "precision": total.precision, "recall": total.recall}
    types = {type_: {**ratios(c.tp, c.fp, c.fn)._asdict(), **asdict(c)} for type_, c in total.types.items()}
    return {**scores, "mode": mode, "sentences": sentences, "tokens": tokens, "types": types}


def as_table(total: Summary, mode: str, sentences: int, tokens: int) -> str:
    """A line per type and one for all, in percent; `gold` and `found` count entities."""
    from bench.measure.score import ratios

    rows: list[Sequence[str]] = [("", "precision", "recall", "F1", "gold", "found", "correct")]
    sums = [(type_, c.tp, c.fp, c.fn) for type_, c in total.types.items()]
    sums.append(("all", sum(r[1] for r in sums), sum(r[2] for r in sums), sum(r[3] for r in sums)))
    for name, tp, fp, fn in sums:
        percent = [f"{100 * value:.2f}" for value in ratios(tp, fp, fn)]
        rows.append((name, *percent, str(tp + fn), str(tp + fp), str(tp)))
    return "\n".join([f"{sentences} sentences, {tokens} tokens, mode {mode}, percent", *aligned(rows)])
