"""`xner translate SRC`: sentences in another language."""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.align import progress_bar
from bench.cli.formats import add_format, formats_of
from bench.core.conll import Ids, TaggedFile
from bench.core.errors import BadInput
from bench.core.files import Lines, sha256_of, sha256_of_file
from bench.core.sentences import Sentence
from bench.core.tokenise import SCHEMES
from bench.plan.spec import add_settings, parsed
from bench.store.artefacts import growing

if TYPE_CHECKING:
    from bench.data.translating import Translating


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "translate",
        help="translate sentences",
        description="Tokenised translations, a line for each line; a sentence that has none is an empty line, and "
        "counted on standard error. After an interruption the same command resumes (F.part, F.part.json).",
    )
    parser.add_argument("sentences", type=Path, metavar="SRC", help="one tokenised sentence a line: words by spaces")
    parser.add_argument("--conll", action="store_true", help="SRC is a CoNLL file; dictionary copies its persons")
    parser.add_argument("--translator", required=True, metavar="T", help="nllb, marian, dictionary, …")
    add_settings(parser, "translator, such as model=FOLDER, beams=1 or engine=ctranslate2")
    parser.add_argument("--source", default="en", metavar="CODE", help="language of SRC (default: en)")
    parser.add_argument("--target", required=True, metavar="CODE", help="language to translate into")
    parser.add_argument("--tokenisation", choices=SCHEMES, default="ud", help="of the translations (default: ud)")
    parser.add_argument("--out", default="-", metavar="F", help="where to write (default: -, standard output)")
    parser.add_argument("--tsv", action="store_true", help="write translations/CODE.tsv of corpus conll: id, text")
    parser.add_argument("--links", type=Path, metavar="F", help="also write the translator's own word links (0-0 1-2)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where a model runs")
    parser.add_argument("--block", type=int, default=512, metavar="N", help="sentences between two writes (512)")
    parser.add_argument("--restart", action="store_true", help="start over, without what an interrupted run left in F")
    add_format(parser, "SRC")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Translate, and print the outcomes of the lines.

    Raises:
        BadInput: a file cannot be read or written, the translator or a language is not available, or an interrupted
            translation had other input.
    """
    from bench.data.translating import Translating, TranslatorChoice

    pipe = args.sentences.exists() and not args.sentences.is_file()
    try:
        content = "" if pipe else sha256_of_file(args.sentences)
    except OSError as error:
        raise BadInput(f"{args.sentences}: cannot be read: {error.strerror}") from error
    if args.block < 1:
        raise BadInput(f"--block {args.block}: at least one sentence")
    if args.device == "cuda":
        from bench.train.memory import resolve_device

        resolve_device(args.device, ())
    asked = (args.source, args.target, args.tokenisation, args.device, args.tsv, args.links is not None, args.block)
    job = Translating(TranslatorChoice(args.translator, parsed(args.settings), *asked))
    (form,) = formats_of(args)
    sentences: Iterable[Sentence] = Lines(args.sentences, args.source, form.normalise)
    if not args.conll and not pipe and _looks_tagged(sentences):
        raise BadInput(f"{args.sentences}: every line ends with a tag, so this is a CoNLL file: say --conll")
    if args.conll:
        file, ids = TaggedFile(args.sentences, form), Ids()  # a TSV's rows are identified by id
        sentences = [file.sentence(item, number, args.source, ids) for number, item in enumerate(file, 1)]
        for note in file.notes():
            print(f"note: {note}", file=sys.stderr)
    if pipe:
        sentences = list(sentences)  # it can be read once
        content = sha256_of("\n".join(" ".join(sentence.words) for sentence in sentences))
    how = str(form) if args.conll else form.normalise
    made_of = {**job.made_of, "sentences": content, "conll": how, "ids": args.sentences.stem if args.tsv else ""}
    made_of["links"] = str(args.links.resolve()) if args.links else ""
    with _writer(args, job, made_of) as write, progress_bar() as progress:
        total = sum(1 for _ in sentences)  # reads the whole file, so that a bad line is found at once
        job.run(sentences, total, write, progress)
    tally = job.tally
    counts = ", ".join(f"{name} {count}" for name, count in sorted(tally.counts.items()) if count)
    print(
        f"{tally.lines} lines: {tally.translated} translated, {tally.lines - tally.translated} without a translation"
        + (f" ({counts})" if counts else "")
        + (f", by {tally.provenance}" if tally.provenance else "")
        + ("" if args.out == "-" else f": {args.out}"),
        file=sys.stderr,
    )
    return 0


def _looks_tagged(lines: Iterable[Sentence]) -> bool:
    """Whether the first lines are words with their tags, not sentences."""
    rows = [line.words for line in itertools.islice(lines, 100) if line.words and line.words[0] != "#"]
    return len(rows) > 1 and all(len(row) > 1 and re.fullmatch(r"O|[BIES]-\S+", row[-1]) for row in rows)


@contextmanager
def _writer(
    args: argparse.Namespace, job: Translating, made_of: Mapping[str, object]
) -> Iterator[Callable[[Sequence[str]], None]]:
    """A function that writes the texts of a block, to standard output or to files that can be resumed."""
    if args.out == "-":
        if args.links or args.restart:
            raise BadInput(f"{'--links' if args.links else '--restart'} needs --out F: a file for the translations")
        yield lambda texts: print(texts[0], end="", flush=True)
        return
    from bench.data.translating import TranslationTally

    files = [Path(args.out), *([args.links] if args.links else [])]
    places = [path.resolve() for path in (args.sentences, *files)]
    if len(set(places)) < len(places):
        raise BadInput(f"{args.out}: SRC, --out and --links must be different files")
    with growing(files, made_of, args.restart) as output:
        job.tally = TranslationTally.of(output.notes)
        if job.tally.lines:
            print(f"{args.out}: resumes after line {job.tally.lines}", file=sys.stderr)
        yield lambda texts: output.append(texts, job.tally.notes())
        output.finish()
