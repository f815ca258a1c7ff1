"""Translating a user's sentences with a translator by name: lines or CoNLL in, line-parallel text out."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.api.recipes import Corpus, Facts, Progress, Translator
from bench.core.errors import BadInput, Unavailable, nearest
from bench.core.languages import NLLB
from bench.core.sentences import Link, Sentence, Split
from bench.data.aligning import pharaoh
from bench.plan import registry
from bench.plan.fingerprint import code_of
from bench.plan.schema import Place, to_plain
from bench.plan.stages import VERSIONS

HEAD = "# provenance: {}\nid\ttext\n"


class NoCorpus(Corpus):
    """Stands in for the corpus that a translator expects."""

    name: ClassVar[str] = "none"
    facts: ClassVar[Facts] = Facts("sentences of your own", "yours")

    types = ()

    def languages(self) -> tuple[str, ...]:
        return ()

    def read(self, language: str, split: Split) -> list[Sentence]:
        return []


@dataclass(frozen=True)
class TranslatorChoice:
    """A translator as a command line names it, and its output.

    The output has a line for each line, or rows of `translations/<language>.tsv`; and the links, if wanted.
    """

    name: str
    settings: Mapping[str, Any]  # of its Params
    source: str
    target: str
    tokenisation: str = "ud"  # of the output
    device: str = "auto"
    tsv: bool = False
    links: bool = False
    block: int = 512  # sentences between two writes


@dataclass
class TranslationTally:
    """Counts of the lines so far; `provenance` is "" until a line was translated."""

    lines: int = 0
    translated: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    provenance: str = ""

    def notes(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {**vars(self), "counts": dict(self.counts)}

    @classmethod
    def of(cls, notes: Mapping[str, Any]) -> TranslationTally:
        """The tally that `notes` holds; an empty one for {}."""
        return cls(**{**notes, "counts": Counter(notes.get("counts", {}))})


class Translating:
    """A translator at work.

    Raises:
        BadInput: no such translator, setting or language; or the translator needs something that is missing.
    """

    def __init__(self, choice: TranslatorChoice) -> None:
        code = code_of(registry.load("translator", choice.name))  # before the settings: a wrong name is not their fault
        self.choice, self.tally = choice, TranslationTally()
        how = {"tokenisation": choice.tokenisation, "device": choice.device}
        self.translator: Translator = registry.make("translator", choice.name, choice.settings, Place("--set"), **how)
        try:
            identity = self.translator.identity(choice.source, choice.target)
        except Unavailable as error:  # for an unknown code the message names the nearest one
            strange = [code for code in (choice.source, choice.target) if code not in NLLB]
            if not strange or any(hint in str(error) for hint in ("; did you mean", "; known: ")):
                raise
            raise BadInput(f"{error}{nearest(strange[0], NLLB)}") from error
        self.made_of: dict[str, object] = {
            "translator": choice.name,
            "languages": [choice.source, choice.target],
            "tokenisation": choice.tokenisation,
            "parameters": {**to_plain(self.translator.params), **identity},
            "code": code,
            "stages": {"translate": VERSIONS["translate"]},
        }

    def run(
        self, sentences: Iterable[Sentence], total: int, write: Callable[[Sequence[str]], None], progress: Progress
    ) -> None:
        """Translate the sentences after the first `tally.lines`; `write` gets the texts of each block.

        One text, or two with links. A sentence without words is not sent to the translator, and counted as empty.

        Raises:
            BadInput: as the translator does; or links are wanted and it gives none.
        """
        tally = self.tally
        remaining = itertools.islice(sentences, tally.lines, None)
        progress(tally.lines, total, self.choice.target)
        while block := list(itertools.islice(remaining, self.choice.block)):
            texts = self._block(block)
            tally.lines += len(block)
            if self.choice.tsv and tally.lines == total and not tally.provenance:
                texts[0] = HEAD.format("none: nothing was translated")
            write(texts)
            progress(tally.lines, total, self.choice.target)

    def _block(self, block: Sequence[Sentence]) -> list[str]:
        full = [i for i, sentence in enumerate(block) if sentence.words]
        targets: list[Sentence | None] = [None] * len(block)
        links: list[tuple[Link, ...]] = [()] * len(block)
        head = ""
        if full:
            made = self.translator.translate([block[i] for i in full], self.choice.target, NoCorpus())
            for i, target, known in zip(full, made.targets, made.links, strict=True):
                if self.choice.links and target is not None and known is None:
                    raise BadInput(f"--links: the translator '{self.choice.name}' knows none; xner align finds them")
                targets[i], links[i] = target, known or ()
            if not self.tally.provenance:
                self.tally.provenance = made.provenance
                head = HEAD.format(made.provenance)
            # different_texts depends on the blocks: a text in two of them is sent twice
            self.tally.counts.update(
                {k: n for k, n in made.counts.items() if k not in ("translated", "different_texts")}
            )
        self.tally.counts["empty"] += len(block) - len(full)
        self.tally.translated += sum(target is not None for target in targets)
        if self.choice.tsv:
            text = head + "".join(f"{s.id}\t{t.text}\n" for s, t in zip(block, targets, strict=True) if t is not None)
        else:
            text = "".join((target.text if target else "") + "\n" for target in targets)
        return [text, pharaoh(links)] if self.choice.links else [text]
