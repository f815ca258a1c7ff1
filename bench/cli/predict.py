"""`xner predict MODEL_DIR FILE`: entities in new text, by a tagger that a run exported or any transformers tagger."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

from bench.core.conll import TaggedFile, conll_text, has_control
from bench.core.errors import BadInput, nearest
from bench.core.files import published, text_lines
from bench.core.languages import NLLB
from bench.core.sentences import Sentence
from bench.core.tokenise import SCHEMES, tokenise

ENDINGS = {".txt": "text", **dict.fromkeys((".conll", ".conllu", ".iob", ".iob2", ".bio"), "conll")}
BLOCK = 4096  # sentences that are held at a time


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "predict",
        help="tag new text with a trained tagger",
        description="Tag plain text, a sentence a line, or a CoNLL file, whose own tags are not read. Output is CoNLL, "
        "IOB2: the word, a tab, the tag. Long sentences are read in windows; no word is left out.",
    )
    about = "OUT/taggers/KEY of a run with --keep-models, or any transformers token classifier with IOB2 labels"
    parser.add_argument("model", type=Path, metavar="MODEL_DIR", help=about)
    parser.add_argument("file", type=Path, metavar="FILE", help="the text to tag")
    parser.add_argument("--format", choices=("text", "conll"), help="of FILE (default: by its ending, such as .txt)")
    parser.add_argument("--language", metavar="CODE", help="of FILE; needed to split plain text into words")
    about = "how plain text is split into words; spaces: it is split already (default: ud)"
    parser.add_argument("--tokenisation", choices=(*SCHEMES, "spaces"), default="ud", help=about)
    parser.add_argument("--out", type=Path, metavar="F", help="where the CoNLL goes (default: standard output)")
    parser.add_argument("--decoding", choices=("greedy", "viterbi"), default="greedy", help="(default: greedy)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the model runs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tag the file; a line of counts goes to standard error.

    Raises:
        BadInput: a file cannot be read or written, or the folder holds no tagger.
    """
    sentences = _sentences(args)
    first = next(sentences, None)  # a bad file is found before a model is loaded
    if first is None:
        raise BadInput(f"{args.file}: no sentence in this file")
    if args.out and args.out.resolve() == args.file.resolve():
        raise BadInput(f"--out {args.out}: this is FILE itself")
    from bench.train.memory import resolve_device
    from bench.train.tagger import Predictor

    tagger = Predictor(args.model, resolve_device(args.device, ()), args.decoding)
    counts = {"sentences": 0, "words": 0, "entities": 0}
    remaining = itertools.chain([first], sentences)
    with written(args.out) if args.out else nullcontext(sys.stdout) as file:
        while block := list(itertools.islice(remaining, BLOCK)):
            tagged = tagger.tagged(block)
            file.write(conll_text(tagged))
            counts["sentences"] += len(tagged)
            counts["words"] += sum(len(sentence.words) for sentence in tagged)
            counts["entities"] += sum(len(sentence.spans or ()) for sentence in tagged)
    print(", ".join(f"{count} {name}" for name, count in counts.items()), file=sys.stderr)
    return 0


@contextmanager
def written(out: Path) -> Iterator[TextIO]:
    """The file of --out, published only if the block succeeds. BadInput where it cannot be written."""
    try:
        with published(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield file
    except OSError as error:
        raise BadInput(f"--out {out}: cannot be written: {error.strerror}") from error


def _sentences(args: argparse.Namespace) -> Iterator[Sentence]:
    """The file's sentences, without labels, one at a time. BadInput as `run`."""
    if args.language and args.language not in NLLB:
        raise BadInput(f"--language {args.language}: unknown{nearest(args.language, NLLB)}")
    form = args.format or ENDINGS.get(args.file.suffix.lower())
    if form is None:
        raise BadInput(f"{args.file}: say --format text or --format conll: the file's extension tells neither")
    if form == "conll":
        return _of_conll(args.file, args.language or "")
    if not args.language and args.tokenisation != "spaces":
        way_out = "needs --language CODE to be split into words, or --tokenisation spaces"
        raise BadInput(f"{args.file}: plain text {way_out}")
    return _of_text(args.file, args.language or "", args.tokenisation)


def _of_conll(path: Path, language: str) -> Iterator[Sentence]:
    for number, item in enumerate(TaggedFile(path), 1):
        id_ = item.comment("sent_id") or f"{path.stem}-{number}"
        yield Sentence(id_, language, item.words, None, item.comment("parallel_id", "group"))


def _of_text(path: Path, language: str, scheme: str) -> Iterator[Sentence]:
    """A sentence per line, numbered by line; empty lines give none."""
    for number, line in enumerate(text_lines(path), 1):
        line = line.replace("\t", " ")
        if has_control(line):
            raise BadInput(f"{path}:{number}: a control character in {line[:60]!r}")
        words = tuple(filter(None, line.split(" "))) if scheme == "spaces" else tokenise(line, language, scheme)
        if words:
            yield Sentence(f"{path.stem}-{number}", language, words)
