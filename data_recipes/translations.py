"""`translations/<language>.tsv`: translations made elsewhere, of any part of a corpus's training sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.core.conll import has_control, read_lines
from bench.core.errors import BadInput, nearest
from bench.core.sentences import IllFormedError, Pair, Sentence, Span, decode

_HEADERS = (["id", "text"], ["id", "text", "tags"])
_PROVENANCE = "# provenance:"


@dataclass(frozen=True, slots=True)
class Row:
    """A translation: its words, and its spans where the file has tags."""

    words: tuple[str, ...]
    spans: tuple[Span, ...] | None


@dataclass(frozen=True, slots=True)
class TranslationFile:
    """The rows by sentence id, and who or what translated ("" where the file does not say)."""

    path: Path
    rows: dict[str, Row]
    provenance: str

    def pairs(self, sources: Iterable[Sentence], language: str) -> list[Pair]:
        """The source sentences that have a row, each with its translation, in the order of the source.

        Raises:
            BadInput: no id of the file is an id of the source.
        """
        sources = list(sources)
        pairs = [
            Pair(source, Sentence(source.id, language, row.words, row.spans, source.group))
            for source in sources
            if (row := self.rows.get(source.id)) is not None
        ]
        if sources and not pairs:
            first = next(iter(self.rows))
            raise BadInput(
                f"{self.path}: no id is the id of a training sentence: '{first}' here, '{sources[0].id}' there"
            )
        return pairs


def read_translations(path: Path, types: Iterable[str]) -> TranslationFile:
    """Read a TSV with a header `id, text` or `id, text, tags`; words and IOB2 tags are separated by single spaces.

    A first line `# provenance: …` says who or what translated. Nothing is quoted or escaped.

    Raises:
        BadInput: file:line of a wrong header or column count, a repeated id, an empty text, or tags that do not fit.
    """
    lines = read_lines(path)
    provenance, first = "", 0
    if lines[0].startswith(_PROVENANCE):
        provenance, first = lines[0].removeprefix(_PROVENANCE).strip(), 1
    header = lines[first].split("\t") if first < len(lines) else []
    if header not in _HEADERS:
        raise BadInput(f"{path}:{first + 1}: expected the header id TAB text (TAB tags), found {header}")
    rows: dict[str, Row] = {}
    known = frozenset(types)
    for number, line in enumerate(lines[first + 1 :], first + 2):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            raise BadInput(f"{path}:{number}: {len(fields)} columns, expected {len(header)} ({', '.join(header)})")
        if fields[0] in rows:
            raise BadInput(f"{path}:{number}: id '{fields[0]}' stands here a second time")
        rows[fields[0]] = _row(fields, known, f"{path}:{number}")
    if not rows:
        raise BadInput(f"{path}:{len(lines)}: no translation in this file")
    return TranslationFile(path, rows, provenance)


def _row(fields: list[str], types: frozenset[str], where: str) -> Row:
    words = tuple(word for word in fields[1].split(" ") if word)
    if not fields[0] or not words or has_control(fields[1]):
        what = "a control character in the text" if words and fields[0] else "an empty id or text"
        raise BadInput(f"{where}: {what}; a sentence that has no translation has no line")
    if len(fields) < 3:
        return Row(words, None)
    tags = fields[2].split()
    if len(tags) != len(words):
        raise BadInput(f"{where}: {len(tags)} tags for {len(words)} words")
    try:
        spans = decode(tags)
    except IllFormedError as error:
        raise BadInput(f"{where}: word {error.position + 1}: {error}") from error
    for span in spans:
        if span.type not in types:
            raise BadInput(f"{where}: unknown entity type '{span.type}'{nearest(span.type, types)}")
    return Row(words, spans)
