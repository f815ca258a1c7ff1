"""The translator `dictionary`: word by word from Wiktionary's bilingual dictionaries, links known by construction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from bench.api.recipes import Corpus, Translated, Translator
from bench.core.errors import BadInput
from bench.core.sentences import Link, Sentence
from bench.core.tokenise import UNSPACED, tokenise
from data_recipes.translators._lookup import Lookup, Piece
from data_recipes.wiktionary import files_for, hashes_of, lexicon, version_of

_WIDE = {".": "。", ",": "，", "?": "？", "!": "！", ":": "：", ";": "；", "(": "（", ")": "）"}
_ARABIC = {",": "،", "?": "؟", ";": "؛"}
_MARKS = {"zh": _WIDE, "ja": _WIDE, "ar": _ARABIC, "fa": _ARABIC}  # punctuation that is written otherwise
_COUNTS = ("translated", "failed", "words", "words_translated", "words_copied", "words_dropped", "marks", "phrases")


@dataclass(frozen=True)
class DictionaryParams:
    """All values are ours."""

    max_phrase: int = 4  # words of the longest phrase that is looked up
    copied_types: tuple[str, ...] = ("PER",)  # entities of these types are copied: Bush is no shrub
    stand_in: dict[str, str] = field(default_factory=dict)  # sk = "cs": the dictionary of a near language instead

    def __post_init__(self) -> None:
        if self.max_phrase < 1:
            raise ValueError("max_phrase must be at least 1")


class DictionaryTranslator(Translator):
    """Word-by-word translation without a word order model, after Mayhew et al. 2017 ("Cheap Translation").

    Ours: base forms of English words by rule, the choice among translations (by the dictionary alone, no language
    model: see `data_recipes.wiktionary`), no phrase across an entity's border, copied persons. Unknown words, numbers
    and punctuation are copied. Either side may be English; base forms only where the source is.
    """

    name: ClassVar[str] = "dictionary"
    Params: ClassVar[type] = DictionaryParams
    params: DictionaryParams

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """Hashes of the dictionaries."""
        return {"dictionaries": hashes_of(self._files(source, target))}

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations with links: one-to-many where an entry has several words, none for a word that is left out.

        Counts: sentences translated and failed; words, of which translated, copied (unknown, or a person's), dropped
        (without a word of their own there, such as articles) and marks (numbers, punctuation); phrases of more words.

        Raises:
            Unavailable: there is no dictionary of the two languages here.
            BadInput: the sentences are of several languages.
        """
        languages = sorted({sentence.language for sentence in sentences})
        if len(languages) > 1:
            raise BadInput(f"translate takes sentences of one language, not of {', '.join(languages)}")
        counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
        if not sentences:
            return Translated((), (), "", dict(counts))
        source, files = languages[0], self._files(languages[0], target)
        lookup = Lookup(lexicon(files, self._other(source), self._other(target)), source, self.params.max_phrase)
        scheme = corpus.tokenisation(target) if self.tokenisation == "corpus" else self.tokenisation
        targets: list[Sentence | None] = []
        links: list[tuple[Link, ...] | None] = []
        for sentence in sentences:
            pieces = lookup.pieces(sentence, self.params.copied_types)
            words, linked = _built(pieces, target, scheme)
            made = Sentence(sentence.id, target, words, None, sentence.group) if words else None
            targets.append(made)
            links.append(linked if made else None)
            counts["translated" if made else "failed"] += 1
            counts.update(_counted(pieces))
        return Translated(tuple(targets), tuple(links), self._provenance(files, source, target), dict(counts))

    def _other(self, language: str) -> str:
        """The language whose dictionary is used."""
        return self.params.stand_in.get(language, language)

    def _files(self, source: str, target: str) -> tuple[Path, ...]:
        return files_for(self._other(source), self._other(target))

    def _provenance(self, files: Iterable[Path], source: str, target: str) -> str:
        said = "Wiktionary, word by word: " + ", ".join(version_of(path) for path in files)
        standing = [f"{self._other(own)} stands in for {own}" for own in (source, target) if self._other(own) != own]
        return "; ".join([said, *standing])


def _built(pieces: Iterable[Piece], target: str, scheme: str) -> tuple[tuple[str, ...], tuple[Link, ...]]:
    """The target words, and each source word linked with every word of its piece."""
    words: list[str] = []
    links: list[Link] = []
    for piece in pieces:
        start = len(words)
        if piece.kind == "copied":
            words.append(_MARKS.get(target, {}).get(piece.text, piece.text))
        elif target in UNSPACED and scheme != "characters":
            words.extend(piece.text.split())  # a dictionary knows words where a tokenizer would have none
        else:
            words.extend(tokenise(piece.text, target, scheme))
        links.extend((i, j) for i in range(piece.start, piece.end) for j in range(start, len(words)))
    return tuple(words), tuple(sorted(links))


def _counted(pieces: Iterable[Piece]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for piece in pieces:
        size = piece.end - piece.start
        mark = piece.kind == "copied" and not any(letter.isalpha() for letter in piece.text)
        counts["marks" if mark else f"words_{piece.kind}"] += size
        counts["words"] += size
        counts["phrases"] += piece.kind == "translated" and size > 1
    return counts
