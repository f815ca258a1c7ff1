"""Driving Apertium's programs (Forcada et al. 2011; Khanna et al. 2021): numbered records in, text and chunks out.

A mode is a pipe of programs. They are run one after the other, each on all records at once: text, `[#17]`, NUL. Before
each lexical unit of the first program's analysis stands a word-bound blank, `[[t:s:3]]`, that the others carry along,
so that the result says which unit each of its parts comes from. The statistical tagger lets a record change the next
one's analysis: it alone is started for each record, which makes translations independent of each other.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.core.errors import BadInput
from data_recipes.translators._texts import Asked, Characters, Chunk, Draft

PATIENCE = 600  # seconds that one program may take before it counts as hanging
ATTACH, DETACH, TAGGER = "apertium-wblank-attach", "apertium-wblank-detach", "apertium-tagger"
_SPECIAL = re.compile(r"[\\\[\]{}^$/@<>*]")
_NUMBER = re.compile(r" ?(?<!\\)\[#(\d+)\]")
_UNIT = re.compile(r"\\.|\^(?P<surface>(?:\\.|[^\\/$])*)/(?P<analyses>(?:\\.|[^\\$])*)\$", re.DOTALL)
_BOUND = re.compile(r"\\.|\[\[(?P<ids>[^\]/]*)\]\](?P<unit>\^(?:\\.|[^\\$])*\$)", re.DOTALL)
_PART = re.compile(r"\\(?P<escaped>.)|\[\[(?P<ids>[^\]]*)\]\]|\[[^\]]*\]|(?P<plain>.)", re.DOTALL)


class Died(BadInput):
    """A program failed, or was killed by a signal."""


class Part(NamedTuple):
    """A stretch of output, and the word-bound blank around it; "" where there is none."""

    ids: str
    text: str

    def sources(self, places: Sequence[Characters]) -> tuple[Characters, ...]:
        """The places in the source of the units that the blank names."""
        return tuple(places[int(number)] for number in sorted(set(re.findall(r"t:s:(\d+)", self.ids))))


@dataclass(frozen=True)
class TranslationMode:
    """A direction of a pair: its programs with their arguments."""

    name: str
    commands: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, path: Path) -> TranslationMode:
        """The mode of a file, as `apertium-wblank-mode` rewrites it for NUL-flushed records with word-bound blanks.

        Raises:
            BadInput: it cannot be read so.
        """
        line = _run(("apertium-wblank-mode", "-z", str(path)), "").strip()
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|")
        lexer.whitespace_split, lexer.commenters = True, ""
        commands: list[tuple[str, ...]] = [()]
        for word in lexer:
            if word == "|":
                commands.append(())
            elif word != "$2":  # a mark for words that the tagger does not know
                commands[-1] = (*commands[-1], "-n" if word == "$1" else word)  # -n: unknown words without a mark
        commands = [command for command in commands if command and command[0] != ATTACH]  # the blanks are our own
        if (DETACH,) not in commands[1:-1]:
            raise BadInput(f"apertium: {path} is not a mode with word-bound blanks: {line[:200]}")
        return cls(path.stem, tuple(commands))

    def programs(self) -> list[str]:
        """The names of the programs, sorted."""
        return sorted({command[0] for command in self.commands})

    def files(self) -> list[Path]:
        """The dictionaries and rules that the programs read."""
        return sorted({Path(word) for command in self.commands for word in command[1:] if Path(word).is_file()})

    def translate(self, asked: Sequence[Asked]) -> list[Draft]:
        """Each text's translation; one that a program loses or crashes on has failed, and affects no other.

        Raises:
            BadInput: a program is missing, hangs, or crashes on a full stop.
        """
        record = ". [#0]\0"
        for command in self.commands:  # a mode that does not work at all is an error
            record = _run(command, record)
        if not _NUMBER.search(record):
            raise BadInput(f"apertium: mode {self.name} does not work: it turns a full stop into {record[:100]!r}")
        # line ends, NUL and the like become spaces, so that places stay the same
        texts = ["".join(" " if unicodedata.category(c) == "Cc" else c for c in request.text) for request in asked]
        first, *later = self.commands
        records = passed(first, {i: escaped(text) for i, text in enumerate(texts) if text.strip()})
        places = {}
        for i, analysis in records.items():
            records[i], places[i] = bound(analysis, texts[i], asked[i].kept)
        generated: dict[int, str] = {}  # before post-generation, which joins several words into one
        for number, command in enumerate(later):
            if command[0] == DETACH:
                records = {i: without_added(record) for i, record in records.items()}
            if command[0] == TAGGER:
                records = {i: done for i, record in records.items() for done in passed(command, {i: record}).values()}
            else:
                records = passed(command, records)
            if later[number - 1][0] == DETACH:
                generated = records
        drafts = [Draft("", "failed")] * len(asked)
        for i, record in records.items():
            text, chunks = read(record, generated[i], places[i])
            drafts[i] = Draft(text, "translated" if text.strip() else "failed", chunks)
        return drafts


def passed(command: Sequence[str], records: Mapping[int, str]) -> dict[int, str]:
    """A program's output for each record, by number, without those that it loses or crashes on.

    Records are recognised by their number; those that are missing are tried again in halves.

    Raises:
        BadInput: the program cannot be started, or hangs.
    """
    outputs: dict[int, str] = {}
    try:
        output = _run(command, "".join(f"{text} [#{number}]\0" for number, text in records.items()))
    except Died:
        output = ""
    for record in output.split("\0"):
        numbers = _NUMBER.findall(record)
        if len(numbers) == 1 and int(numbers[0]) in records:
            outputs[int(numbers[0])] = _NUMBER.sub("", record)
    missing = [number for number in records if number not in outputs]
    if missing and len(records) > 1:
        half = len(missing) // 2
        for part in (missing[:half], missing[half:]):
            outputs |= passed(command, {number: records[number] for number in part}) if part else {}
    return {number: outputs[number] for number in records if number in outputs}


def _run(command: Sequence[str], text: str) -> str:
    try:
        done = subprocess.run(command, input=text.encode(errors="replace"), capture_output=True, timeout=PATIENCE)
    except OSError as error:
        raise BadInput(f"apertium: {command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"apertium: {command[0]} was not done after {PATIENCE} seconds") from error
    if done.returncode:
        complaint = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        raise Died(f"apertium: {command[0]} failed ({done.returncode}): {complaint or 'it said nothing'}")
    return done.stdout.decode(errors="replace")


def escaped(text: str) -> str:
    """The text with a backslash before each character that means something in Apertium's stream."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def bound(analysis: str, text: str, kept: Sequence[Characters]) -> tuple[str, list[Characters]]:
    """The analysis with a numbered word-bound blank before each unit, and the place of each unit in the text.

    A unit that touches characters to be `kept` becomes an unknown word, which every later program copies.
    """
    places: list[Characters] = []
    at = 0

    def marked(match: re.Match[str]) -> str:
        nonlocal at
        if match["surface"] is None:
            return match[0]
        surface = re.sub(r"\\(.)", r"\1", match["surface"], flags=re.DOTALL)
        start = text.find(surface, at)
        at = max(at, start + len(surface)) if start >= 0 else at
        places.append((start, at) if start >= 0 else (at, at))
        copied = any(begin < at and start < end for begin, end in kept)
        analyses = f"*{match['surface']}" if copied else match["analyses"]
        return f"[[t:s:{len(places) - 1}]]^{match['surface']}/{analyses}$"

    return _UNIT.sub(marked, analysis), places


def without_added(record: str) -> str:
    """The record without the noun's blank on articles and prepositions that translation added to it (ours).

    Otherwise entities would begin with a `la` or `de` for which the source has no word.
    """
    units = [match for match in _BOUND.finditer(record) if match["ids"]]
    others = {match["ids"] for match in units if not _is_added(match["unit"])}
    return _BOUND.sub(lambda m: m["unit"] if m["ids"] in others and _is_added(m["unit"]) else m[0], record)


def _is_added(unit: str) -> bool:
    return "<det>" in unit or "<pr>" in unit


def parts_of(record: str) -> list[Part]:
    """The stretches of an output record, unescaped."""
    parts: list[Part] = []
    ids = ""
    for match in _PART.finditer(record):
        if match["ids"] is not None:
            ids = match["ids"] if match["ids"] != "/" else ""
            parts.append(Part(ids, ""))
        elif letter := match["escaped"] or match["plain"]:
            parts[-1:] = [Part(ids, parts[-1].text + letter if parts else letter)]
    return [part for part in parts if part.text]


def read(final: str, generated: str, places: Sequence[Characters]) -> tuple[str, tuple[Chunk, ...]]:
    """The translation and its chunks. Post-generation joins units and their blanks (`de` and `el` in `del Sol`).

    The record as `generated` tells joined units apart: each has its own text where that still stands; the others share
    what is left.
    """
    queue = [part for part in parts_of(generated) if part.ids]
    text = ""
    chunks: list[Chunk] = []
    for part in parts_of(final):
        start, text = len(text), text + part.text
        if not part.ids:
            continue
        joined = _joined(part, queue)
        queue = queue[queue.index(joined[-1]) + 1 :] if joined else queue
        chunks += _chunks(part, start, joined or [part], places)
    return text, tuple(chunk for chunk in chunks if chunk.sources)


def _joined(part: Part, queue: Sequence[Part]) -> list[Part]:
    """The consecutive parts that were joined into this one: their blanks make up its blank."""
    for first in range(len(queue)):
        ids = ""
        for last in range(first, len(queue)):
            ids += f"; {queue[last].ids}" if ids else queue[last].ids
            if ids == part.ids:
                return list(queue[first : last + 1])
            if not part.ids.startswith(ids):
                break
    return []


def _chunks(part: Part, start: int, joined: Sequence[Part], places: Sequence[Characters]) -> list[Chunk]:
    if len(joined) == 1:
        return [Chunk((start, start + len(part.text)), part.sources(places))]
    chunks, unmatched, gaps = [], "", []
    at = 0
    for piece in joined:
        own = piece.text.strip("~ ")  # ~ wakes post-generation
        match = re.compile(re.escape(own), re.IGNORECASE).search(part.text, at) if own else None
        if match is None:
            unmatched += piece.ids + ";"
            continue
        chunks.append(Chunk((start + match.start(), start + match.end()), piece.sources(places)))
        gaps.append((start + at, start + match.start()))
        at = match.end()
    gaps.append((start + at, start + len(part.text)))
    return chunks + [Chunk(gap, Part(unmatched, "").sources(places)) for gap in gaps if gap[0] < gap[1]]
