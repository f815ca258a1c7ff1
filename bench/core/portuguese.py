"""Portuguese contractions taken apart, as Universal Dependencies' Portuguese has them, and put together again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_SHORT = (("d", "de"), ("n", "em"))


def _contractions() -> dict[str, tuple[str, str]]:
    articles = ["o", "a", "os", "as"]
    found = {f"pel{article}": ("por", article) for article in articles}
    found |= {"ao": ("a", "o"), "aos": ("a", "os"), "à": ("a", "a"), "às": ("a", "as")}
    pronouns = ["ele", "ela", "eles", "elas", "isto", "isso", "aquilo", "aquele", "aquela", "aqueles", "aquelas"]
    pronouns += [stem + ending for stem in ("est", "ess") for ending in ("e", "a", "es", "as")]
    determiners = [*articles, "um", "uma", "uns", "umas", *pronouns]
    return found | {f"{short}{word}": (long, word) for short, long in _SHORT for word in determiners}


_PARTS: Mapping[str, tuple[str, str]] = _contractions()
# em um is as good as num, and commoner in Brazil
_WHOLES = {parts: word for word, parts in _PARTS.items() if not parts[1].startswith("u")}


def expanded(words: Iterable[str]) -> list[str]:
    """de, em, a and por taken off articles, demonstratives and personal pronouns; a capital stays at the front.

    By form alone: the pronoun `nos` is taken for `em os`, as which it is six times as frequent in Bosque.
    """
    out: list[str] = []
    for word in words:
        parts = _PARTS.get(word.lower())
        if parts is None or (len(word) > 1 and word.isupper()):  # DA: rather an abbreviation
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
