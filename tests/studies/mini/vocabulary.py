"""The tokenizer of `mini`: cased WordPiece over all languages, Cyrillic read as Latin letters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_recipes.encoders.tiny.encoder import SPECIAL, fast_tokenizer

LENGTH = 128
HAN = "\u3400"  # from here on every letter is a word of its own
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяёђјљњћџѐѝіїєґ"
_LATIN = "a b v g d e ž z i j k l m n o p r s t u f h c č š šč a y _ e ju ja e đ j lj nj ć dž e i i i e g"


@dataclass(frozen=True)
class Mix:
    """How often a word counts for the vocabulary; every value is ours."""

    size: int
    english: float = 4.0  # a word of the English text, the other languages' words being 1
    dictionary: float = 0.3  # a word of a dictionary entry
    teacher: float = 40000.0  # the teacher's r-th English word: this over r + 100
    rare: float = 6.0  # a letter outside Latin that counts less is unknown: some Chinese characters


def splitter() -> Any:
    """A tokenizer without a vocabulary: normalisation and words only."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    steps = [normalizers.BertNormalizer(lowercase=False, strip_accents=False), normalizers.NFC()]
    steps += [normalizers.Replace(letter, latin) for letter, latin in romanisation().items()]
    backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


def romanisation() -> Mapping[str, str]:
    """Cyrillic letters, both cases, to Latin ones: Russian, Bulgarian, Serbian and Ukrainian words of one root meet."""
    lower = {c: "" if latin == "_" else latin for c, latin in zip(_CYRILLIC, _LATIN.split(" "), strict=True)}
    return lower | {c.upper(): latin.capitalize() for c, latin in lower.items()}


def words_of(backend: Any, text: str) -> tuple[str, ...]:
    """The words of a sentence as the tokenizer sees them."""
    return tuple(w for w, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text)))


def weights(
    mix: Mix, english: Iterable[str], foreign: Iterable[str], entries: Iterable[str], teacher: Sequence[str]
) -> dict[str, float]:
    """How often each word counts. `teacher`: its whole-word pieces, most frequent first, with their usual capitals."""
    total: dict[str, float] = defaultdict(float)
    for words, weight in ((english, mix.english), (foreign, 1.0), (entries, mix.dictionary)):
        for word, count in Counter(words).items():
            total[word] += weight * count
    for rank, word in enumerate(teacher):
        total[word] += mix.teacher / (rank + 100)
    return dict(total)


def train_tokenizer(mix: Mix, counts: Mapping[str, float]) -> Any:
    """A fast tokenizer with the same vocabulary every time.

    The trainer breaks ties between letters by a hash table that differs from process to process; given every letter
    beforehand, as if it were special, it has none left to number (`data_recipes.encoders.tiny` does the same).
    """
    from tokenizers import trainers

    letters: dict[str, float] = defaultdict(float)
    for word, weight in counts.items():
        for letter in word:
            letters[letter] += weight
    known = sorted(c for c, weight in letters.items() if c < "\u0250" or weight >= mix.rare)
    inner = [f"##{c}" for c in known if c < HAN and c.isalnum()]
    trainer = trainers.WordPieceTrainer(
        vocab_size=mix.size,
        special_tokens=[*SPECIAL, *known, *inner],
        initial_alphabet=known,
        show_progress=False,
        min_frequency=1,
    )
    backend = splitter()
    usable = set(known)
    ordered = sorted((word, round(weight)) for word, weight in counts.items() if usable.issuperset(word))
    backend.train_from_iterator((" ".join([word] * times) for word, times in ordered), trainer)
    vocabulary: dict[str, int] = backend.get_vocab()
    return fast_tokenizer(splitter(), vocabulary, longest_word=60, length=LENGTH)
