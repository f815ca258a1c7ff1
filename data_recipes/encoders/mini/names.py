"""Which words are names, and parallel lines in which names and other words are exchanged for near ones (ours)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.core.tokenise import UNSPACED
from data_recipes.encoders.mini.links import Links
from data_recipes.encoders.mini.teacher import Teacher

Words = tuple[str, ...]
NEAREST = 40  # words that may stand for one: persons for persons, towns for towns
EXCHANGED_NAMES = 0.7  # share of the names of a line
EXCHANGED = 0.2  # of its other words
VOTERS = 15  # of a word that no dictionary has, the nearest that one has say whether it is a name


@dataclass
class Parallel:
    """English lines and their translations as words, with the links (English word, word) of each translation."""

    english: list[Words]
    foreign: list[Words] = field(default_factory=list)
    language: list[str] = field(default_factory=list)
    line: list[int] = field(default_factory=list)  # the English line of each
    links: list[Links] = field(default_factory=list)

    def add(self, foreign: Words, language: str, line: int, links: Links) -> None:
        """One more translation."""
        self.foreign.append(foreign)
        self.language.append(language)
        self.line.append(line)
        self.links.append(links)

    def extend(self, other: Parallel) -> None:
        """Another text's lines after these."""
        self.line += [line + len(self.english) for line in other.line]
        self.english += other.english
        self.foreign += other.foreign
        self.language += other.language
        self.links += other.links


def usual(teacher: Teacher, spelled: AbstractSet[str]) -> list[str]:
    """The teacher's words, which it has in small letters only, as one writes them: London and Seymour, but table.

    `spelled`: words of a dictionary. What it has not is written as most of those are that are nearest to it in the
    teacher's input embeddings.
    """
    words = teacher.vocabulary()
    known = [w for w in words if w in spelled or w.capitalize() in spelled]
    if not known:
        return words
    capital = np.array([w not in spelled for w in known])
    others = [w for w in words if w not in spelled and w.capitalize() not in spelled]
    names = {w for w, is_name in zip(known, capital, strict=True) if is_name}
    if others:
        near = _nearest(_unit(teacher, others), _unit(teacher, known), min(VOTERS, len(known)))
        names |= {w for w, row in zip(others, near, strict=True) if capital[row].mean() > 0.5}
    return [w.capitalize() if w in names else w for w in words]


def is_name(word: str, lower: AbstractSet[str]) -> bool:
    """Whether a word looks like a name: a capital at its front, and nowhere without one."""
    return len(word) > 2 and word.isalpha() and word[0].isupper() and word.lower() not in lower


@dataclass(frozen=True)
class Stock:
    """What words are exchanged for: names, other words, and how languages write them, by (language, English word)."""

    names: Sequence[str]
    words: Sequence[str]
    spelled: Mapping[tuple[str, str], Words]

    def of(self, language: str, word: str) -> Words:
        """A word as a language writes it, a name else as English does; () where that is not known."""
        known = self.spelled.get((language, word), ())
        return known or (() if language in UNSPACED or word[0].islower() else (word,))


def exchanged(
    text: Parallel, stock: Stock, lower: AbstractSet[str], teacher: Teacher, variants: int, seed: int
) -> Parallel:
    """`variants` further versions of every translated English line, with other names and words in it.

    A word goes for one of those nearest to it in the teacher's input embeddings. Each translation goes with one of the
    versions, with the same words where it has the old one linked to it alone and the new one is known in its language.
    Where that cannot be, it keeps its own word without a link. The line's first word stays: its capital says nothing.
    `lower`: words that are seen without a capital, too.
    """
    rng = np.random.default_rng([seed, 3])
    at: dict[int, list[int]] = defaultdict(list)
    for i, e in enumerate(text.line):
        at[e].append(i)
    near = _neighbours(teacher, {w for e in at for w in text.english[e][1:]}, stock, lower)
    made = Parallel([])
    for e in sorted(at):
        order, line = rng.permutation(at[e]), text.english[e]
        slots = [k for k, word in enumerate(line) if k and word in near]
        for v in range(min(variants, len(order))):
            shares = [EXCHANGED if line[k] in lower else EXCHANGED_NAMES for k in slots]
            new = {
                k: near[line[k]][int(rng.integers(len(near[line[k]])))]
                for k, share in zip(slots, shares, strict=True)
                if rng.random() < share
            }
            if not new:
                continue
            made.english.append(tuple(new.get(k, w) for k, w in enumerate(line)))
            for i in order[v::variants].tolist():
                written = {k: stock.of(text.language[i], word) for k, word in new.items()}
                words, links = _translated(text.foreign[i], text.links[i], written)
                made.add(words, text.language[i], len(made.english) - 1, links)
    return made


def _neighbours(
    teacher: Teacher, words: AbstractSet[str], stock: Stock, lower: AbstractSet[str]
) -> dict[str, list[str]]:
    """For every name or word of four letters and more what may stand for it."""
    found: dict[str, list[str]] = {}
    names = sorted(w for w in words if is_name(w, lower))
    others = sorted(w for w in words if len(w) > 3 and w.isalpha() and w.islower())
    for old, new in ((names, stock.names), (others, stock.words)):
        if not old or not new:
            continue
        near = _nearest(_unit(teacher, old), _unit(teacher, new), min(NEAREST, len(new)))
        found |= {w: [new[i] for i in row.tolist() if new[i] != w] for w, row in zip(old, near, strict=True)}
    return {w: new for w, new in found.items() if new}


def _translated(words: Words, links: Links, new: Mapping[int, Words]) -> tuple[Words, Links]:
    """A translation with its words of the English words `new` exchanged, and its links."""
    of: dict[int, list[int]] = defaultdict(list)
    back: dict[int, set[int]] = defaultdict(set)
    for e, f in links:
        of[e].append(f)
        back[f].add(e)
    replaced: dict[int, tuple[int, int]] = {}  # first word: one past the last, English word
    for e, other in new.items():
        found = sorted(of[e])
        alone = found and all(back[f] == {e} for f in found) and found[-1] - found[0] + 1 == len(found)
        if other and alone and words[found[0]][0].isupper() == other[0][0].isupper():
            replaced[found[0]] = (found[-1] + 1, e)
    out: list[str] = []
    kept: list[tuple[int, int]] = []
    f = 0
    while f < len(words):
        if f in replaced:
            f, e = replaced[f]
            kept += [(e, len(out) + k) for k in range(len(new[e]))]
            out += new[e]
        else:
            kept += [(e, len(out)) for e in sorted(back[f]) if e not in new]
            out.append(words[f])
            f += 1
    return tuple(out), tuple(kept)


def _unit(teacher: Teacher, words: Iterable[str]) -> npt.NDArray[np.float32]:
    """Unit input embeddings (words, hidden) by the teacher; 0 of a word that it cannot read."""
    listed = [word.lower() for word in words]
    found = teacher.embeddings(listed)
    size = teacher.model.config.hidden_size
    table = np.stack([found.get(word, np.zeros(size, np.float32)) for word in listed])
    return np.asarray(table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9), np.float32)


def _nearest(of: npt.NDArray[np.float32], among: npt.NDArray[np.float32], count: int) -> list[npt.NDArray[np.int64]]:
    """For each row the numbers of the `count` nearest rows of the other table."""
    near: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(of), 1000):
        similar = of[start : start + 1000] @ among.T
        near += list(np.argpartition(-similar, count - 1, axis=1)[:, :count])
    return near
