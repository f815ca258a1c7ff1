"""Two taggings scored as other scorers do: what is compared with seqeval and conlleval.pl.

What an ill-formed tag (O I-X, B-X I-Y) means is the only point where they differ:

- `strict`: seqeval with mode='strict', scheme=IOB2. A chunk is a B-X with the I-X that follow it directly; an I-X that
  continues no X is outside.
- `seqeval-default`: seqeval without a mode. An I-X that continues no X opens a chunk.
- `conlleval`: the perl script of CoNLL-2000 (version 2004-01-26). Any B-X, and an I-X that continues no X, opens a
  chunk, so IOB1 and IOB2 are both read as they are meant.

For tags O, B-X and I-X the last two find the same chunks and the same counts: conlleval keeps one running flag where
seqeval intersects two sets, but the flag rises only when both sides open a chunk of one type at the same word, and
counts only when both close together. They differ outside the input accepted here: conlleval knows no S- tag and closes
E- runs elsewhere; it reads the type "0" as no type; it takes a line whose first field is -X- for a sentence end; a bare
B or I has the type "_" in seqeval and none in conlleval; and conlleval prints percentages rounded to two digits.
One more: strict seqeval strips dashes off the ends of a type ("B-X-" is X); here a type is all that follows the first
dash, in every mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.core.sentences import Mode, Scheme, Span, entities, tags_of
from bench.measure.score import Counts, count


class TagScore(NamedTuple):
    """Counts (sentences, types, 3) of two taggings, and the types in their order (sorted)."""

    types: tuple[str, ...]
    counts: Counts


def score_tags(gold_tags: Sequence[Sequence[str]], predicted_tags: Sequence[Sequence[str]], mode: Mode) -> TagScore:
    """Count the chunks of two taggings as `mode` reads them (see the module's text); tags are O, B-X or I-X.

    Returns:
        Types of the chunks of either side, sorted, and int32 counts (sentences, types, 3) of tp, fp, fn. These equal
        seqeval's and conlleval.pl's sums. A type that occurs only in ill-formed tags has no chunk under `strict`.

    Raises:
        ValueError: the sides differ in sentences, or a tag is not O, B-X or I-X.
    """
    gold, found = ([entities(tags, "IOB2", mode) for tags in side] for side in (gold_tags, predicted_tags))
    types = tuple(sorted({span.type for spans in (*gold, *found) for span in spans}))
    return TagScore(types, count(gold, found, types))


def encode(spans: Iterable[Span], length: int, scheme: Scheme = "IOB2") -> tuple[str, ...]:
    """Tags of the spans, one a word. Raises ValueError as `bench.core.sentences.tags_of`."""
    spans = tuple(spans)
    tags = list(tags_of(spans, length))
    for start, end, type_ in spans:
        if scheme == "IOB1" and not (start and any(span.end == start and span.type == type_ for span in spans)):
            tags[start] = f"I-{type_}"
        elif scheme == "BIOES":
            tags[end - 1] = f"S-{type_}" if end - start == 1 else f"E-{type_}"
    return tuple(tags)
