"""The bilingual dictionaries of Wiktionary: how their lines are read, and how translations are ranked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from bench.api.source_files import data_dir, here, index
from bench.core.conll import read_lines
from bench.core.errors import Unavailable
from bench.core.files import sha256_of_unchanged
from data_recipes.serbian import of_dialect, to_latin, without_tones

FOLDER = "wiktionary"
_CODES = {"ar": "arb", "bs": "sh", "hr": "sh", "nb": "no", "sr": "sh", "zh": "cmn"}  # our code: their code
# a translation into these in Latin letters is a transcription
_OTHER_SCRIPT = frozenset({"ar", "bg", "fa", "hi", "ja", "ko", "zh"})
_SERBO_CROATIAN = frozenset({"bs", "hr", "sr"})
_FUNCTION = frozenset({"article", "determiner", "particle", "prep"})  # may have no counterpart
_CLOSED = _FUNCTION | {"conj", "contraction", "num", "pron", "prop"}  # a word that can be one mostly is one (ours)
_USUAL = {"an": "article", "the": "article", "not": "adv"}
_USUAL |= dict.fromkeys(("can", "may", "might", "must", "shall", "will"), "v")

_LINE = re.compile(r"^(?P<head>[^{]+?) \{(?P<kind>[^}]*)\}(?P<gloss>.*?)(?: SEE: (?P<see>.*?))? ::(?P<right>.*)$")
_BRACKETS = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|\{[^{}]*\}")
_TRANSCRIPTION = re.compile(r" /[^\s/][^/]*/| /[^\s/][^/,;]*$")
_SEPARATOR = re.compile(r"[,;،，、]|\s/\s")
_ARTICLE = re.compile(r"^(?:[Aa]n?|[Tt]he|[Tt]o) (?=\S)")
_REMARK = re.compile(
    r"\b(?:[Nn]ot used|[Uu]se[ds]?|case|tense|equivalent|expressed|given name|surname)\b|\.\.\.|…|[+~=<>]"
)
_RARE = re.compile(r"\b(?:archaic|obsolete|dated|slang|vulgar|rare|historical)\b")
_ARABIC_MARKS = re.compile("[\u064b-\u0652\u0670\u0640]")


Scores = dict[str, dict[str, float]]  # of each headword's translations


class Line(NamedTuple):
    """One sense of a headword: word class, gloss, the headword that it refers to ("" for none), translations."""

    head: str
    kind: str
    gloss: str
    see: str
    items: tuple[str, ...]


@dataclass
class Lexicon:
    """Translations of headwords, best first, for one direction of one pair of languages."""

    best: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=dict)  # the word classes of a headword
    silent: set[str] = field(default_factory=set)  # function words that have entries but no translation


def files_for(source: str, target: str) -> tuple[Path, ...]:
    """The dictionaries of a pair, one side of which is English: into the target first, then the reverse.

    Raises:
        Unavailable: neither is here, or none exists; with the file's name.
    """
    if "en" not in (source, target) or source == target:
        raise Unavailable(f"the dictionaries are between English and other languages, not from {source} into {target}")
    source_code, target_code = (_CODES.get(code, code) for code in (source, target))
    names = [f"{FOLDER}/{a}-{b}-enwiktionary.txt" for a, b in ((source_code, target_code), (target_code, source_code))]
    present = tuple(path for name in names if (path := data_dir() / name).is_file())
    if present:
        return present
    listed = {entry.path for entry in index()}
    for name in names:
        if name in listed:
            here(name)  # raises, with how to fetch it
    raise Unavailable(f"there is no dictionary {names[0]} or {names[1]}")


def hashes_of(paths: Iterable[Path]) -> dict[str, str]:
    """sha256 of the files by name."""
    return {path.name: sha256_of_unchanged(path) for path in paths}


def version_of(path: Path) -> str:
    """For example "en-hu 20150102": the dictionary and the date of its Wiktionary."""
    line = next((line for line in read_lines(path)[:8] if line.startswith("# Version ::")), "")
    return f"{path.name.removesuffix('-enwiktionary.txt')} {line.removeprefix('# Version ::').strip()}".strip()


def lexicon(paths: Sequence[Path], source: str, target: str) -> Lexicon:
    """Translations from the files of `files_for`, read once per process."""
    return _lexicon(tuple((path, path.stat().st_mtime_ns) for path in paths), source, target)


@lru_cache(maxsize=8)
def _lexicon(paths: tuple[tuple[Path, int], ...], source: str, target: str) -> Lexicon:
    made = Lexicon()
    scores: Scores = {}
    see: dict[str, str] = {}
    weak: set[str] = set()
    forward = f"{_CODES.get(source, source)}-"
    for path, _ in paths:
        lines = list(_lines(path))
        if path.name.startswith(forward):
            for line in lines:
                made.kinds.setdefault(line.head, set()).add(line.kind)
                if line.see:
                    see.setdefault(line.head, line.see)
                elif not _vote(scores.setdefault(line.head, {}), line, target):
                    weak.update([line.head] if line.kind in _FUNCTION else [])
        else:
            _invert(lines, scores, made.kinds, source, target)
    # ties go to the shortest item, since frequent words are short, then to the first of the file
    made.best = {h: max(items, key=lambda item: (items[item], -len(item))) for h, items in scores.items() if items}
    made.silent = weak - set(made.best)
    for head in see:
        followed = see.get(see[head], see[head]) if see[head] not in made.best else see[head]
        if head not in made.best and followed in made.best:
            made.best[head] = made.best[followed]
    if source == "en":
        made.best.pop("a", None)  # translated like `an`: its other senses (a day = per day) are rare
        if "an" in made.best:
            made.best["a"] = made.best["an"]
        made.silent.update({"a", "an", "the"} - made.best.keys())
    return made


def _lines(path: Path) -> Iterator[Line]:
    for text in read_lines(path):
        if not text.startswith("#") and "name of the letter" not in text and (match := _LINE.match(text)):
            right = _TRANSCRIPTION.sub("", match["right"])
            while (bare := _BRACKETS.sub("", right)) != right:
                right = bare
            items = (" ".join(item.replace("script:", "").split()) for item in _SEPARATOR.split(right))
            see = match["see"] or ""
            yield Line(match["head"].strip(), match["kind"], match["gloss"], see, tuple(filter(None, items)))


def _vote(scores: dict[str, float], line: Line, target: str) -> bool:
    """Add a sense's translations: the first counts 1, the second 1/2 …, a quarter of that for rare senses (ours)."""
    longest = len(line.head.split()) + 2  # longer items are explanations
    usable = [item for item in (_plain(item, target) for item in line.items) if _is_translation(item, longest, target)]
    if target in _SERBO_CROATIAN:
        usable = of_dialect(usable, target)
    weight = (0.25 if _RARE.search(line.gloss) else 1.0) * _share(line.kind, line.head)
    for rank, item in enumerate(dict.fromkeys(usable), 1):
        scores[item] = scores.get(item, 0.0) + weight / rank
    return bool(usable)


def _share(kind: str, head: str) -> float:
    """The weight of a word class, where a word has several, relative to nouns, verbs and adjectives."""
    usual = _USUAL.get(head)
    return 3.0 if kind == usual or (usual is None and kind in _CLOSED) else 1.0


def _invert(lines: Sequence[Line], scores: Scores, kinds: dict[str, set[str]], source: str, target: str) -> None:
    """Read a dictionary backwards: half the weight, and only the best sense of a headword counts (ours)."""
    top: Scores = {}
    for line in lines:
        word = _plain(line.head, target)
        if not _is_translation(word, 4, target):
            continue
        for rank, item in enumerate(line.items, 1):
            head = _ARTICLE.sub("", item) if source == "en" else _plain(item, source)
            if not head or len(head.split()) > 3 or _REMARK.search(head):
                continue
            kind = "v" if line.kind.startswith("v") else line.kind
            weights = top.setdefault(head, {})
            weights[word] = max(weights.get(word, 0.0), 0.5 * _share(kind, head) / rank)
            kinds.setdefault(head, set()).add(kind)
    for head, words in top.items():
        weights = scores.setdefault(head, {})
        for word, weight in words.items():
            weights[word] = weights.get(word, 0.0) + weight


def _is_translation(item: str, longest: int, target: str) -> bool:
    words = item.split()
    if not words or len(words) > longest or item[0] in "–0123456789" or item[-1] in "–:":
        return False
    if any(word[0] == "-" or word[-1] == "-" for word in words):
        return False
    if target in _OTHER_SCRIPT and not any(letter.isalpha() and ord(letter) > 0x36F for letter in item):
        return False
    return not _REMARK.search(item)


def _plain(item: str, target: str) -> str:
    """A dictionary's spelling as in running text: no marks of stress, tone, vowels; Latin; simplified Chinese."""
    if target in _SERBO_CROATIAN:
        return to_latin(without_tones(item))
    if target == "bg":
        bare = (letter for letter in unicodedata.normalize("NFD", item) if letter not in "\u0300\u0301")
        return unicodedata.normalize("NFC", "".join(bare))
    if target in ("ar", "fa"):
        return _ARABIC_MARKS.sub("", item)
    if target == "ro":
        return item.translate(str.maketrans("şţŞŢ", "șțȘȚ"))
    return _simplified().convert(item) if target == "zh" else item


@lru_cache(maxsize=1)
def _simplified() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")
