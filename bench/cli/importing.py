"""`xner import OUT GOLD PRED`: another system's predictions as a record of a results folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.cli.formats import add_format
from bench.cli.score import WAYS, add_mode, print_notes, read_both
from bench.core.errors import BadInput
from bench.report.folder import resolve


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "import",
        help="another system's predictions as a record",
        description="Score predictions of a system that was not trained here, and store them as a record, so that "
        "tables, plots and compare cover it: one language and one seed at a time. Both files are CoNLL with the same "
        "words: the word in the first column, the tag in the last.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="results folder, new or old, or the name of a matrix")
    parser.add_argument("gold", type=Path, metavar="GOLD", help="CoNLL file with the gold tags of the test")
    parser.add_argument("predicted", type=Path, metavar="PRED", help="CoNLL file with the same words, predicted tags")
    parser.add_argument("--method", required=True, metavar="NAME", help="the system's row in the tables")
    parser.add_argument("--target", required=True, metavar="LANG", help="language of the test")
    parser.add_argument("--seed", required=True, type=int, metavar="N", help="seed of the system's training")
    parser.add_argument("--corpus", default="", metavar="C", help="corpus of the test (default: the folder's only one)")
    parser.add_argument("--source", default="en", metavar="LANG", help="source language (default: en)")
    parser.add_argument("--encoder", default="", metavar="E", help="its encoder (default: the only one of the table)")
    parser.add_argument("--rule", default="", metavar="R", help="selection rule (default: the table's main one)")
    add_mode(parser)
    add_format(parser, "GOLD", "PRED")
    parser.add_argument("--oracle", action="store_true", help="the system saw gold labels of the target language")
    parser.add_argument("--replace", action="store_true", help="take the place of another import of the same cell")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, score and store.

    Raises:
        BadInput: a file cannot be read, the files hold different sentences, or as `import_predictions`.
    """
    from bench.measure.imported import System, import_predictions

    names = ("method", "target", "seed", "source", "corpus", "encoder", "rule", "mode", "scheme", "oracle")
    system = System(**{name: getattr(args, name) for name in names})
    gold, predicted = read_both(args)
    gold.gold(system.mode, WAYS)  # refused before a folder is made
    try:
        out = resolve(args.out)
    except BadInput:  # it does not exist yet
        out = args.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: cannot be a results folder: {error.strerror}") from error
    imported = import_predictions(out, system, gold, predicted, replacing=args.replace)
    record = imported.record
    ((rule, scores),) = record.scores.items()
    if imported.foreign:
        print(f"note: types that the gold lacks count as wrong: {', '.join(imported.foreign)}", file=sys.stderr)
    if imported.beside:
        of_its_own = "and has tables of its own; `xner tables` writes all of them anew"
        print(
            f"note: corpus '{record.cell['corpus']}' is new beside {', '.join(imported.beside)}, {of_its_own}",
            file=sys.stderr,
        )
    print_notes(gold, predicted, system.mode, (scores.f1, imported.lenient))
    print(
        f"{system.method} {system.target} seed {system.seed}: F1 {100 * scores.f1:.2f}, {record.sentences} sentences, "
        f"{record.tokens_gold} tokens; corpus {record.cell['corpus']}, encoder {record.cell['encoder']}, rule {rule}"
        f"{'; was there already' if imported.known else ''}\n{out / 'records' / record.key}.json"
    )
    return 0
