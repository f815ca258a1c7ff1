"""`xner project`: labels of a CoNLL file, carried to its translations over word links."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bench.cli.align import add_aligner, choice_of, progress_bar
from bench.cli.formats import add_format, formats_of
from bench.conll import TaggedFile, write_conll
from bench.corpus import BadInput, Pair, lookalike
from data_recipes.projection.project import OUTCOMES
from data_recipes.projection.rules import Rules, filter_names, load_rules, matcher_names

if TYPE_CHECKING:
    from bench.conll import TaggedSentence
    from bench.encode import Progress
    from bench.measure.tagged import Spans
    from bench.runner.aligning import Aligning
    from bench.runner.project_stream import Beside, Tally

    Part = tuple[list[Pair], Spans | None]  # pairs, and the gold entities of those that have a translation


POSSIBLE = ("link", "drop")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `project`."""
    parser = commands.add_parser(
        "project",
        help="carry the entity labels of a CoNLL file to its translations",
        description="Entity labels of source sentences, projected on their translations over word links. The output "
        "is always well-formed IOB2, and every source entity is counted once: projected, unaligned, conflicting (its "
        "words went to another entity), filtered (its sentence was left out) or untranslated (its translation's line is "
        "empty). 8,192 sentences at a time are read, "
        "projected and written; only with the aligner statistical, which learns from all pairs, are all held.",
    )
    parser.add_argument("--source", type=Path, required=True, metavar="S.conll", help="labelled source sentences")
    parser.add_argument(
        "--target", type=Path, required=True, metavar="T.txt", help="their translations: words by spaces, one a line"
    )
    parser.add_argument("--links", type=Path, metavar="F", help="word links, one pair a line: 0-0 1-2")
    parser.add_argument("--from", type=int, choices=(0, 1), dest="first", help="number of a first word (default: 0)")
    parser.add_argument("--possible", choices=POSSIBLE, help="what to do with its possible links, 0?1 or 0p1")
    add_aligner(parser, required=False)
    parser.add_argument("--matcher", default="min-max", help=f"the span rule: {', '.join(matcher_names())} (min-max)")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="NAME",
        help=f"leave out sentences: {', '.join(filter_names())}; more than once: all must pass",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="O.conll", help="the labelled translations")
    parser.add_argument("--keep-filtered", action="store_true", help="write the sentences that a filter refuses, too")
    parser.add_argument("--evaluate", type=Path, metavar="GOLD.conll", help="gold labels of the same translations")
    add_format(parser, "S.conll", "GOLD.conll")
    parser.add_argument("--json", action="store_true", help="print JSON, fractions from 0 to 1")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Project, write, and print what became of the entities.

    Raises:
        BadInput: a file cannot be read, the files do not correspond, a link points outside its sentences, or there is
            no such matcher, filter or aligner.
    """
    from bench.runner.project_stream import PART, Tally

    repeated = [name for name, count in Counter(args.filter).items() if count > 1]
    if repeated:
        raise BadInput(f"--filter {repeated[0]} is given twice")
    rules, job, tally, files = load_rules(args.matcher, args.filter), _job(args), Tally(), _files(args)
    if job is None:
        _project(args, rules, tally, _linked_by_file(args, _parts(args, files, PART)))
    else:
        with progress_bar() as progress:
            _project(args, rules, tally, _linked(job, _ready(args, files, job, progress)))
    _print(args, str(args.links) if job is None else job.what, tally)
    for note in [note for file in files for note in file.notes()]:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _files(args: argparse.Namespace) -> list[TaggedFile]:
    """The source, and the gold where there is one."""
    paths = [path for path in (args.source, args.evaluate) if path]
    return [TaggedFile(path, one) for path, one in zip(paths, formats_of(args, 2), strict=False)]


def _project(args: argparse.Namespace, rules: Rules, tally: Tally, rest: Iterator[Part]) -> None:
    """Label the targets, part by part, and write them; BadInput as `run`."""
    with _output(args.out) as file:
        for part, gold in rest:
            tally.skip([pair for pair in part if not pair.target.words])
            done = [rules.apply(pair) for pair in part if pair.target.words]
            write_conll(tally.add(done, args.keep_filtered, gold), file)
        if not tally.written:
            total = tally.counts["pairs"] + tally.counts["pairs_filtered"]
            if not total:
                raise BadInput(f"{args.target}: no line has a translation: nothing to write")
            raise BadInput(f"the filters ({', '.join(args.filter)}) leave none of {total} sentences: nothing to write")


def _job(args: argparse.Namespace) -> Aligning | None:
    """The aligner that was named, None where the links come from a file."""
    if args.links and args.aligner:
        raise BadInput("--links and --aligner: links come from one of them")
    if args.links:
        given = [name for name, value in (("--encoder", args.encoder), ("--set", args.settings)) if value]
        if given:
            raise BadInput(f"{given[0]} belongs to --aligner, but links come from --links {args.links}")
        return None
    given = [name for name, value in (("--from", args.first), ("--possible", args.possible)) if value is not None]
    if given:
        raise BadInput(f"{given[0]} belongs to --links F")
    if not args.aligner:
        raise BadInput("where do the links come from? --links F or --aligner A")
    from bench.runner.aligning import Aligning

    return Aligning(choice_of(args))


# --- parts ------------------------------------------------------------------------------------------------------------


def _ready(args: argparse.Namespace, files: Sequence[TaggedFile], job: Aligning, progress: Progress) -> Iterator[Part]:
    """The parts as the aligner takes them, all files read once before: a bad line is found now, not in hours."""
    from bench.runner.project_stream import PART

    read = [path for path in (args.source, args.target, args.evaluate) if path]
    held: list[Part] | None = None
    if not all(path.is_file() for path in read if path.exists()):
        held = list(_parts(args, files, PART))  # a pipe can be read once
    sizes = [
        (len(part), sum(bool(pair.target.words) for pair in part)) for part, _ in held or _parts(args, files, PART)
    ]
    job.prepare(2 * sum(full for _, full in sizes), progress)
    if held is not None:
        return iter(held if job.aligner.streams else [_whole(held)])
    return _parts(args, files, PART if job.aligner.streams else sum(pairs for pairs, _ in sizes))


def _whole(held: Sequence[Part]) -> Part:
    """All parts as one."""
    spans = [one for _, gold in held for one in gold or ()]
    return [pair for part, _ in held for pair in part], spans if held[0][1] is not None else None


def _parts(args: argparse.Namespace, files: Sequence[TaggedFile], size: int) -> Iterator[Part]:
    """Pairs without links, `size` at a time, with the gold of those that have a translation; BadInput as `run`."""
    from bench.runner.project_stream import Beside, Texts, parts

    rest = parts(Texts(files[0], args.target), size)
    gold: Beside[TaggedSentence] | None = None
    if args.evaluate:
        says = "{} has {} sentences but {} has {} lines that are not empty"
        gold = Beside(files[1], lambda n, all_: says.format(args.evaluate, n, args.target, all_))
    first = 1
    for part in rest:
        full = [(number, pair) for number, pair in enumerate(part, first) if pair.target.words]
        left = ([pair for pair in more if pair.target.words] for more in rest)
        yield part, _gold(args, files[1], gold.take(len(full), left), full) if gold else None
        first += len(part)
    if gold:
        gold.finish()


def _linked(job: Aligning, rest: Iterator[Part]) -> Iterator[Part]:
    """The parts with the aligner's links."""
    for part, gold in rest:
        found = job.links(part)
        yield [Pair(pair.source, pair.target, links) for pair, links in zip(part, found, strict=True)], gold


def _linked_by_file(args: argparse.Namespace, rest: Iterator[Part]) -> Iterator[Part]:
    """The parts with the links of --links; BadInput as `run`."""
    from bench.lines import text_lines
    from bench.measure.links import LinkLines
    from bench.runner.project_stream import Beside

    lines = Beside(
        text_lines(args.links),
        lambda n, all_: f"{args.links} has {n} lines of links but there are {all_} sentence pairs",
    )
    reader = LinkLines(args.first or 0)
    for part, gold in rest:
        found = lines.take(len(part), (pairs for pairs, _ in rest))
        linked = []
        for number, (pair, line) in enumerate(zip(part, found, strict=True), lines.taken - len(part) + 1):
            links = reader.read(line, pair, f"{args.links}:{number}")
            if links.possible and not args.possible:
                raise BadInput(f"{args.links}:{number}: a possible link: --possible link takes it for one, or drop")
            kept = links.sure | (links.possible if args.possible == "link" else frozenset())
            linked.append(Pair(pair.source, pair.target, tuple(sorted(kept))))
        yield linked, gold
    lines.finish()
    if warning := reader.warning():
        print(f"warning: {args.links}: {warning}", file=sys.stderr)


def _gold(
    args: argparse.Namespace, file: TaggedFile, items: Sequence[TaggedSentence], part: Sequence[tuple[int, Pair]]
) -> Spans:
    """Gold entities of each target sentence (with its line); BadInput as `Tagged.gold`, or where the words differ."""
    from bench.measure.tagged import Tagged

    gold = Tagged(file, items)
    for index, (item, (line, pair)) in enumerate(zip(items, part, strict=True)):
        place = f"where {args.target}:{line} has"
        for position, (word, other) in enumerate(zip(item.words, pair.target.words, strict=False)):
            if word != other:
                here = f"{gold.where(index, position)} has '{word}' {place} '{other}'"
                raise BadInput(f"other words in gold and target: {here}{lookalike(word, other)}")
        if len(item.words) != len(pair.target.words):
            raise BadInput(
                f"{gold.where(index)}: a sentence of {len(item.words)} words {place} {len(pair.target.words)}"
            )
    return gold.gold()


# --- writing ----------------------------------------------------------------------------------------------------------


@contextmanager
def _output(path: Path) -> Iterator[TextIO]:
    """A file that gets its name when all went well."""
    from bench.store.files import published

    try:
        with published(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield file
    except OSError as error:
        raise BadInput(f"--out {path}: cannot be written: {error.strerror}") from error


def _print(args: argparse.Namespace, links_from: str, tally: Tally) -> None:
    from bench.cli import score

    size = tally.written, tally.tokens
    if args.json:
        summary: dict[str, Any] = {
            "matcher": args.matcher,
            "filters": args.filter,
            "links": links_from,
            "out": str(args.out),
            "written": tally.written,
            "refused_by": dict(tally.refused),
            **tally.counts,
        }
        if args.evaluate:
            summary["scores"] = score.as_json(tally.score, "strict", *size)
        print(json.dumps(summary, indent=2, sort_keys=True, ensure_ascii=False))
        return
    out, by = tally.counts["pairs_filtered"], ", ".join(f"{k} {n}" for k, n in sorted(tally.refused.items()))
    empty, names = (
        tally.counts["pairs_untranslated"],
        (*OUTCOMES, *["untranslated"] * bool(tally.counts["untranslated"])),
    )
    print(
        f"{tally.counts['pairs'] + out + empty} sentences: {tally.written} written, {out} filtered"
        f"{f' ({by})' if by else ''}{f', {empty} without a translation' if empty else ''}"
    )
    print(f"{tally.counts['entities']} entities: " + ", ".join(f"{tally.counts[name]} {name}" for name in names))
    if args.evaluate:
        print(f"\n{score.as_table(tally.score, 'strict', *size)}")
