"""WikiAnn (PAN-X), balanced splits of Rahimi et al. (2019): from the hub, or from the original text files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from bench.api.hub import HubName, commit_of, here
from bench.api.recipes import Corpus, Facts, overlap_findings
from bench.api.source_files import data_dir
from bench.core.conll import has_control, read_tagged
from bench.core.errors import BadInput, nearest, require
from bench.core.sentences import Sentence, Split, spans_of, tag_set
from data_recipes.corpora.wikiann.hub import Row, hub_name, read_split

REPOSITORY = "unimelb-nlp/wikiann"
TYPES = ("PER", "ORG", "LOC")
TAGS = tag_set(TYPES)  # in the order of the hub's ClassLabel
REPLACEMENT = "\ufffd"
# the configurations on the hub: those of Rahimi et al. (2019), by Wikipedia's codes
_CODES = """
ace af als am an ang ar arc arz as ast ay az ba bar bat-smg be be-x-old bg bh bn bo br bs ca cbk-zam cdo ce ceb ckb co
crh cs csb cv cy da de diq dv el eml en eo es et eu ext fa fi fiu-vro fo fr frr fur fy ga gan gd gl gn gu hak he hi hr
hsb hu hy ia id ig ilo io is it ja jbo jv ka kk km kn ko ksh ku ky la lb li lij lmo ln lt lv map-bms mg mhr mi min mk
ml mn mr ms mt mwl my mzn nap nds ne nl nn no nov oc or os pa pdc pl pms pnb ps pt qu rm ro ru rw sa sah scn sco sd sh
si simple sk sl so sq sr su sv sw szl ta te tg th tk tl tr tt ug uk ur uz vec vep vi vls vo wa war wuu xmf yi yo zea
zh zh-classical zh-min-nan zh-yue
"""


@dataclass(frozen=True)
class WikiannParams:
    """`revision` of the hub's repository: a commit, or "main", whatever is newest when a matrix is first run."""

    revision: str = "main"
    layout: Literal["auto", "hub", "text"] = "auto"  # auto: text where $XNER_DATA/wikiann has the language, else hub

    def __post_init__(self) -> None:
        require(bool(self.revision), "revision must be a commit, a tag or a branch of the hub's repository")


class WikiannCorpus(Corpus):
    """Wikipedia sentences with machine-made labels; unlabelled text is a language's training split without labels."""

    name: ClassVar[str] = "wikiann"
    version = 1
    cites = ("pan2017crosslingual", "rahimi2019massively")
    Params: ClassVar[type] = WikiannParams
    facts: ClassVar[Facts] = Facts(
        title="WikiAnn (PAN-X)",
        licence="unclear: text of Wikipedia, CC BY-SA; check before you redistribute",
        url=f"https://huggingface.co/datasets/{REPOSITORY}",
        notes=(
            "labels made by machine from Wikipedia's links",
            "train and test share sentences (103 in English)",
            "unlabelled text is the training split of the language",
        ),
    )
    params: WikiannParams
    types = TYPES

    def languages(self) -> tuple[str, ...]:
        """The languages of the text files, and, except for layout text, all that the hub has."""
        hubs = () if self.params.layout == "text" else _CODES.split()
        return tuple(sorted({*hubs, *self._text_languages()}))

    def read(self, language: str, split: Split) -> list[Sentence]:
        """The sentences of a split; downloads the language from the hub where that is allowed and needed."""
        if split == "unlabelled":
            return [replace(sentence, spans=None) for sentence in self.read(language, "train")]
        return self._read(language, split, Counter())

    def check(self) -> list[str]:
        """For the languages that are on this machine: sizes, shared sentences, and what reading repaired."""
        lines = []
        for language in filter(self._is_here, self.languages()):
            lines.extend(overlap_findings(self, language))
            repairs: Counter[str] = Counter()
            for split in ("train", "dev", "test"):
                self._read(language, split, repairs)
            lines.extend(f"{language}: {count} {repair}" for repair, count in sorted(repairs.items()) if count)
            for name in self.hub_names([language]):
                if (commit := commit_of(name)) != name.revision:
                    lines.append(f"{language}: revision '{name.revision}' is commit {commit}: pin it")
        return lines or ["no language is on this machine; 'xner data fetch wikiann --languages …' downloads some"]

    def hub_names(self, languages: Sequence[str]) -> tuple[HubName, ...]:
        """The parquet files of the languages that have no text files here."""
        texts = self._text_languages()
        hubs = [language for language in languages if language not in texts]
        return (hub_name(REPOSITORY, self.params.revision, hubs),) if hubs else ()

    def _read(self, language: str, split: str, repairs: Counter[str]) -> list[Sentence]:
        """Sentences `<language>-<split>-<n>`, n from 1 counting published rows; adds to `repairs` what it changed.

        The labels are made by machine, so three defects are repaired rather than refused: an I-X without its B-X opens
        an entity (as conlleval), an empty token or one with a control character becomes U+FFFD, a row without tokens is
        left out.
        """
        if language not in (known := self.languages()):
            raise BadInput(f"corpus wikiann: no language '{language}'{nearest(language, known)}")
        names = self.hub_names([language])
        if names:
            rows = read_split(names[0], language, split, TAGS)
        else:
            rows = read_text(data_dir() / "wikiann" / language / split, language)
        sentences = []
        for number, row in enumerate(rows, 1):
            for tag in row.tags:
                if tag not in TAGS:
                    raise BadInput(f"{row.where}: '{tag}' is not a tag of WikiAnn{nearest(tag, TAGS)}")
            if not row.tokens:
                repairs["rows without tokens, left out"] += 1
                continue
            beside = zip(("O", *row.tags), row.tags, strict=False)
            loose = [tag for before, tag in beside if tag.startswith("I-") and before[2:] != tag[2:]]
            repairs["entities that start with I-"] += len(loose)
            words = tuple(REPLACEMENT if not token or has_control(token) else token for token in row.tokens)
            changed = sum(word != token for word, token in zip(words, row.tokens, strict=True))
            repairs["tokens empty or with control characters, now U+FFFD"] += changed
            sentences.append(Sentence(f"{language}-{split}-{number}", language, words, spans_of(row.tags)))
        if split == "test" and not any(sentence.spans for sentence in sentences):
            raise BadInput(f"corpus wikiann: the {language} test has no entity: placeholders, not gold")
        return sentences

    def _text_languages(self) -> set[str]:
        if self.params.layout == "hub":
            return set()
        return {path.parent.name for path in (data_dir() / "wikiann").glob("*/train")}

    def _is_here(self, language: str) -> bool:
        return all(here(name) for name in self.hub_names([language]))


def read_text(path: Path, language: str) -> list[Row]:
    """The rows of an original text file, `xx:token TAB tag`, without the language prefix of each token.

    Raises:
        BadInput: as `bench.core.conll.read_tagged`, or a token has no prefix.
    """
    rows = []
    for item in read_tagged(path, controls=True):
        parts = [token.partition(":") for token in item.words]
        for (prefix, colon, _), token, line in zip(parts, item.words, item.lines, strict=True):
            if not colon or not prefix:
                raise BadInput(f"{path}:{line}: expected '{language}:token', found {token!r}")
        rows.append(Row(tuple(token for _, _, token in parts), item.tags, f"{path}:{item.lines[0]}"))
    return rows
