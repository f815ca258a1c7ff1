"""`xner project`: project the labels of a CoNLL file to its translations over word links."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.projection import OUTCOMES
from bench.api.recipes import Progress
from bench.cli import score
from bench.cli.align import add_aligner, aligning_of, progress_bar, refuse_inputs
from bench.cli.formats import add_format, formats_of
from bench.cli.predict import written
from bench.core.conll import TaggedFile, TaggedSentence, conll_text
from bench.core.errors import BadInput, lookalike
from bench.core.files import beside, text_lines
from bench.core.sentences import Pair
from bench.data.projected import Rules, load_rules
from bench.measure.tagged import Spans, Tagged
from bench.plan import registry

if TYPE_CHECKING:
    from bench.data.aligning import Aligning, ProjectionTally

    Row = tuple[Pair, TaggedSentence | None]  # with the gold of its target
    Part = tuple[list[Pair], Spans | None]  # pairs, and the gold entities of those that have a translation


POSSIBLE = ("link", "drop")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "project",
        help="carry the entity labels of a CoNLL file to its translations",
        description="Entity labels of source sentences, projected on their translations over word links. The output "
        "is always well-formed IOB2, and every source entity is counted once: projected, unaligned, conflicting (its "
        "words went to another entity), filtered (its sentence was left out) or untranslated (its translation is an "
        "empty line). 8,192 sentences at a time are read, "
        "projected and written; only with the aligner statistical, which learns from all pairs, are all held.",
    )
    parser.add_argument("--source", type=Path, required=True, metavar="S.conll", help="labelled source sentences")
    about = "their translations: one tokenised sentence per line"
    parser.add_argument("--target", type=Path, required=True, metavar="T.txt", help=about)
    parser.add_argument("--links", type=Path, metavar="F", help="word links, one pair a line: 0-0 1-2")
    parser.add_argument("--from", type=int, choices=(0, 1), dest="first", help="number of the first word (default: 0)")
    parser.add_argument("--possible", choices=POSSIBLE, help="what to do with its possible links, 0?1 or 0p1")
    add_aligner(parser, required=False)
    about = f"the span rule: {', '.join(registry.names('matcher'))} (min-max)"
    parser.add_argument("--matcher", default="min-max", help=about)
    about = f"leave out sentences: {', '.join(registry.names('filter'))}; more than once: all must pass"
    parser.add_argument("--filter", action="append", default=[], metavar="NAME", help=about)
    parser.add_argument("--out", type=Path, required=True, metavar="O.conll", help="the labelled translations")
    parser.add_argument("--keep-filtered", action="store_true", help="write the sentences that a filter refuses, too")
    parser.add_argument("--evaluate", type=Path, metavar="GOLD.conll", help="gold labels of the same translations")
    add_format(parser, "S.conll", "GOLD.conll")
    parser.add_argument("--json", action="store_true", help="print JSON, fractions from 0 to 1")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Project, write, and print the outcomes of the entities.

    Raises:
        BadInput: a file cannot be read, the files do not correspond, a link points outside its sentences, or there is
            no such matcher, filter or aligner.
    """
    from bench.data.aligning import PART, ProjectionTally

    repeated = [name for name, count in Counter(args.filter).items() if count > 1]
    if repeated:
        raise BadInput(f"--filter {repeated[0]} is given twice")
    refuse_inputs(args.out, args.source, args.target, args.links, args.evaluate)
    rules, job, tally = load_rules(args.matcher, args.filter), _job(args), ProjectionTally()
    paths = [path for path in (args.source, args.evaluate) if path]
    files = [TaggedFile(path, form) for path, form in zip(paths, formats_of(args, 2), strict=False)]
    if job is None:
        _project(args, rules, tally, _parts(_linked_by_file(args, _rows(args, files)), files, PART))
    else:
        with progress_bar() as progress:
            _project(args, rules, tally, _ready(args, files, job, progress))
    _print(args, str(args.links) if job is None else job.description, tally)
    for note in [note for file in files for note in file.notes()]:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _project(args: argparse.Namespace, rules: Rules, tally: ProjectionTally, parts: Iterator[Part]) -> None:
    """Label the targets part by part and write them; BadInput as `run`."""
    with written(args.out) as file:
        for part, gold in parts:
            tally.skip([pair for pair in part if not pair.target.words])
            done = [rules.apply(pair) for pair in part if pair.target.words]
            file.write(conll_text(tally.add(done, args.keep_filtered, gold)))
        if not tally.written:
            total = tally.counts["pairs"] + tally.counts["pairs_filtered"]
            if not total:
                raise BadInput(f"{args.target}: no line has a translation: nothing to write")
            raise BadInput(f"the filters ({', '.join(args.filter)}) leave none of {total} sentences: nothing to write")


def _job(args: argparse.Namespace) -> Aligning | None:
    """The aligner of the options, None where the links come from a file."""
    if args.links and args.aligner:
        raise BadInput("--links and --aligner: links come from one of them")
    if args.links:
        options = [name for name, value in (("--encoder", args.encoder), ("--set", args.settings)) if value]
        if options:
            raise BadInput(f"{options[0]} belongs to --aligner, but links come from --links {args.links}")
        return None
    options = [name for name, value in (("--from", args.first), ("--possible", args.possible)) if value is not None]
    if options:
        raise BadInput(f"{options[0]} belongs to --links F")
    if not args.aligner:
        raise BadInput("where do the links come from? --links F or --aligner A")
    return aligning_of(args)


# --- parts ------------------------------------------------------------------------------------------------------------


def _ready(args: argparse.Namespace, files: Sequence[TaggedFile], job: Aligning, progress: Progress) -> Iterator[Part]:
    """The parts with the aligner's links; all files are read once before, so that a bad line is found at once."""
    from bench.data.aligning import PART

    read = [path for path in (args.source, args.target, args.evaluate) if path]
    pipes = not all(path.is_file() for path in read if path.exists())
    rows = list(_rows(args, files)) if pipes else None  # a pipe can be read once
    full = [bool(pair.target.words) for part, _ in _parts(rows or _rows(args, files), files, PART) for pair in part]
    job.prepare(2 * sum(full), progress)
    for part, gold in _parts(rows or _rows(args, files), files, PART if job.aligner.streams else len(full)):
        linked = job.links(part)
        yield [Pair(pair.source, pair.target, links) for pair, links in zip(part, linked, strict=True)], gold


def _parts(rows: Iterable[Row], files: Sequence[TaggedFile], size: int) -> Iterator[Part]:
    """Pairs, `size` at a time, with the gold entities of those that have a translation; BadInput as `Tagged.gold`."""
    remaining = iter(rows)
    while part := list(itertools.islice(remaining, size)):
        items = [item for _, item in part if item is not None]
        yield [pair for pair, _ in part], Tagged(files[1], items).gold() if files[1:] else None


def _rows(args: argparse.Namespace, files: Sequence[TaggedFile]) -> Iterator[Row]:
    """Pairs without links, each with its gold where it has a translation; BadInput where words or numbers differ."""
    from bench.data.aligning import Texts

    pairs = enumerate(Texts(files[0], args.target), 1)
    if not args.evaluate:
        yield from ((pair, None) for _, pair in pairs)
        return

    def says(sentences: int, lines: int) -> str:
        return f"{args.evaluate} has {sentences} sentences but {args.target} has {lines} lines that are not empty"

    for (number, pair), item in beside(pairs, files[1], says, lambda row: bool(row[1].target.words)):
        if item is not None:
            place = f"where {args.target}:{number} has"
            for line, word, target_word in zip(item.lines, item.words, pair.target.words, strict=False):
                if word != target_word:
                    difference = f"{args.evaluate}:{line} has '{word}' {place} '{target_word}'"
                    raise BadInput(f"different words in gold and target: {difference}{lookalike(word, target_word)}")
            if len(item.words) != (size := len(pair.target.words)):
                raise BadInput(f"{args.evaluate}:{item.lines[0]}: a sentence of {len(item.words)} words {place} {size}")
        yield pair, item


def _linked_by_file(args: argparse.Namespace, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows with the links of --links; BadInput as `run`."""
    from bench.measure.links import LinkLines

    def says(lines: int, pairs: int) -> str:
        return f"{args.links} has {lines} lines of links but there are {pairs} sentence pairs"

    reader = LinkLines(args.first or 0)
    for number, ((pair, item), line) in enumerate(beside(rows, text_lines(args.links), says), 1):
        links = reader.read(line or "", pair, f"{args.links}:{number}")
        if links.possible and not args.possible:
            raise BadInput(
                f"{args.links}:{number}: a possible link: --possible link counts it as a link, drop leaves it out"
            )
        kept = links.sure | (links.possible if args.possible == "link" else frozenset())
        yield Pair(pair.source, pair.target, tuple(sorted(kept))), item
    if warning := reader.warning():
        print(f"warning: {args.links}: {warning}", file=sys.stderr)


def _print(args: argparse.Namespace, links_from: str, tally: ProjectionTally) -> None:
    size = tally.written, tally.tokens
    if args.json:
        summary = {"matcher": args.matcher, "filters": args.filter, "links": links_from, "out": str(args.out)}
        summary |= {"written": tally.written, "refused_by": dict(tally.refused), **tally.counts}
        if args.evaluate:
            summary["scores"] = score.as_json(tally.score, "strict", *size)
        print(json.dumps(summary, indent=2, sort_keys=True, ensure_ascii=False))
        return
    counts, by = tally.counts, ", ".join(f"{k} {n}" for k, n in sorted(tally.refused.items()))
    out, empty = counts["pairs_filtered"], counts["pairs_untranslated"]
    print(
        f"{counts['pairs'] + out + empty} sentences: {tally.written} written, {out} filtered"
        f"{f' ({by})' if by else ''}{f', {empty} without a translation' if empty else ''}"
    )
    names = (*OUTCOMES, *["untranslated"] * bool(counts["untranslated"]))
    print(f"{counts['entities']} entities: " + ", ".join(f"{counts[name]} {name}" for name in names))
    if args.evaluate:
        print(f"\n{score.as_table(tally.score, 'strict', *size)}")
