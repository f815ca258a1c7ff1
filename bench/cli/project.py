"""`xner project`: labels of a CoNLL file, carried to anybody's translations over word links."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, get_args

from bench.api.projection import OUTCOMES
from bench.cli.align import add_aligner, choice_of, progress_bar
from bench.core.conll import Scheme, tagged_sentences, write_conll
from bench.core.errors import BadInput
from bench.core.sentences import Pair
from bench.data.rules import Rules, filter_names, load_rules, matcher_names

if TYPE_CHECKING:
    from bench.api.recipes import Progress
    from bench.core.conll import TaggedSentence
    from bench.data.aligning import Aligning
    from bench.data.project_stream import Beside, Tally

Tags = Sequence[tuple[str, ...]]
Part = tuple[list[Pair], Tags | None]  # pairs, and the gold tags of their targets


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `project`."""
    parser = commands.add_parser(
        "project",
        help="carry the entity labels of a CoNLL file to its translations",
        description="Entity labels of source sentences, projected on their translations over word links. The output "
        "is always well-formed IOB2, and every source entity is counted once: projected, unaligned, conflicting (its "
        "words went to another entity) or filtered (its sentence was left out). 8,192 sentences at a time are read, "
        "projected and written; only with the aligner statistical, which learns from all pairs, are all held.",
    )
    parser.add_argument("--source", type=Path, required=True, metavar="S.conll", help="labelled source sentences")
    parser.add_argument("--scheme", choices=get_args(Scheme), default="IOB2", help="of its tags (default: IOB2)")
    parser.add_argument(
        "--target", type=Path, required=True, metavar="T.txt", help="their translations: words by spaces, one a line"
    )
    parser.add_argument("--links", type=Path, metavar="F", help="word links, one pair a line: 0-0 1-2 (from 0)")
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
    parser.add_argument("--json", action="store_true", help="print JSON, fractions from 0 to 1")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Project, write, and print what became of the entities.

    Raises:
        BadInput: a file cannot be read, the files do not correspond, a link points outside its sentences, or there is
            no such matcher, filter or aligner.
    """
    from bench.data.project_stream import PART, Tally

    repeated = [name for name, count in Counter(args.filter).items() if count > 1]
    if repeated:
        raise BadInput(f"--filter {repeated[0]} is given twice")
    rules, job, tally = load_rules(args.matcher, args.filter), _job(args), Tally()
    if job is None:
        _project(args, rules, tally, _linked_by_file(args, _parts(args, PART)))
    else:
        with progress_bar() as progress:
            _project(args, rules, tally, _linked(job, _ready(args, job, progress)))
    _print(args, str(args.links) if job is None else job.what, tally)
    return 0


def _project(args: argparse.Namespace, rules: Rules, tally: Tally, rest: Iterator[Part]) -> None:
    """Label the targets, part by part, and write them; BadInput as `run`."""
    with _output(args.out) as file:
        for part, gold in rest:
            done = [rules.apply(pair) for pair in part]
            write_conll(tally.add(done, args.keep_filtered, gold), file)
        if not tally.written:
            total = tally.counts["pairs"] + tally.counts["pairs_filtered"]
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
    if not args.aligner:
        raise BadInput("where do the links come from? --links F or --aligner A")
    from bench.data.aligning import Aligning

    return Aligning(choice_of(args))


# --- parts ------------------------------------------------------------------------------------------------------------


def _ready(args: argparse.Namespace, job: Aligning, progress: Progress) -> Iterator[Part]:
    """The parts as the aligner takes them, all files read once before: a bad line is found now, not in hours."""
    from bench.data.project_stream import PART

    read = [path for path in (args.source, args.target, args.evaluate) if path]
    held: list[Part] | None = None
    if not all(path.is_file() for path in read if path.exists()):
        held = list(_parts(args, PART))  # a pipe can be read once
    pairs = sum(len(part) for part, _ in held or _parts(args, PART))
    job.prepare(2 * pairs, progress)
    if held is not None:
        return iter(held if job.aligner.streams else [_whole(held)])
    return _parts(args, PART if job.aligner.streams else pairs)


def _whole(held: Sequence[Part]) -> Part:
    """All parts as one."""
    tags = [one for _, gold in held for one in gold or ()]
    return [pair for part, _ in held for pair in part], tags if held[0][1] is not None else None


def _parts(args: argparse.Namespace, size: int) -> Iterator[Part]:
    """Pairs without links, `size` at a time, with their gold tags; BadInput as `run`."""
    from bench.data.project_stream import Beside, Texts, parts

    rest = parts(Texts(args.source, args.target, args.scheme), size)
    gold: Beside[TaggedSentence] | None = None
    if args.evaluate:
        says = "{} has {} sentences but {} has {} lines"
        gold = Beside(tagged_sentences(args.evaluate), lambda n, all_: says.format(args.evaluate, n, args.target, all_))
    first = 1
    for part in rest:
        yield part, _gold(args, gold.take(len(part), rest), part, first) if gold else None
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
    from bench.core.lines import text_lines
    from bench.data.project_stream import Beside, links_of

    lines = Beside(
        text_lines(args.links),
        lambda n, all_: f"{args.links} has {n} lines of links but there are {all_} sentence pairs",
    )
    for part, gold in rest:
        found = lines.take(len(part), (pairs for pairs, _ in rest))
        first = lines.taken - len(part) + 1
        linked = [
            Pair(pair.source, pair.target, links_of(line, pair, f"{args.links}:{number}"))
            for number, (pair, line) in enumerate(zip(part, found, strict=True), first)
        ]
        yield linked, gold
    lines.finish()


def _gold(args: argparse.Namespace, items: Sequence[TaggedSentence], part: Sequence[Pair], first: int) -> Tags:
    """Gold tags of each target sentence; BadInput where the words differ, or a tag is not O, B-X or I-X."""
    from bench.cli.score import check_tags, tagged_file

    gold = tagged_file(args.evaluate, items)
    for index, (words, pair) in enumerate(zip(gold.words, part, strict=True)):
        place = f"where {args.target}:{first + index} has"
        for position, (word, other) in enumerate(zip(words, pair.target.words, strict=False)):
            if word != other:
                raise BadInput(
                    f"other words in gold and target: {gold.where(index, position)} has '{word}' {place} '{other}'"
                )
        if len(words) != len(pair.target.words):
            raise BadInput(f"{gold.where(index)}: a sentence of {len(words)} words {place} {len(pair.target.words)}")
    check_tags(gold, gold)
    return gold.tags


# --- writing ----------------------------------------------------------------------------------------------------------


@contextmanager
def _output(path: Path) -> Iterator[TextIO]:
    """A file that gets its name when all went well."""
    from bench.core.files import published

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
    print(f"{tally.counts['pairs'] + out} sentences: {tally.written} written, {out} filtered{f' ({by})' if by else ''}")
    print(f"{tally.counts['entities']} entities: " + ", ".join(f"{tally.counts[name]} {name}" for name in OUTCOMES))
    if args.evaluate:
        print(f"\n{score.as_table(tally.score, 'strict', *size)}")
