"""Text ↔ words in a corpus's tokenisation, so that machine translations look like the test sentences.

Portuguese contractions are split as in Universal Dependencies, and joined again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from bench.core.errors import BadInput

_ARTICLES = ("o", "a", "os", "as")
_OTHERS = """um uma uns umas ele ela eles elas isto isso aquilo aquele aquela aqueles aquelas
este esta estes estas esse essa esses essas"""
_PARTS: Mapping[str, tuple[str, str]] = {
    **{f"pel{article}": ("por", article) for article in _ARTICLES},
    "ao": ("a", "o"),
    "aos": ("a", "os"),
    "à": ("a", "a"),
    "às": ("a", "as"),
    **{f"d{word}": ("de", word) for word in (*_ARTICLES, *_OTHERS.split())},
    **{f"n{word}": ("em", word) for word in (*_ARTICLES, *_OTHERS.split())},
}
# em um is as correct as num, and commoner in Brazil
_WHOLES = {parts: word for word, parts in _PARTS.items() if not parts[1].startswith("u")}


def expanded(words: Iterable[str]) -> list[str]:
    """de, em, a and por split off articles, demonstratives and personal pronouns; a capital stays at the front.

    By form alone: the pronoun `nos` is read as `em os`, which is six times as frequent in Bosque.
    """
    out: list[str] = []
    for word in words:
        parts = _PARTS.get(word.lower())
        if parts is None or (len(word) > 1 and word.isupper()):  # DA is probably an abbreviation
            out.append(word)
        else:
            out.extend((parts[0].capitalize() if word[0].isupper() else parts[0], parts[1]))
    return out


def contracted(words: Iterable[str]) -> list[str]:
    """`de o` becomes `do` again, as Portuguese is written; `em um` stays. A capital of the first part is kept."""
    out: list[str] = []
    for word in words:
        whole = _WHOLES.get((out[-1].lower(), word)) if out else None
        if whole is None:
            out.append(word)
        else:
            out[-1] = whole.capitalize() if out[-1][0].isupper() else whole
    return out


SCHEMES = ("ud", "moses", "characters")
UNSPACED = frozenset({"zh", "ja", "th"})  # written without spaces: without a segmenter, words are characters

_RUN = re.compile(r"[A-Za-z0-9]+(?:[.,'][A-Za-z0-9]+)*|\S[\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]*")
_MARK = re.compile(r"[\u0300-\u036f]")
_WIDE = re.compile(r"[\u0e00-\u0e7f\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_NOT = re.compile(r"(?i)\b(\w+?)(n['’]t)\b")  # English: do|n't, where Moses has don|'t
_CLITIC = re.compile(r"(?i)(?<=\w)(['’](?:s|m|d|re|ve|ll))\b")
_ENGLISH = (r"\bn['’]t\b", r"(?<!\w)['’](?:s|m|d|re|ve|ll)\b")  # what _NOT and _CLITIC cut off, kept whole
_INSIDE = r"[^\W\d_]+(?:['’][^\W\d_]+)+"  # an apostrophe inside a word, as in пам'ять; Moses splits it
_COLON = r"\w+:[a-zåäö]+"  # Finnish and Swedish case endings: EU:n
_APOSTROPHE_SPLITS = frozenset({"en", "fr", "it", "ca"})  # where UD, as Moses, splits at an apostrophe
_DOT_SPLITS = frozenset({"cs", "sk"})  # where UD cuts the full stop off abbreviations and ordinals, too


def tokenise(text: str, language: str, scheme: str) -> tuple[str, ...]:
    """The words of a text; () of white space.

    `moses`: as the Moses tokenizer, nothing escaped. `ud`: Moses, closer to Universal Dependencies (*ours*): English
    n't and hyphens as in EWT; Portuguese `do` as `de o`; combining marks, apostrophes inside words, Finnish and Swedish
    colons kept. `characters`, and Chinese, Japanese and Thai in any scheme (there is no segmenter): a word for each
    character, runs of Latin letters whole.

    Raises:
        BadInput: the scheme is unknown.
    """
    if scheme not in SCHEMES:
        raise BadInput(f"unknown tokenisation '{scheme}'; known: {', '.join(SCHEMES)}")
    if scheme == "characters" or language in UNSPACED:
        return tuple(_RUN.findall(text))
    protected = []
    if scheme == "ud":
        if language == "en":
            text = _CLITIC.sub(r" \1", _NOT.sub(r"\1 \2", text))
            protected = list(_ENGLISH)
        elif language not in _APOSTROPHE_SPLITS:
            protected = [_INSIDE]
        if language in ("fi", "sv"):
            protected = [*protected, _COLON]
    # the protection could run out with several hundred matches in a text, which would be no sentence
    words: list[str] = _moses(language).tokenize(text, escape=False, protected_patterns=protected or None)
    if scheme == "ud" and _MARK.search(text):
        words = _with_marks(words, text)
    if scheme == "ud" and language == "en":
        compound = re.compile(r"[^\W_]+(?:-[^\W_]+)+")  # well-known → well, -, known; not a sign or a lone dash
        words = [part for w in words for part in (re.split(r"(-)", w) if compound.fullmatch(w) else [w])]
    if scheme == "ud" and language == "pt":
        words = expanded(words)
    if scheme == "ud" and language in _DOT_SPLITS:
        words = [part for word in words for part in re.findall(r"\.$|(?:(?!(?<=\w)\.$).)+", word)]
    return tuple(words)


def _with_marks(words: Sequence[str], text: str) -> list[str]:
    """Join combining marks to their letters again (common in Yoruba): Moses treats them as punctuation."""
    joined: list[str] = []
    end = 0
    for word in words:
        start = text.find(word, end)
        mark = _MARK.match(word) or (joined and _MARK.match(joined[-1][-1]) and word[0].isalnum())
        if joined and mark and start == end:
            joined[-1] += word
        else:
            joined.append(word)
        end = max(start, end) + len(word)
    return joined


def detokenise(words: Sequence[str], language: str) -> str:
    """The text of words, with spaces as Moses's detokenizer sets them.

    *Ours*: English n't and hyphens are joined and Portuguese is contracted: translation models know `do`, not `de o`.
    """
    if language in UNSPACED:
        text = ""
        for word in words:  # a space only between two words of other scripts
            spaced = text and word and not _WIDE.match(text[-1]) and not _WIDE.match(word[0])
            text += f" {word}" if spaced and text[-1].isalnum() and word[0].isalnum() else word
        return text
    if language == "en":
        words = _joined_english(words)
    elif language == "pt":
        words = contracted(words)
    return str(_detokenizer(language).detokenize(list(words), unescape=False))


def _joined_english(words: Sequence[str]) -> list[str]:
    """Join n't to its verb, and the three parts of well - known."""
    joined: list[str] = []
    glued = False  # whether the word before was a hyphen inside a compound
    for position, word in enumerate(words):
        beside = (*words[position - 1 : position], *words[position + 1 : position + 2])
        hyphen = word == "-" and 0 < position < len(words) - 1 and beside[0][-1].isalnum() and beside[1][0].isalnum()
        if joined and (glued or hyphen or word.lower() in ("n't", "n’t")):
            joined[-1] += word
        else:
            joined.append(word)
        glued = hyphen
    return joined


@cache
def _moses(language: str) -> Any:
    from sacremoses import MosesTokenizer

    moses = MosesTokenizer(lang=language)
    if language == "ca":  # Moses has its abbreviations, but not that apostrophes are as in French: l', d'
        moses.lang = "fr"
    return moses


@cache
def _detokenizer(language: str) -> Any:
    from sacremoses import MosesDetokenizer

    return MosesDetokenizer(lang="fr" if language == "ca" else language)
