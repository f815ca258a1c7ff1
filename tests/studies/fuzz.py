"""Readers of files on mutated input: `python -m tests.studies fuzz --inputs 200000 [--reader conll]`.

Each input is read, or refused with one clear error; never another exception, never more than a second, and of what is
read nothing is lost: words are the lines (or fields) that hold them, spans lie inside, ids and rows are all there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.core.conll import Format, TaggedFile, conll_text, read_conll, read_tagged
from bench.core.errors import BadInput
from bench.core.files import read_parallel
from bench.core.sentences import MODES, SCHEMES, Pair, Sentence
from bench.measure.links import LinkLines
from bench.measure.tagged import Tagged
from bench.plan.spec import parsed_matrix
from bench.run.slurm import load_profile
from bench.store.record import Record, from_json
from bench.store.sidecars import Damaged, read_sidecar
from data_recipes.corpora.conll.corpus import read_translations
from data_recipes.corpora.wikiann.corpus import read_text
from tests.conftest import toy_sentences
from tests.support.e2e_tools import matrix_text
from tests.support.tag_scores import encode

TYPES = ("PER", "LOC")
LONGEST = 1.0  # seconds an input may take
PIECES = (
    *(
        b"\0",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\n",
        b"\t",
        b"\t\t",
        b" ",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc3",
    ),
    *("\u2028", "\x85", "\u00a0", "\u200b", "\u202e", "\x1b[31m", "\U0001f600", "e\u0301", "\ufeff"),
    *(
        "#",
        "# ",
        "# sent_id = x",
        "-DOCSTART-",
        "O",
        "B-PER",
        "I-PER",
        "B-",
        "-",
        "I-X-Y",
        "b-per",
        "../x",
        "<b>&",
        "\\",
    ),
    *("0-0", "0-1", "1?0", "999999999999", "9" * 5000, "-1", "1e999", "nan", "true", "[", "{" * 50, '"', "'''", "="),
)
SPLICES = tuple(piece if isinstance(piece, bytes) else piece.encode() for piece in PIECES)


def mutated(seed: bytes, draw: random.Random) -> bytes:
    """The seed with one to six changes: bytes, pieces, lines."""
    data = bytearray(seed)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(data) + 1)
        to = min(len(data), at + draw.choice((1, 1, 2, 5, 40)))
        kind = draw.randrange(7)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] = draw.randrange(256)
        elif kind == 1:
            del data[at:to]
        elif kind in (2, 3):
            data[at:at] = draw.choice(SPLICES)
        elif kind == 4:
            data[at:at] = data[at:to]
        else:
            lines = data.split(b"\n")
            i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
            if kind == 5:
                lines[i], lines[j] = lines[j], lines[i]
            else:
                lines.insert(i, lines[j])
            data = bytearray(b"\n".join(lines))
    return bytes(data[:20000])


# --- readers: each takes a file and raises AssertionError where it is accepted with something lost --------------------


def _content(path: Path) -> list[str]:
    return [line for line in path.read_bytes().decode("utf-8-sig").split("\n") if line.strip()]


def _inside(sentence: Sentence) -> None:
    assert sentence.words and all(sentence.words)
    last = 0
    for span in sentence.spans or ():
        assert last <= span.start < span.end <= len(sentence.words)
        last = span.end


def conll(path: Path) -> None:
    found = read_conll(path, "de", TYPES)
    lines = _content(path)
    words = sum(len(sentence.words) for sentence in found)
    extra = sum(line.startswith(("#", "-DOCSTART-")) for line in lines)
    skipped = _skipped(TaggedFile(path))
    assert len(lines) - extra - skipped <= words <= len(lines)
    for sentence in found:
        _inside(sentence)
    entities = sum(len(sentence.spans or ()) for sentence in found)
    begun = sum(tag.startswith("B-") for item in read_tagged(path) for tag in item.tags)
    assert entities == begun, "a B- tag is an entity"


def _skipped(file: TaggedFile) -> int:
    """Lines that are no words and say so; comments at the head of a sentence are not counted."""
    list(file)
    return sum(count for count, _ in file.skipped.values())


def options(path: Path) -> None:
    """Columns of GermEval, UNER, HIPE-2022 and CoNLL-U, every scheme and mode, label map, comments, normal form."""
    draw = random.Random(path.read_bytes())
    given: dict[str, Any] = {"token": 1, "tag": draw.choice((2, 2, 2, -1))}
    if path.read_bytes() != _columns() and draw.random() < 0.6:
        given |= {"token": draw.choice((None, 0, 1, 1, -2, 99)), "tag": draw.choice((None, 2, 2, 3, -1, -99))}
        given["separator"] = draw.choice(("", "", "\t", " ", ","))
        given["scheme"] = draw.choice(SCHEMES)
        given["label_map"] = draw.choice(({}, {}, {"PER": "O"}, {"LOC": "PER", "O": "O"}))
        given["comments"] = draw.choice((None, None, "#", "# ", "", "%"))
        given["normalise"] = draw.choice(("", "NFC", "NFKC"))
    mode = draw.choice(MODES)
    read = Tagged.read(path, Format(**given))
    assert all(note for note in read.notes(mode))
    kept = read.entities(mode)
    lost = read.dropped(mode)
    for item, spans in zip(read.items, kept, strict=True):
        _inside(Sentence("x", "de", item.words, spans))
    if not lost:
        assert read.gold(mode) == kept
    lines = _content(path)
    head = sum(line.startswith(("#", "%", "-DOCSTART-")) or "-DOCSTART-" in line for line in lines)
    words = sum(len(item.words) for item in read.items)
    assert len(lines) - head - _skipped(read.file) <= words <= len(lines)


def wikiann(path: Path) -> None:
    rows = read_text(path, "de")
    lines = _content(path)
    extra = sum(line.startswith(("# ", "-DOCSTART-")) for line in lines)
    assert len(lines) - extra <= sum(len(row[0]) for row in rows) <= len(lines)


def translations(path: Path) -> None:
    found = read_translations(path, TYPES)
    lines = _content(path)
    assert len(found.rows) == len(lines) - 1 - lines[0].startswith("# provenance:")
    for row in found.rows.values():
        _inside(Sentence("x", "de", row.words, row.spans))


def parallel(path: Path) -> None:
    pairs = list(read_parallel(path, path))
    text = path.read_bytes().decode("utf-8-sig")
    assert len(pairs) == text.count("\n") + (not text.endswith("\n"))
    for pair in pairs:
        assert "".join(pair.source.words) == "".join(pair.target.words)


PAIR = Pair(Sentence("s", "en", ("a", "b", "c")), Sentence("t", "de", ("x", "y", "z")))


def links(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    for line in text.split("\n"):
        reader = LinkLines()
        gold = reader.read(line, PAIR, "file:1")
        assert "\n" not in reader.warning() and reader.links >= len(gold.sure | gold.possible)
        for link in gold.sure | gold.possible:
            assert 0 <= link[0] < 3 and 0 <= link[1] < 3


def matrix(path: Path) -> None:
    spec = parsed_matrix(str(path), path.read_bytes().decode("utf-8", "replace"))
    assert spec.axes.methods and spec.axes.targets and spec.axes.seeds


def profile(path: Path) -> None:
    load_profile(path)


def record(path: Path) -> None:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return  # a torn record is read as none, and `xner verify` names it
    assert json.loads(json.dumps(asdict(from_json(value)))).keys() >= value.keys()


def sidecar(path: Path) -> None:
    text = path.read_bytes()
    path.write_bytes(gzip.compress(text, 1))
    found = read_sidecar(path)
    assert found.tokens <= text.count(b"\n") and len(found.ids) == len(found.tags) == len(found.words)


def _tsv() -> bytes:
    rows = [f"{s.id}\t{' '.join(s.words)}\t{' '.join(encode(s.spans or (), len(s.words)))}" for s in toy_sentences(4)]
    return "\n".join(["# provenance: human", "id\ttext\ttags", *rows, ""]).encode()


def _wikiann() -> bytes:
    text = conll_text(toy_sentences(5))
    return "\n".join(f"de:{line}" if "\t" in line else "" for line in text.split("\n")).encode()


def _columns() -> bytes:
    """Rows of GermEval or CoNLL-U, by what the reader draws for them."""
    rows = ["ID\tTOKEN\tNE\tNEST\tMISC", "# newdoc id = a", "#\tsource\t[2009-10-17]", "-DOCSTART-\tO\tO"]
    for sentence in toy_sentences(4):
        tags = encode(sentence.spans or (), len(sentence.words))
        rows += [f"# sent_id = {sentence.id}"]
        for number, (word, tag) in enumerate(zip(sentence.words, tags, strict=True), 1):
            rows += [f"{number}\t{word}\t{tag}\tO\tNER={tag}|x=y"]
            rows += ["# key = _"] * (number == 1) + [f"{number}.1\t_\t_\t_\t_"] * (number == 2)
        rows += [""]
    return "\n".join(rows).encode()


def _record() -> bytes:
    one = Record("k", "m", {"label": "a", "target": "de", "seed": 1}, "failed", error={"type": "E", "message": "m"})
    return json.dumps(asdict(one)).encode()


READERS: dict[str, tuple[Callable[[Path], None], Callable[[], bytes]]] = {
    "conll": (conll, lambda: conll_text(toy_sentences(5)).encode()),
    "options": (options, _columns),
    "wikiann": (wikiann, _wikiann),
    "translations": (translations, _tsv),
    "parallel": (parallel, lambda: "\n".join(" ".join(s.words) for s in toy_sentences(5)).encode()),
    "links": (links, lambda: b"0-0 1-2 2-1\n0-0 1?2\n\n1-1 2p2\n"),
    "matrix": (matrix, lambda: matrix_text("tiny").encode()),
    "profile": (profile, lambda: b'partition = "gpu"\ntime = "02:00:00"\ngpus = 1\ncpus = 4\nmemory = 16\n'),
    "record": (record, _record),
    "sidecar": (sidecar, lambda: conll_text(toy_sentences(5)).encode()),
}


@dataclass
class Outcome:
    """What became of a reader's inputs; `faults` are inputs and what was wrong."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    faults: list[tuple[bytes, str]] = field(default_factory=list)


class Hang(Exception):
    """An input took too long."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise Hang in the block after so many seconds."""

    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(name: str, inputs: int, folder: Path, seed: int = 0) -> Outcome:
    """Feed a reader mutated inputs; the same for a seed."""
    read, text = READERS[name]
    draw, whole, path, outcome = random.Random(f"{name} {seed}"), text(), folder / "input", Outcome()
    path.write_bytes(whole)
    read(path)  # the unchanged text is read
    for _ in range(inputs):
        data = mutated(whole, draw)
        path.write_bytes(data)
        begun = time.perf_counter()
        try:
            with limited(LONGEST):
                read(path)
            outcome.read += 1
        except (BadInput, Damaged) as error:
            message = str(error)
            outcome.refused += 1
            if not message or not message.isprintable() or len(message) > 1000:
                outcome.faults.append((data, f"an unclear message: {message[:200]!r}"))
        except Exception as error:  # noqa: BLE001  # to find those is what this is for
            outcome.faults.append((data, f"{type(error).__name__}: {error}"[:300]))
        outcome.slowest = max(outcome.slowest, time.perf_counter() - begun)
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000, help="of each reader")
    parser.add_argument("--reader", choices=sorted(READERS), action="append")
    parser.add_argument("--seed", type=int, default=0)
    args: Any = parser.parse_args(arguments)
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in args.reader or READERS:
            begun = time.monotonic()
            found = fuzz(name, args.inputs, Path(folder), args.seed)
            faults += len(found.faults)
            print(
                f"{name}: {found.read} read, {found.refused} refused, {len(found.faults)} faults, "
                f"slowest {1000 * found.slowest:.0f} ms, {time.monotonic() - begun:.0f} s",
                flush=True,
            )
            for data, what in found.faults[:5]:
                print(f"  {what}\n    {data[:300]!r}")
    return 1 if faults else 0
