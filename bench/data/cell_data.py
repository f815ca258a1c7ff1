"""The sentences of a cell (nested subsets, dev samples, tests), their content digests, and the leakage guard.

The guard keeps text out of a training that is in the test, by normalised text or by parallel group.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from bench.api.method import Group, TrainingSet
from bench.api.recipes import Corpus, shared, suspicions
from bench.core.errors import BadInput, Unavailable
from bench.core.files import cache_root, canonical_json, sha256_of, write_json
from bench.core.memo import process_memo
from bench.core.sentences import Pair, Sentence, Span, Split, digest, letters_of
from bench.plan import registry
from bench.plan.fingerprint import code_of
from bench.plan.keys import rng, versions
from bench.plan.matrix import Cell
from bench.plan.schema import to_plain
from bench.plan.stages import VERSIONS


@dataclass(frozen=True)
class Overlap:
    """How many training sentences equal a test sentence, or share its parallel group; `examples` are their ids."""

    by_text: int = 0
    by_group: int = 0
    examples: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return self.by_text + self.by_group

    def reason(self) -> str:
        """Why the cell is skipped."""
        return (
            f"leakage: {self.by_text} training sentences equal a test sentence, {self.by_group} more translate one"
            f' (e.g. {", ".join(self.examples[:3])}); data.overlap = "drop-from-train" removes them from training'
        )


class Guard:
    """Compares training text with one test set."""

    def __init__(self, test: Sequence[Sentence]) -> None:
        # a sentence of punctuation alone normalises to "" and proves nothing
        self.texts = {t for s in test if (t := letters_of(s.text))}
        self.groups = {s.group for s in test if s.group}

    def clashes(self, sentence: Sentence) -> str:
        """ "text", "group" or ""."""
        if letters_of(sentence.text) in self.texts:
            return "text"
        return "group" if sentence.group in self.groups else ""

    def overlap(self, sentences: Iterable[Sentence]) -> Overlap:
        """Count the clashes, each distinct sentence once."""
        ids = {"text": set[str](), "group": set[str]()}
        for sentence in sentences:
            if kind := self.clashes(sentence):
                ids[kind].add(sentence.id)
        examples = tuple(sorted(ids["text"] | ids["group"])[:5])
        return Overlap(len(ids["text"]), len(ids["group"] - ids["text"]), examples)

    def overlap_of_texts(self, texts: Mapping[str, str]) -> Overlap:
        """The same for bare text by its normalised form, such as an encoder's pre-training text."""
        hits = sorted(texts[text] for text in self.texts & texts.keys())
        return Overlap(by_text=len(hits), examples=tuple(text[:60] for text in hits[:3]))

    def dropped(self, data: TrainingSet) -> TrainingSet:
        """The training set without the groups that hold a clashing sentence."""

        def clean(groups: tuple[Group, ...]) -> tuple[Group, ...]:
            return tuple(group for group in groups if not any(self.clashes(example.sentence) for example in group))

        return replace(
            data, labelled=clean(data.labelled), paired=clean(data.paired), unlabelled=clean(data.unlabelled)
        )


def sentences_of(data: TrainingSet) -> Iterable[Sentence]:
    """Every sentence of every stream."""
    for groups in data.streams().values():
        for group in groups:
            for example in group:
                yield example.sentence


T = TypeVar("T")
DIGESTS = "digests"  # folder of the cache
OFTEN = 0.02  # share of repeated sentences above which a run warns; `data check` names any


class Digests:
    """Digests of one corpus's content, by name, valid while its code, its parameters and its files stay the same.

    As in git's index, a file counts as unchanged while its inode, size and times are. A corpus that does not tell which
    files it reads is read each time.
    """

    def __init__(self, corpus: Corpus) -> None:
        files = corpus.files()
        self._path: Path | None = None
        if files is not None:
            code = [VERSIONS["corpus"], code_of(type(corpus))]
            made_of = [code, to_plain(corpus.params), versions("sacremoses"), [_stat(file) for file in files]]
            self._path = cache_root() / DIGESTS / f"{sha256_of(canonical_json(made_of))[:32]}.json"
        self._known = self._read()

    def get(self, name: str, make: Callable[[], str]) -> str:
        """The digest of that name, made if it is not known."""
        if name not in self._known:
            made = make()
            self._known = {**self._read(), **self._known, name: made}
            try:
                if self._path is not None:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    write_json(self._path, {"digests": self._known, "sha256": sha256_of(canonical_json(self._known))})
            except OSError:  # a cache that is full or read-only: the next plan reads again
                self._path = None
        return self._known[name]

    def _read(self) -> dict[str, str]:
        """The stored digests; {} if there are none, or they are damaged."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8")) if self._path is not None else {}
            digests: dict[str, str] = kept["digests"]
            return digests if kept["sha256"] == sha256_of(canonical_json(digests)) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _stat(file: Path) -> list[Any]:
    try:
        stat = file.stat()
    except OSError:
        return [str(file), None]
    return [str(file), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def digest_pairs(pairs: Sequence[Pair]) -> str:
    """sha256 of both sides and the links, in order."""
    hasher = hashlib.sha256()
    for p in pairs:
        t = p.target
        hasher.update(repr((p.source.id, p.source.words, t.language, t.words, t.spans, p.links)).encode())
    return hasher.hexdigest()


class CorpusData:
    """One corpus, each split read once a process as long as the process's store has room for it."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._digests = Digests(corpus)
        self._owner = object()  # the same corpus made anew reads its files anew

    def once(self, name: str, make: Callable[[], T]) -> T:
        """The value of `make` (sentences, pairs or a digest), kept by name in the process's store."""
        key, memo = ("corpus", self._owner, name), process_memo()
        value: T | None = memo.get(key)
        if value is None:
            value = make()
            memo.put(key, value, _bytes_of(value))
        return value

    def read(self, language: str, split: Split) -> list[Sentence]:
        return self.once(f"read {language} {split}", lambda: self.corpus.read(language, split))

    def pairs(self, source: str, target: str) -> list[Pair]:
        return self.once(f"pairs {source} {target}", lambda: self.corpus.pairs(source, target))

    def parallel(self, source: str, target: str) -> list[Pair]:
        return self.once(f"parallel {source} {target}", lambda: self.corpus.parallel(source, target))

    def split_digest(self, language: str, split: Split) -> str:
        return self._digests.get(f"{language} {split}", lambda: digest(self.read(language, split)))

    def remembered(self, name: str, make: Callable[[], str]) -> str:
        """A text that depends on the corpus and the name only; remembered like the digests."""
        return self._digests.get(name, make)

    def suspicions(self, language: str, split: Split) -> list[str]:
        """Signs that a split was misread."""
        known = self.remembered(
            f"{language} {split} suspicions", lambda: json.dumps(suspicions(self.read(language, split), OFTEN))
        )
        return [f"corpus '{self.corpus.name}', {language} {split}: {line}" for line in json.loads(known)]

    def repeated(self, language: str) -> str:
        """A warning where more than a few dev sentences are training sentences, too; else ""."""

        def make() -> str:
            train, dev = self.read(language, "train"), self.read(language, "dev")
            count = shared(dev, train)
            return f"{count} of {len(dev)} dev sentences are also in train" if count > OFTEN * len(dev) else ""

        known = self.remembered(f"{language} repeated", make)
        return known and f"corpus '{self.corpus.name}', {language}: {known}, so that dev F1 is too good"

    def pairs_digest(self, source: str, target: str) -> str:
        """Of the known translations, and of what the corpus says about their origin, since records repeat it."""

        def make() -> str:
            content, origin = digest_pairs(self.pairs(source, target)), self.corpus.provenance(target)
            return sha256_of(f"{content} {origin}") if origin else content

        return self._digests.get(f"{source}>{target}", make)

    def parallel_digest(self, source: str, target: str) -> str:
        return self._digests.get(f"{source}={target}", lambda: digest_pairs(self.parallel(source, target)))


def _bytes_of(value: Any) -> int:
    """About what Python needs for sentences or pairs: a string and a place in a tuple for each word."""
    examples = value if isinstance(value, list) else []
    sentences = (side for e in examples for side in ((e.source, e.target) if isinstance(e, Pair) else (e,)))
    return 1000 + sum(500 + 100 * len(sentence.words) for sentence in sentences)


@lru_cache(maxsize=8)
def _corpus(name: str, params: str) -> CorpusData:
    return CorpusData(registry.make("corpus", name, json.loads(params)))


def corpus_of(cell: Cell) -> CorpusData:
    """The cell's corpus, shared by all cells of a process that name it with the same parameters."""
    return _corpus(cell.data.corpus, canonical_json(cell.corpus_params))


def nested(sentences: Sequence[Sentence], size: int, seed: int, stream: str) -> list[Sentence]:
    """The first `size` of one seeded permutation: a smaller subset is always part of a larger one."""
    order = rng(seed, stream).permutation(len(sentences))[:size]
    return [sentences[i] for i in order]


class CellData:
    """The parts of its corpus that one cell may read, by role."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.data = corpus_of(cell)

    @property
    def types(self) -> tuple[str, ...]:
        return self.data.corpus.types

    def source(self) -> list[Sentence]:
        """`n_source` labelled source sentences, a prefix of the seed's permutation."""
        where, sentences = f"corpus '{self.cell.data.corpus}', {self.cell.source} train", self._training()
        if not sentences:
            raise BadInput(f"{where}: no sentences")
        size, seed = self.cell.data.n_source, self.cell.seed
        name = f"source {self.cell.source} {size} {seed}"
        chosen = self.data.once(name, lambda: nested(sentences, size, seed, "subset/source"))
        if not any(s.spans for s in chosen):
            raise BadInput(f"{where}: none of {len(chosen)} sentences has an entity: nothing can be learnt")
        return list(chosen)  # callers may change their list

    def _training(self) -> list[Sentence]:
        name = f"training {self.cell.source}"
        return self.data.once(name, lambda: [s for s in self.data.read(self.cell.source, "train") if s.words])

    def n_source(self) -> int:
        """How many source sentences are used: as many as asked for, or all."""
        return min(self.cell.data.n_source, len(self._training()))

    def source_digest(self) -> str:
        """Digest of the source sentences as a set, the same for seeds whose subsets are the same set."""
        seed = self.cell.seed if self.cell.data.n_source < len(self.data.read(self.cell.source, "train")) else "any"
        name = f"source digest {self.cell.source} {self.cell.data.n_source} {seed}"
        return self.data.once(name, lambda: digest(sorted(self.source(), key=lambda s: s.id)))

    def dev(self) -> list[Sentence]:
        """`n_dev` source dev sentences, the same for every cell and seed."""
        return nested(self.data.read(self.cell.source, "dev"), self.cell.data.n_dev, 0, "subset/dev")

    def target_dev(self) -> list[Sentence]:
        return nested(self.data.read(self.cell.target, "dev"), self.cell.data.n_dev, 0, "subset/target-dev")

    def test(self) -> list[Sentence]:
        """All test sentences of the target.

        Raises:
            Unavailable: there are none.
            BadInput: a sentence has no labels, or none has an entity (placeholder labels).
        """
        where = f"corpus '{self.cell.data.corpus}', language '{self.cell.target}', test"
        sentences = self.data.read(self.cell.target, "test")
        if not sentences:
            raise Unavailable(f"{where}: no sentences")
        if any(s.spans is None for s in sentences):
            raise BadInput(f"{where}: sentences without labels")
        if not any(s.spans for s in sentences):
            raise BadInput(f"{where}: not one entity; the labels look like placeholders")
        return list(sentences)

    def unlabelled(self) -> list[Sentence]:
        """`n_unlabelled` sentences of target text, without their labels (if any)."""
        sentences = [s for s in self.data.read(self.cell.target, "unlabelled") if s.words]
        chosen = nested(sentences, self.cell.data.n_unlabelled, self.cell.seed, "subset/unlabelled")
        return [Sentence(s.id, s.language, s.words, None, s.group) for s in chosen]

    def unlabelled_gold(self) -> dict[tuple[str, ...], tuple[Span, ...]]:
        """Gold of the unlabelled text by words, if there is any: for measuring after a training, never for training."""
        return {s.words: s.spans for s in self.data.read(self.cell.target, "unlabelled") if s.spans is not None}

    def target_gold(self) -> list[Sentence]:
        """`n_source` gold-labelled target training sentences, nested like the source's."""
        sentences = [s for s in self.data.read(self.cell.target, "train") if s.spans is not None and s.words]
        return nested(sentences, self.cell.data.n_source, self.cell.seed, "subset/target-gold")

    def gold_pairs(self) -> list[Pair]:
        """Gold-labelled translations of the source subset, in its order."""
        known = {
            p.source.id: p for p in self.data.pairs(self.cell.source, self.cell.target) if p.target.spans is not None
        }
        return [known[s.id] for s in self.source() if s.id in known]


def warnings_of(cells: Iterable[Cell]) -> list[str]:
    """Warnings about the cells' data: less than was asked for, or signs that it was misread; each once.

    Raises:
        BadInput: as `Corpus.read`.
    """
    warnings: dict[str, None] = {}
    for cell in cells:
        data, asked = CellData(cell), cell.data.n_source
        if data.n_source() < asked:
            where = f"corpus '{cell.data.corpus}' has {data.n_source()} training sentences in '{cell.source}'"
            warnings[f"data.n_source is {asked}, but {where}: all are used"] = None
        splits: list[tuple[str, Split]] = [(cell.source, "train"), (cell.source, "dev"), (cell.target, "test")]
        for language, split in splits:
            warnings |= dict.fromkeys(data.data.suspicions(language, split))
        warnings |= dict.fromkeys(filter(None, [data.data.repeated(cell.source)]))
    return list(warnings)
