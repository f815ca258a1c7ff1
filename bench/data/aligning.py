"""Linking the words of a user's parallel text, and projecting labels over links: files of any size, part by part."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.api.recipes import Aligner, Embedder, Progress
from bench.core.conll import TaggedFile
from bench.core.errors import BadInput
from bench.core.files import Lines, beside, read_parallel, text_lines
from bench.core.sentences import Link, Pair, Sentence, Span
from bench.data.encoders import find_encoder
from bench.data.projected import NO_COUNTS, Projected, counts_of
from bench.measure.links import GoldLinks, LinkLines, LinkScore
from bench.measure.score import Summary, count, summary, summed
from bench.plan import registry
from bench.plan.fingerprint import code_of
from bench.plan.schema import Place, to_plain
from bench.plan.sections import EncoderSpec
from bench.plan.stages import VERSIONS
from bench.store.artefacts import Artefacts, cache_root
from bench.store.record import TypeCounts

WHOLE = 10**6  # longer than any encoder's input: windows are as long as the encoder allows


class Aligning:
    """An aligner by name, with values of its Params, and its encoder if it embeds.

    Raises:
        BadInput: no such aligner, setting or encoder, or an encoder missing or given for nothing.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], encoder: str = "", device: str = "cpu") -> None:
        code = code_of(registry.load("aligner", name))  # before the settings: a wrong name is not their fault
        self.name, self.settings, self.device = name, settings, device
        self.description = name
        self.aligner = self._aligner()
        self.made_of: dict[str, object] = {
            "aligner": name,
            "parameters": to_plain(self.aligner.params),
            "code": code,
            "stages": {stage: VERSIONS[stage] for stage in ("embed", "links")},
        }
        if not self.aligner.embeds and encoder:
            raise BadInput(f"--encoder: the aligner '{name}' embeds nothing")
        if self.aligner.embeds and not encoder:
            kinds = f"a folder, a hub id or one of our own ({', '.join(registry.names('encoder'))})"
            raise BadInput(f"the aligner '{name}' embeds sentences and needs --encoder: {kinds}")
        self.tick: Callable[[int], None] = lambda sentences: None  # called with numbers of finished sentences
        self._spec = EncoderSpec(max_length=WHOLE)
        self._source = find_encoder(encoder, self._spec) if encoder else None
        if self._source:
            self.made_of["encoder"] = self._source.key

    def prepare(self, total: int, progress: Progress) -> None:
        """Load the encoder that the aligner needs, for `total` sentences.

        Raises:
            BadInput: the encoder cannot be loaded, or has no such layer.
        """
        if self._source is None:
            return
        from bench.data.embed import counting, embedder_of

        embedder, _ = embedder_of(self._source, self._spec, Artefacts(cache_root()), self.device, progress)
        layer = self.aligner.layer(embedder)
        self.aligner = self._aligner(embedder)
        self.tick = embedder.tick = counting(progress, total, "sentences")
        self.description = f"{self.name}, {self._source.label}, layer {layer} of {embedder.layers}"

    def _aligner(self, embedder: Embedder | None = None) -> Aligner:
        made: Aligner = registry.make("aligner", self.name, self.settings, Place("--set"), embedder=embedder)
        return made

    def links(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """Links of each pair; a pair with a side without words gets none.

        Raises:
            BadInput: the aligner cannot link these pairs.
        """
        full = [i for i, pair in enumerate(pairs) if pair.source.words and pair.target.words]
        links: list[tuple[Link, ...]] = [()] * len(pairs)
        for i, of_pair in zip(full, self.aligner.align([pairs[i] for i in full]) if full else [], strict=True):
            links[i] = of_pair
        return links


def pharaoh(links: Iterable[Sequence[Link]]) -> str:
    """A line a pair, such as `0-0 1-2`: source word, target word, both from 0."""
    return "".join(" ".join(f"{s}-{t}" for s, t in pair) + "\n" for pair in links)


PART = 8192  # pairs between two writes; an aligner that learns from all pairs gets them in one part
_UNTRANSLATED = {"untranslated": 0, "pairs_untranslated": 0}
Row = tuple[Pair, GoldLinks | None]


@dataclass(frozen=True)
class Rows:
    """Pairs of the lines of two files, with the gold links of a third; read again for every pass, never kept.

    Raises:
        BadInput: while it is read: a file cannot be read, is empty or holds a control character, the files do not
            correspond, or a gold link is malformed or not of its pair: file:line.
    """

    source: Path
    target: Path
    languages: tuple[str, str] = ("", "")
    gold: Path | None = None
    links: LinkLines = field(default_factory=LinkLines)  # how the gold links are read

    def __iter__(self) -> Iterator[Row]:
        pairs = read_parallel(self.source, self.target, self.languages)
        if self.gold is None:
            yield from ((pair, None) for pair in pairs)
            return
        rows = beside(pairs, text_lines(self.gold), lambda n, all_: f"{self.gold} has {n} gold lines for {all_} pairs")
        for number, (pair, line) in enumerate(rows, 1):
            yield pair, self.links.read(line or "", pair, f"{self.gold}:{number}")


@dataclass(frozen=True)
class CheckedRows:
    """Rows that a first pass found readable: their number and a hash of their content."""

    pairs: int
    full: int  # pairs whose target has words
    content: str
    untranslated: int = 0  # pairs of which only the source has words


def checked(rows: Iterable[Row]) -> CheckedRows:
    """Read everything once, so that a bad line is found now and not hours later; BadInput as `Rows`."""
    pairs = full = untranslated = 0
    digest = hashlib.sha256()
    for pair, gold in rows:
        pairs += 1
        full += bool(pair.target.words)
        untranslated += bool(pair.source.words) and not pair.target.words
        known = None if gold is None else (sorted(gold.sure), sorted(gold.possible))
        digest.update(repr((pair.source.words, pair.target.words, known)).encode())
    return CheckedRows(pairs, full, digest.hexdigest(), untranslated)


@dataclass
class AlignmentProgress:
    """The progress of an alignment."""

    pairs: int = 0
    links: int = 0
    score: LinkScore = field(default_factory=LinkScore)

    def notes(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, notes: Mapping[str, Any]) -> AlignmentProgress:
        """The progress that `notes` holds; none for {}."""
        return cls(**{**notes, "score": LinkScore(**notes["score"])}) if notes else cls()


def align_rows(
    job: Aligning,
    rows: Iterable[Row],
    size: CheckedRows,
    done: AlignmentProgress,
    write: Callable[[Sequence[str]], None],
) -> None:
    """Link the rows after the first `done.pairs`; `write` gets the Pharaoh lines of each part.

    Raises:
        BadInput: the aligner cannot link these pairs.
    """
    remaining = iter(rows)
    before = sum(bool(pair.target.words) for pair, _ in itertools.islice(remaining, done.pairs))
    if before:
        job.tick(2 * before)
    while part := list(itertools.islice(remaining, PART if job.aligner.streams else size.pairs)):
        links = job.links([pair for pair, _ in part])
        for of_pair, (_, gold) in zip(links, part, strict=True):
            if gold is not None:
                done.score.add(of_pair, gold)
        done.pairs += len(part)
        done.links += sum(map(len, links))
        write([pharaoh(links)])


# --- projecting labels -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Texts:
    """Labelled source sentences with their translations, without links; both have the source's id.

    An empty line is a target without words: no translation. Read again for every pass, never kept.

    Raises:
        BadInput: while it is read: a file cannot be read, tags break the scheme, or the numbers of sentences differ.
    """

    source: TaggedFile
    target: Path

    def __iter__(self) -> Iterator[Pair]:
        def says(lines: int, sentences: int) -> str:
            return f"{self.source.path} has {sentences} sentences but {self.target} has {lines} lines"

        lines = Lines(self.target, "", self.source.format.normalise)
        for number, (item, line) in enumerate(beside(self.source, lines, says), 1):
            sentence = self.source.sentence(item, number, "")
            yield Pair(sentence, Sentence(sentence.id, "", line.words if line else (), None, sentence.group))


@dataclass
class ProjectionTally:
    """Outcomes of all entities and sentences, and the scores of the sentences that are written.

    Beside the outcomes of projection, `untranslated` counts the entities of sentences without a translation, and
    `pairs_untranslated` these sentences.
    """

    counts: Counter[str] = field(default_factory=lambda: Counter({**NO_COUNTS, **_UNTRANSLATED}))
    refused: Counter[str] = field(default_factory=Counter)
    written: int = 0
    tokens: int = 0
    types: Mapping[str, TypeCounts] = field(default_factory=dict)

    def skip(self, pairs: Sequence[Pair]) -> None:
        """Count pairs without a translation."""
        entities = sum(len(pair.source.spans or ()) for pair in pairs)
        self.counts.update(entities=entities, untranslated=entities, pairs_untranslated=len(pairs))

    def add(
        self, done: Sequence[Projected], keep_filtered: bool, gold: Sequence[Sequence[Span]] | None
    ) -> list[Sentence]:
        """Count the outcomes and score them if there is gold; the targets to write."""
        self.counts.update(counts_of(done))
        self.refused.update(projected.refused_by for projected in done if projected.refused_by)
        chosen = [i for i, projected in enumerate(done) if keep_filtered or not projected.refused_by]
        targets = [done[i].pair.target for i in chosen]
        self.written += len(targets)
        if gold is not None and targets:
            wanted, given = [gold[i] for i in chosen], [target.spans or () for target in targets]
            types = sorted({span.type for side in (wanted, given) for spans in side for span in spans})
            self.types = summed(self.types, summary(count(wanted, given, types), types).types)
            self.tokens += sum(len(target.words) for target in targets)
        return targets

    @property
    def score(self) -> Summary:
        """The scores of all written sentences."""
        return Summary.of(self.types)
