"""From text to arrays: words in pieces, and for every word the rows of the teacher's vectors that it should meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from data_recipes.encoders.mini.text import Text
from data_recipes.encoders.tiny.encoder import SPECIAL
from tests.studies.mini.links import Links, links_of
from tests.studies.mini.names import Parallel, Stock, exchanged, is_name, usual
from tests.studies.mini.recipe import Extra
from tests.studies.mini.teacher import Teacher
from tests.studies.mini.vocabulary import Mix, splitter, train_tokenizer, weights, words_of

Ints = npt.NDArray[np.int64]
Words = tuple[str, ...]
Say = Callable[[str], None]
ENGLISH, FOREIGN, ENTRY = 0, 1, 2
SEED = 4  # of what is drawn here


@dataclass(frozen=True)
class Prepared:
    """Examples (English lines first, then translations, then dictionary entries) as flat arrays with offsets.

    `vectors` (rows, hidden) holds the teacher's vectors of every English word in order, then of every dictionary head.
    """

    pieces: Ints  # of every word, one after the other
    piece_at: Ints  # (words + 1,)
    words: Ints  # of every example, one after the other
    word_at: Ints  # (examples + 1,)
    rows: Ints  # of every word of every example: the vectors that it should meet, none where it has no link
    row_at: Ints  # (words of examples + 1,)
    kind: Ints  # (examples,)
    line: Ints  # (examples,) the English line; -1 of an entry
    surface: Ints  # (rows,) number of the English word, the same wherever it stands
    capital: Ints  # (rows,) 1 where it starts with a capital
    vectors: npt.NDArray[np.float16]
    start: npt.NDArray[np.float32]  # (pieces, hidden) the embeddings to start from

    def save(self, path: Path) -> None:
        """As safetensors."""
        from safetensors.numpy import save_file

        save_file({f.name: np.ascontiguousarray(getattr(self, f.name)) for f in fields(self)}, path)

    @classmethod
    def load(cls, path: Path) -> Prepared:
        """What `save` wrote."""
        from safetensors.numpy import load_file

        return cls(**load_file(path))

    def example(self, i: int) -> Ints:
        """The words of an example."""
        return self.words[self.word_at[i] : self.word_at[i + 1]]

    def bags(self, i: int) -> list[Ints]:
        """Of each of its words the rows that it should meet."""
        at = range(int(self.word_at[i]), int(self.word_at[i + 1]))
        return [self.rows[self.row_at[k] : self.row_at[k + 1]] for k in at]


class _Numbers:
    """Words as numbers from 0, in the order in which they are first seen."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def __call__(self, words: Iterable[str]) -> list[int]:
        return [self.of.setdefault(word, len(self.of)) for word in words]


def prepare(
    text: Text,
    dictionary: Sequence[tuple[str, str, str]],
    teacher: Teacher,
    layer: int,
    mix: Mix,
    extra: Extra,
    work: Path,
    say: Say,
) -> tuple[Any, Prepared]:
    """The tokenizer, and everything that training reads; links are kept in the folder `work`."""
    split = splitter()
    english = [words_of(split, line) for line in text.english]
    foreign = [words_of(split, line.text) for line in text.foreign]
    entries = [(words_of(split, word), words_of(split, head)) for _, word, head in dictionary]
    spelled = {(code, head): word for (code, _, head), (word, _) in zip(dictionary, entries, strict=True)}
    entries = [(word, head) for word, head in entries if word and head]
    linked = partial(links_of, dictionaries={language for language, _, _ in dictionary}, folder=work, say=say)
    links = _links(text, english, foreign, linked)
    lines = Parallel(
        english, foreign, [line.language for line in text.foreign], [x.english for x in text.foreign], links
    )
    say("training the vocabulary")
    heads = {head[0] for _, head in entries if len(head) == 1}
    own = usual(teacher, heads)
    counts = weights(mix, _flat(english), _flat(foreign), _flat(w for w, _ in entries), own)
    tokenizer = train_tokenizer(mix, counts)
    if extra.exchanged:
        say("exchanging words")
        usual_words = sorted({word for word in (*heads, *own) if word.isascii() and word.isalpha()})
        lower = {word for word in (*_flat(english), *usual_words) if word.islower()}
        names = [word for word in usual_words if is_name(word, lower)]
        stock = Stock(names, [word for word in usual_words if word in lower], spelled)
        lines.extend(exchanged(lines, stock, lower, teacher, extra.exchanged, SEED))
    if extra.own_words:
        entries += [((word,), (word,)) for word in sorted(heads.union(own))]
    say("reading the teacher's vectors")
    vectors = np.concatenate(teacher.word_vectors(lines.english, layer))
    of_heads = np.stack([found.mean(axis=0) for found in teacher.word_vectors(sorted({h for _, h in entries}), layer)])
    say("packing")
    packed = _pack(lines, entries)
    words, surfaces = packed.pop("_words"), packed.pop("_surfaces")
    pieces = tokenizer.backend_tokenizer.encode_batch(words, add_special_tokens=False) if words else []
    arrays = packed | _csr("pieces", "piece_at", [found.ids or [SPECIAL.index("[UNK]")] for found in pieces])
    arrays["vectors"] = _standardised(np.concatenate([vectors, of_heads])).astype(np.float16)
    arrays["start"] = _embeddings(arrays, words, surfaces, tokenizer, teacher)
    return tokenizer, Prepared(**arrays)


def _links(
    text: Text,
    english: Sequence[Words],
    foreign: Sequence[Words],
    linked: Callable[[dict[str, list[tuple[Words, Words]]]], dict[str, list[Links]]],
) -> list[Links]:
    """Links (English word, word) of every foreign line."""
    by_language: dict[str, list[int]] = {}
    for i, line in enumerate(text.foreign):
        by_language.setdefault(line.language, []).append(i)
    pairs = {
        language: [(english[text.foreign[i].english], foreign[i]) for i in chosen]
        for language, chosen in by_language.items()
    }
    found = linked(pairs)
    ordered: list[Links] = [()] * len(foreign)
    for language, chosen in by_language.items():
        for i, links in zip(chosen, found[language], strict=True):
            ordered[i] = links
    return ordered


def _pack(lines: Parallel, entries: Sequence[tuple[Words, Words]]) -> dict[str, Any]:
    """The arrays that need no model, and the words and English surfaces by number."""
    number, surface = _Numbers(), _Numbers()
    first = np.concatenate([[0], np.cumsum([len(words) for words in lines.english])])
    surfaces = surface(word.lower() for words in lines.english for word in words)
    capitals = [word[0].isupper() for words in lines.english for word in words]
    row_of: dict[Words, int] = {}
    for head in sorted({head for _, head in entries}):
        row_of[head] = len(surfaces)
        surfaces += surface([" ".join(head).lower()])
        capitals.append(head[0][0].isupper())
    examples: list[list[int]] = []
    bags: list[list[int]] = []
    for i, words in enumerate(lines.english):
        examples.append(number(words))
        bags += [[int(first[i]) + k] for k in range(len(words))]
    for line, words, found in zip(lines.line, lines.foreign, lines.links, strict=True):
        examples.append(number(words))
        own: list[list[int]] = [[] for _ in words]
        for e, f in found:
            own[f].append(int(first[line]) + e)
        bags += own
    for entry, head in entries:
        examples.append(number(entry))
        bags += [[row_of[head]] for _ in entry]
    counts = len(lines.english), len(lines.foreign), len(entries)
    kinds = [kind for kind, count in zip((ENGLISH, FOREIGN, ENTRY), counts, strict=True) for _ in range(count)]
    line_of = [*range(len(lines.english)), *lines.line, *([-1] * len(entries))]
    return {
        "_words": list(number.of),
        "_surfaces": list(surface.of),
        "kind": np.array(kinds, np.int64),
        "line": np.array(line_of, np.int64),
        "surface": np.array(surfaces, np.int64),
        "capital": np.array(capitals, np.int64),
        **_csr("words", "word_at", examples),
        **_csr("rows", "row_at", bags),
    }


def _csr(values: str, offsets: str, lists: Sequence[Sequence[int]]) -> dict[str, Ints]:
    flat = np.fromiter((x for items in lists for x in items), np.int64)
    return {values: flat, offsets: np.concatenate([[0], np.cumsum([len(items) for items in lists])]).astype(np.int64)}


def _standardised(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Zero mean and unit deviation in every dimension: a few of a BERT's would drown the others in a cosine."""
    return np.asarray((vectors - vectors.mean(axis=0)) / vectors.std(axis=0), np.float32)


def _embeddings(
    arrays: dict[str, Any], words: Sequence[str], surfaces: Sequence[str], tokenizer: Any, teacher: Teacher
) -> npt.NDArray[np.float32]:
    """Of each piece the mean of the teacher's input embeddings of the English words that its words are linked to.

    A word counts for its pieces as often as it occurs, divided by the square of their number; a piece that the
    teacher has too counts its embedding ten times.
    """
    known = teacher.embeddings({part for name in surfaces for part in name.split(" ")})
    size = teacher.model.config.hidden_size
    english = np.zeros((len(surfaces), size), np.float32)
    for i, name in enumerate(surfaces):
        parts = [known[part] for part in name.split(" ") if part in known]
        english[i] = np.mean(parts, axis=0) if parts else 0.0
    lengths = np.diff(arrays["row_at"])
    share = np.repeat(1.0 / np.maximum(lengths, 1), lengths)
    at = (np.repeat(arrays["words"], lengths), arrays["surface"][arrays["rows"]])
    meant = coo_array((share, at), shape=(len(words), len(surfaces))).tocsr().astype(np.float32) @ english
    times = np.bincount(arrays["words"][lengths > 0], minlength=len(words))
    per = np.diff(arrays["piece_at"])
    of_piece = np.repeat(np.arange(len(words)), per)
    factor = 1.0 / per[of_piece] ** 2
    spread = coo_array((factor, (arrays["pieces"], of_piece)), shape=(len(tokenizer), len(words))).tocsr()
    total, weight = spread.astype(np.float32) @ meant, spread @ times
    own = teacher.tokenizer.get_vocab()
    table = teacher.model.embeddings.word_embeddings.weight.detach().numpy()
    for piece, i in tokenizer.get_vocab().items():
        if (at := own.get(piece if piece in own else piece.lower())) is not None:
            total[i] += 10 * table[at]
            weight[i] += 10
    mean = total.sum(axis=0) / weight.sum()
    start = np.where(weight[:, None] > 0, total / np.maximum(weight, 1e-6)[:, None], mean)
    scale = np.linalg.norm(table, axis=1).mean() / np.maximum(np.linalg.norm(start, axis=1, keepdims=True), 1e-6)
    return np.asarray(start * scale, np.float32)


def _flat(sentences: Iterable[Words]) -> Iterable[str]:
    return (word for words in sentences for word in words)
