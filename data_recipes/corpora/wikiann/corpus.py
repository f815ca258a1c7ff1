"""WikiAnn (PAN-X), balanced splits of Rahimi et al. (2019): from the hub, or from the original text files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from bench.api.hub import HubName, cached, commit_of
from bench.api.overlap import overlap_findings
from bench.api.recipes import Corpus, Facts
from bench.api.source_files import data_dir
from bench.core.errors import BadInput, nearest
from bench.core.sentences import Sentence, Split
from data_recipes.corpora.wikiann import hub
from data_recipes.corpora.wikiann.languages import LANGUAGES
from data_recipes.corpora.wikiann.rows import TYPES, sentences_of
from data_recipes.corpora.wikiann.text import read_text


@dataclass(frozen=True)
class WikiannParams:
    """`revision` of the hub's repository: a commit, or "main", whatever is newest when a matrix is first run."""

    revision: str = "main"
    layout: Literal["auto", "hub", "text"] = "auto"  # auto: text where $XNER_DATA/wikiann has the language, else hub

    def __post_init__(self) -> None:
        if not self.revision:
            raise ValueError("revision must be a commit, a tag or a branch of the hub's repository")


class WikiannCorpus(Corpus):
    """Wikipedia sentences with machine-made labels; unlabelled text is a language's training split without labels."""

    name: ClassVar[str] = "wikiann"
    cites = ("pan2017crosslingual", "rahimi2019massively")
    Params: ClassVar[type] = WikiannParams
    facts: ClassVar[Facts] = Facts(
        title="WikiAnn (PAN-X)",
        licence="unclear: text of Wikipedia, CC BY-SA; check before you redistribute",
        url=f"https://huggingface.co/datasets/{hub.REPOSITORY}",
        notes=(
            "labels made by machine from Wikipedia's links",
            "train and test share sentences (103 in English)",
            "unlabelled text is the training split of the language",
        ),
    )
    params: WikiannParams

    @property
    def types(self) -> tuple[str, ...]:
        """PER, ORG, LOC, the order of the hub's labels."""
        return TYPES

    def languages(self) -> tuple[str, ...]:
        """The languages of the text files, and, except for layout text, all that the hub has."""
        known = {} if self.params.layout == "text" else dict.fromkeys(LANGUAGES)
        return tuple(sorted({**known, **dict.fromkeys(self._text_languages())}))

    def read(self, language: str, split: Split) -> list[Sentence]:
        """The sentences of a split; downloads the language from the hub where that is allowed and needed.

        Raises:
            BadInput: an unknown language, files that are missing, or not as published.
        """
        if split == "unlabelled":
            return [replace(sentence, spans=None) for sentence in self.read(language, "train")]
        return self._read(language, split, Counter())

    def check(self) -> list[str]:
        """For the languages that are on this machine: sizes, shared sentences, and what reading repaired."""
        present = [language for language in self.languages() if self._is_here(language)]
        if not present:
            return ["no language is on this machine; 'xner data fetch wikiann --languages …' downloads some"]
        lines = []
        for language in present:
            lines.extend(overlap_findings(self, language))
            repairs: Counter[str] = Counter()
            for split in ("train", "dev", "test"):
                self._read(language, split, repairs)
            lines.extend(f"{language}: {count} {what}" for what, count in sorted(repairs.items()) if count)
            if not self._is_text(language):
                commit = commit_of(hub.hub_name(self.params.revision, language))
                if commit != self.params.revision:
                    lines.append(f"{language}: revision '{self.params.revision}' is commit {commit}: pin it")
        return lines

    def hub_names(self, languages: Sequence[str]) -> tuple[HubName, ...]:
        """The parquet files of the languages that have no text files here."""
        hubs = [language for language in languages if not self._is_text(language)]
        return (hub.hub_name(self.params.revision, *hubs),) if hubs else ()

    def _read(self, language: str, split: str, repairs: Counter[str]) -> list[Sentence]:
        if language not in (known := self.languages()):
            raise BadInput(f"corpus wikiann: no language '{language}'{nearest(language, known)}")
        if self._is_text(language):
            path = self._text_folder / language / split
            rows = read_text(path, language)
        else:
            paths = hub.files_of(language, split, self.params.revision)
            rows = [row for path in paths for row in hub.read_parquet(path)]
        sentences = sentences_of(rows, language, split, repairs)
        if split == "test" and not any(sentence.spans for sentence in sentences):
            raise BadInput(f"corpus wikiann: the {language} test has no entity: placeholders, no gold")
        return sentences

    @property
    def _text_folder(self) -> Path:
        return data_dir() / "wikiann"

    def _text_languages(self) -> tuple[str, ...]:
        if self.params.layout == "hub":
            return ()
        return tuple(path.parent.name for path in sorted(self._text_folder.glob("*/train")))

    def _is_text(self, language: str) -> bool:
        return language in self._text_languages()

    def _is_here(self, language: str) -> bool:
        if self._is_text(language):
            return True
        name = hub.hub_name(self.params.revision, language)
        folder = cached(name, name.commit or name.revision)
        return folder is not None and (folder / language).is_dir()
