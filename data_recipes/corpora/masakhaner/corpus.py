"""MasakhaNER 2: gold labels in 20 African languages, with a choice of English source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from bench.api.hub import HubName
from bench.api.recipes import Corpus, Facts, overlap_findings
from bench.api.source_files import data_dir, here
from bench.core.conll import Format, has_control, read_conll
from bench.core.errors import BadInput, Unavailable, nearest, require
from bench.core.sentences import IllFormedError, Pair, Sentence, Split, decode
from bench.core.tokenise import tokenise
from data_recipes.corpora.uner_pud.gold import GOLD
from data_recipes.corpora.uner_pud.pud import english
from data_recipes.corpora.wikiann.corpus import WikiannCorpus, WikiannParams
from data_recipes.corpora.wikiann.hub import hub_name, read_split
from data_recipes.parallel_text import bitext

REPOSITORY = "masakhane/masakhaner2"  # the parquet that the hub converted from the loading script
TYPES = ("PER", "LOC", "ORG")
_CODES = "bam bbj ewe fon hau ibo kin lug luo mos nya pcm sna swa tsn twi wol xho yor zul"
LANGUAGES = ("en", *_CODES.split(" "))
_CONLL2003 = {"train": "train.txt", "dev": "valid.txt", "test": "test.txt"}


@dataclass(frozen=True)
class MasakhanerParams:
    """`source` is our choice: MasakhaNER has no English, and CoNLL-2003, which its paper uses, is not open."""

    source: Literal["en_pud", "wikiann", "conll2003"] = "en_pud"
    layout: Literal["auto", "text", "hub"] = "auto"  # auto: text where $XNER_DATA/masakhaner2 has the language
    revision: str = "refs/convert/parquet"  # of the hub's dataset; a commit of that branch, or of an older layout

    def __post_init__(self) -> None:
        require(bool(self.revision), "revision must be a commit, a tag or a branch of the hub's dataset")


class MasakhanerCorpus(Corpus):
    """News in 20 African languages; unlabelled text is a language's training split without labels."""

    name: ClassVar[str] = "masakhaner"
    version = 1
    cites = ("adelani2022masakhaner",)
    Params: ClassVar[type] = MasakhanerParams
    facts: ClassVar[Facts] = Facts(
        title="MasakhaNER 2",
        licence="CC BY-NC 4.0: not for commercial use",
        url="https://github.com/masakhane-io/masakhane-ner",
        notes=(
            "DATE is left out; the English source is another corpus (parameter source)",
            "Unlabelled text is the training split of the language",
        ),
    )
    params: MasakhanerParams
    types = TYPES

    @property
    def sources(self) -> tuple[str, ...]:
        """Folders of source files, not of the hub."""
        english_files = ("uner/en_pud", "uner/en_ewt") if self.params.source == "en_pud" else ()
        return (*(("masakhaner2",) if self.params.layout != "hub" else ()), *english_files, "ntrex")

    def languages(self) -> tuple[str, ...]:
        """English and the 20, by the corpus's own three-letter codes."""
        return LANGUAGES

    def read(self, language: str, split: Split) -> list[Sentence]:
        """The sentences of a split, from the hub where the text files are not here."""
        if language not in LANGUAGES:
            raise BadInput(f"corpus masakhaner: no language '{language}'{nearest(language, LANGUAGES)}")
        if split == "unlabelled":
            return [replace(sentence, spans=None) for sentence in self.read(language, "train")]
        if language == "en":
            return self._english(split)
        if not self._is_text(language):
            return self._hub(language, split)
        sentences = read_conll(
            here(f"masakhaner2/{language}/{split}.txt"),
            language,
            TYPES,
            # The files could not be read when this was written: an I-X may open an entity.
            Format(scheme="IOB1", label_map={"DATE": "O"}),
            require_entities=split == "test",
        )
        return [replace(sentence, id=f"{language}-{split}-{number}") for number, sentence in enumerate(sentences, 1)]

    def parallel(self, source: str, target: str) -> list[Pair]:
        """NTREX, where it has the language; Unavailable where its file is not here."""

        def split(language: str) -> Callable[[str], Sequence[str]]:
            return lambda line: tokenise(line, language, self.tokenisation(language))

        return bitext(("ntrex",), (source, split(source)), (target, split(target)))

    def check(self) -> list[str]:
        """Sizes and shared sentences of the languages whose text files are here."""
        present = [language for language in LANGUAGES[1:] if self._is_here(language)]
        lines = [line for language in present for line in overlap_findings(self, language)]
        return lines or ["no text file is here; 'xner data fetch masakhaner' brings them"]

    def hub_names(self, languages: Sequence[str]) -> tuple[HubName, ...]:
        """The parquet files of the languages without text files here; WikiAnn's where it is the English source."""
        hubs = [language for language in languages if language != "en" and not self._is_text(language)]
        own = (hub_name(REPOSITORY, self.params.revision, hubs),) if hubs else ()
        english_names = "en" in languages and self.params.source == "wikiann"
        return own + (self._wikiann().hub_names(["en"]) if english_names else ())

    # --- the three sources of sentences -------------------------------------------------------------------------------

    def _english(self, split: Split) -> list[Sentence]:
        if self.params.source == "wikiann":
            return self._wikiann().read("en", split)
        if self.params.source == "en_pud":
            return english() if split == "train" else GOLD["en"].read("en", split)
        path = data_dir() / "conll2003" / _CONLL2003[split]
        if not path.is_file():
            shown = f"$XNER_DATA/conll2003/{path.name}"  # never the folder itself: the text may reach a record
            raise Unavailable(f"{shown} is not here: CoNLL-2003 is not open; put your own copy there")
        form = Format(scheme="IOB1", label_map={"MISC": "O"})
        return read_conll(path, "en", TYPES, form, require_entities=split == "test")

    def _wikiann(self) -> WikiannCorpus:
        pinned = self.params.revision if "@" in self.params.revision else "main"  # a list of commits holds both
        return WikiannCorpus(WikiannParams(revision=pinned))

    def _hub(self, language: str, split: Split) -> list[Sentence]:
        rows = read_split(self.hub_names([language])[0], language, split)
        sentences = []
        for number, row in enumerate(rows, 1):
            if bad := [repr(word) for word in row.tokens if not word or has_control(word)]:
                raise BadInput(f"{row.where}: token {bad[0]}")
            if not row.tokens:
                raise BadInput(f"{row.where}: no tokens")
            try:
                spans = decode(row.tags, "IOB1")
            except IllFormedError as error:
                raise BadInput(f"{row.where}: {error}") from error
            if unknown := [span.type for span in spans if span.type not in (*TYPES, "DATE")]:
                raise BadInput(f"{row.where}: unknown entity type '{unknown[0]}'{nearest(unknown[0], TYPES)}")
            kept = tuple(span for span in spans if span.type in TYPES)
            sentences.append(Sentence(f"{language}-{split}-{number}", language, row.tokens, kept))
        if split == "test" and not any(sentence.spans for sentence in sentences):
            raise BadInput(f"corpus masakhaner: the {language} test has no entity: placeholders, not gold")
        return sentences

    def _is_here(self, language: str) -> bool:
        return (data_dir() / "masakhaner2" / language / "test.txt").is_file()

    def _is_text(self, language: str) -> bool:
        return self.params.layout == "text" or (self.params.layout == "auto" and self._is_here(language))
