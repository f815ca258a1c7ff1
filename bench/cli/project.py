"""`xner project`: labels of a CoNLL file, carried to anybody's translations over word links."""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from bench.cli.align import add_aligner, linked_by
from bench.conll import Scheme, read_lines, write_conll
from bench.corpus import BadInput, Link, Pair, Sentence, tags_of
from data_recipes.projection.project import OUTCOMES
from data_recipes.projection.rules import filter_names, load_rules, matcher_names

if TYPE_CHECKING:
    from bench.measure.score import TagScore

_LINK = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)  # Pharaoh: source word, target word, both from 0


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `project`."""
    parser = commands.add_parser(
        "project",
        help="carry the entity labels of a CoNLL file to its translations",
        description="Entity labels of source sentences, projected on their translations over word links. The output "
        "is always well-formed IOB2, and every source entity is counted once: projected, unaligned, conflicting (its "
        "words went to another entity) or filtered (its sentence was left out).",
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
    from bench.runner.projected import counts_of

    repeated = [name for name, count in Counter(args.filter).items() if count > 1]
    if repeated:
        raise BadInput(f"--filter {repeated[0]} is given twice")
    rules = load_rules(args.matcher, args.filter)
    pairs = read_pairs(args.source, args.target, args.scheme)
    gold = _gold(args.evaluate, args.target, pairs) if args.evaluate else None
    pairs, links_from = _linked(args, pairs)
    done = [rules.apply(pair) for pair in pairs]
    written = [i for i, one in enumerate(done) if args.keep_filtered or not one.refused_by]
    if not written:
        raise BadInput(f"the filters ({', '.join(args.filter)}) leave none of {len(done)} sentences: nothing to write")
    _write(args.out, [done[i].pair.target for i in written])
    refused = Counter(one.refused_by for one in done if one.refused_by)
    summary: dict[str, Any] = {
        "matcher": args.matcher,
        "filters": args.filter,
        "links": links_from,
        "out": str(args.out),
    }
    summary |= {"written": len(written), "refused_by": dict(refused), **counts_of(done)}
    scored = None if gold is None else _scored([gold[i] for i in written], [done[i].pair.target for i in written])
    _print(summary, scored, args.json)
    return 0


def _linked(args: argparse.Namespace, pairs: Sequence[Pair]) -> tuple[list[Pair], str]:
    """The pairs with links from the file or the aligner that was named, and where they are from."""
    if args.links and args.aligner:
        raise BadInput("--links and --aligner: links come from one of them")
    if args.links:
        given = [name for name, value in (("--encoder", args.encoder), ("--set", args.settings)) if value]
        if given:
            raise BadInput(f"{given[0]} belongs to --aligner, but links come from --links {args.links}")
        return read_links(args.links, pairs), str(args.links)
    if not args.aligner:
        raise BadInput("where do the links come from? --links F or --aligner A")
    links, what = linked_by(args, pairs)
    return [replace(pair, links=found) for pair, found in zip(pairs, links, strict=True)], what


# --- reading ----------------------------------------------------------------------------------------------------------


def read_pairs(source: Path, target: Path, scheme: Scheme = "IOB2") -> list[Pair]:
    """Labelled source sentences with their translations, without links; both have the id of the source sentence.

    Raises:
        BadInput: a file cannot be read, the tags break the scheme, a line is empty, or the numbers of sentences differ.
    """
    from bench.lines import Lines, read_labelled

    labelled, lines = read_labelled(source, "", scheme), list(Lines(target, ""))
    if len(labelled) != len(lines):
        raise BadInput(f"{source} has {len(labelled)} sentences but {target} has {len(lines)} lines")
    empty = next((number for number, line in enumerate(lines, 1) if not line.words), None)
    if empty is not None:
        raise BadInput(f"{target}:{empty}: an empty line where a translation should be")
    return [
        Pair(sentence, replace(line, id=sentence.id, group=sentence.group))
        for sentence, line in zip(labelled, lines, strict=True)
    ]


def read_links(path: Path, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with the links of a file in Pharaoh format; an empty line is a pair without links.

    Raises:
        BadInput: the file cannot be read, has another number of lines, or a link is malformed or out of its sentences.
    """
    lines = read_lines(path)
    lines = lines[:-1] if lines[-1] == "" else lines
    if len(lines) != len(pairs):
        raise BadInput(f"{path} has {len(lines)} lines of links but there are {len(pairs)} sentence pairs")
    found = []
    for number, (line, pair) in enumerate(zip(lines, pairs, strict=True), 1):
        links = tuple(sorted({_link(text, pair, f"{path}:{number}") for text in line.split()}))
        found.append(replace(pair, links=links))
    return found


def _link(text: str, pair: Pair, where: str) -> Link:
    match = _LINK.fullmatch(text)
    if not match:
        raise BadInput(f"{where}: '{text}' is no link such as 3-4")
    link = int(match[1]), int(match[2])
    for word, side, name in zip(link, (pair.source, pair.target), ("source", "target"), strict=True):
        if word >= len(side.words):
            raise BadInput(
                f"{where}: link {text}: the {name} sentence has no word {word}, only 0 to {len(side.words) - 1}"
            )
    return link


def _gold(path: Path, target: Path, pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    """Gold tags of each target sentence; BadInput where the words differ, or a tag is not O, B-X or I-X."""
    from bench.cli.score import check_tags, read_file

    gold = read_file(path)
    if len(gold.words) != len(pairs):
        raise BadInput(f"{path} has {len(gold.words)} sentences but {target} has {len(pairs)} lines")
    for index, (words, pair) in enumerate(zip(gold.words, pairs, strict=True)):
        place = f"where {target}:{index + 1} has"
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


def _write(path: Path, sentences: Sequence[Sentence]) -> None:
    from bench.store.files import published

    try:
        with published(path) as temporary:
            write_conll(sentences, temporary)
    except OSError as error:
        raise BadInput(f"--out {path}: cannot be written: {error.strerror}") from error


def _scored(gold: Sequence[tuple[str, ...]], targets: Sequence[Sentence]) -> tuple[TagScore, int]:
    """Scores of the projected labels, strict, and the number of words."""
    from bench.measure.score import score_tags

    found = [tags_of(sentence.spans or (), len(sentence.words)) for sentence in targets]
    return score_tags(gold, found, "strict"), sum(len(tags) for tags in found)


def _print(summary: dict[str, Any], scored: tuple[TagScore, int] | None, as_json: bool) -> None:
    from bench.cli import score

    if as_json:
        scores = {} if scored is None else {"scores": score.as_json(scored[0], "strict", scored[1])}
        print(json.dumps(summary | scores, indent=2, sort_keys=True, ensure_ascii=False))
        return
    out, by = summary["pairs_filtered"], ", ".join(f"{k} {n}" for k, n in sorted(summary["refused_by"].items()))
    print(f"{summary['pairs'] + out} sentences: {summary['written']} written, {out} filtered{f' ({by})' if by else ''}")
    print(f"{summary['entities']} entities: " + ", ".join(f"{summary[name]} {name}" for name in OUTCOMES))
    if scored is not None:
        print(f"\n{score.as_table(scored[0], 'strict', scored[1])}")
