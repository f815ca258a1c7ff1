"""CoNLL-style files: reading with any columns and scheme, each complaint with its file and line, and writing."""

from __future__ import annotations

import io
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from bench.core.errors import BadInput, nearest
from bench.core.sentences import Sentence, Span, spans_of, tags_of

Scheme = Literal["IOB2", "IOB1", "BIOES"]

_TAG = re.compile(r"O|_|-|[BIESLU]-\S+")  # what a tag column holds, placeholders included
_METADATA = re.compile(r"#\s+[^\s=]+\s+=(\s|$)")  # CoNLL-U's `# key = value`
_PLACEHOLDERS = frozenset({"O", "_", "-"})
_FROM_BILOU = {"L": "E", "U": "S"}  # BILOU is BIOES with other letters


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the token and the tag stand, from 0, negative from the end.

    An empty separator means: tabs where the line has one, else runs of spaces.
    """

    token: int = 0
    tag: int = -1
    separator: str = ""

    def split(self, line: str) -> list[str]:
        """The fields of a line."""
        if self.separator:
            return line.split(self.separator)
        # Not str.split(): a token may be, or hold, a no-break or ideographic space.
        return line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """A sentence as the file has it: tags unchecked, line numbers (from 1) of its words, comments without the `#`."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    lines: tuple[int, ...]
    comments: tuple[str, ...]

    def comment(self, *keys: str) -> str:
        """The value of the first `# key = value` comment with one of these keys, "" if there is none."""
        for comment in self.comments:
            key, equals, value = comment.partition("=")
            if equals and key.strip() in keys:
                return value.strip()
        return ""


class IllFormedError(ValueError):
    """The tag at `position` (from 0) breaks its scheme."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


# --- tagging schemes --------------------------------------------------------------------------------------------------


def decode(tags: Sequence[str], scheme: Scheme = "IOB2") -> tuple[Span, ...]:
    """Spans of well-formed tags; IOB1 takes an I-X that opens a span; BIOES also takes BILOU's letters.

    Raises:
        IllFormedError: a tag is not of the scheme or does not follow from the one before it.
    """
    before = ""  # the tag before, "" where no entity is open
    for position, tag in enumerate([*tags, "O"]):
        prefix, type_ = _parts(tag, scheme, position)
        expected = _expectation(before, prefix, type_, scheme)
        if expected:
            found = f"found '{tag}'" if position < len(tags) else "the sentence ends"
            raise IllFormedError(min(position, len(tags) - 1), f"{expected}, {found}")
        # In BIOES only B and I leave an entity open; in IOB every entity tag does.
        before = f"{prefix}-{type_}" if prefix in "BI" else ""
    if scheme == "BIOES":
        tags = [_to_iob(tag) for tag in tags]
    return spans_of(tags)


def encode(spans: Iterable[Span], length: int, scheme: Scheme = "IOB2") -> tuple[str, ...]:
    """Tags of the spans, one a word.

    Raises:
        ValueError: as `bench.core.sentences.tags_of`.
    """
    spans = tuple(spans)
    tags = list(tags_of(spans, length))
    for start, end, type_ in spans:
        if scheme == "IOB1" and not (start and any(span.end == start and span.type == type_ for span in spans)):
            tags[start] = f"I-{type_}"
        elif scheme == "BIOES":
            tags[end - 1] = f"S-{type_}" if end - start == 1 else f"E-{type_}"
    return tuple(tags)


def _parts(tag: str, scheme: Scheme, position: int) -> tuple[str, str]:
    prefix, _, type_ = tag.partition("-")
    if scheme == "BIOES":
        prefix = _FROM_BILOU.get(prefix, prefix)
    allowed = "BIES" if scheme == "BIOES" else "BI"
    if tag != "O" and not (type_ and prefix and prefix in allowed):
        known = ", ".join(f"{letter}-TYPE" for letter in allowed)
        raise IllFormedError(position, f"'{tag}' is no {scheme} tag; expected O, {known}")
    return prefix, type_


def _expectation(before: str, prefix: str, type_: str, scheme: Scheme) -> str:
    """What should have stood here, "" if the tag may follow `before`."""
    open_type = before[2:]
    if scheme == "BIOES":
        if open_type and (prefix not in ("I", "E") or type_ != open_type):
            return f"expected I-{open_type} or E-{open_type} after '{before}'"
        if not open_type and prefix in ("I", "E"):
            return f"expected B-{type_} or S-{type_} (an entity starts)"
    elif scheme == "IOB2" and prefix == "I" and type_ != open_type:
        return f"expected B-{type_} where an entity starts (scheme 'IOB1' takes I-{type_} too)"
    return ""


def _to_iob(tag: str) -> str:
    prefix, _, type_ = tag.partition("-")
    return {"E": f"I-{type_}", "L": f"I-{type_}", "S": f"B-{type_}", "U": f"B-{type_}"}.get(prefix, tag)


# --- reading ----------------------------------------------------------------------------------------------------------


def read_tags(
    path: Path, token_column: int = 0, tag_column: int = -1, separator: str | None = None
) -> list[tuple[tuple[str, ...], tuple[str, ...], int]]:
    """(words, tags as written, line of the first word) of each sentence.

    Raises:
        BadInput: as `read_tagged`.
    """
    sentences = read_tagged(path, Columns(token_column, tag_column, separator or ""))
    return [(sentence.words, sentence.tags, sentence.lines[0]) for sentence in sentences]


def read_tagged(path: Path, columns: Columns | None = None, *, controls: bool = False) -> list[TaggedSentence]:
    """The sentences of a file, tags as written. -DOCSTART- lines are skipped, lines of white space separate sentences.

    `controls` lets empty tokens and tokens with control characters through, for a recipe that repairs them itself.

    Raises:
        BadInput: the file is missing, empty or not UTF-8, lacks a column, or has control characters in a token.
    """
    return list(tagged_sentences(path, columns, controls=controls))


def tagged_sentences(path: Path, columns: Columns | None = None, *, controls: bool = False) -> Iterator[TaggedSentence]:
    """What `read_tagged` reads, a sentence at a time; BadInput as there, when its line is reached."""
    columns = columns or Columns()
    lines = lines_of(path)
    head, width = [], 0  # up to the first row, whose fields tell a comment from a token `#`
    for line in lines:
        head.append(line)
        if line.strip() and not line.startswith(("# ", "-DOCSTART-")):
            width = len(columns.split(line))
            break
    found = False
    comments: list[str] = []
    rows: list[tuple[str, str, int]] = []
    for number, line in enumerate(itertools.chain(head, lines, [""]), 1):
        if not line.strip():
            if rows:
                words, tags, numbers = zip(*rows, strict=True)
                found = True
                yield TaggedSentence(words, tags, numbers, tuple(comments))
            rows, comments = [], []
        elif not rows and _is_comment(line, columns, width):
            comments.append(line[1:].strip())
        elif not line.startswith("-DOCSTART-"):
            rows.append((*_cells(line, columns, f"{path}:{number}", controls), number))
    if not found:
        raise BadInput(f"{path}:1: no sentence in this file")


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without their ends; only LF and CR LF end one, and a byte order mark is dropped.

    Raises:
        BadInput: the file is missing, not UTF-8, or has a NUL: with the line.
    """
    return list(lines_of(path))


def lines_of(path: Path) -> Iterator[str]:
    """What `read_lines` reads, a line at a time; the last one is "" where the file ends with an end of line."""
    number, raw = 0, b"\n"
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                start = 3 if number == 1 and raw.startswith(b"\xef\xbb\xbf") else 0
                try:
                    line = raw[start:].decode("utf-8")
                except UnicodeDecodeError as error:
                    byte = raw[start + error.start]
                    raise BadInput(f"{path}:{number}: not UTF-8 (byte 0x{byte:02x})") from error
                if "\0" in line:
                    raise BadInput(f"{path}:{number}: a NUL byte; is this a text file?")
                yield line.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    if raw.endswith(b"\n"):
        yield ""


def _is_comment(line: str, columns: Columns, width: int) -> bool:
    """Whether a line at the start of a sentence is a comment; the token `#` with as many columns as others is not."""
    if not line.startswith("# "):
        return False
    fields = columns.split(line)
    try:
        tagged = len(fields) in (width, width or len(fields)) and bool(_TAG.fullmatch(fields[columns.tag].strip()))
    except IndexError:
        return True
    return not tagged or ("\t" not in line and bool(_METADATA.match(line)))


def _cells(line: str, columns: Columns, where: str, controls: bool) -> tuple[str, str]:
    fields = columns.split(line)
    try:
        token, tag = fields[columns.token], fields[columns.tag].strip()
    except IndexError:
        raise BadInput(
            f"{where}: columns {columns.token} (token) and {columns.tag} (tag) are wanted, counted from 0, but there"
            f" are {len(fields)}: {line[:60]!r}"
        ) from None
    if columns.token % len(fields) == columns.tag % len(fields):
        raise BadInput(f"{where}: token and tag are the same column of {len(fields)}: {line[:60]!r}")
    if not controls and (not token or has_control(token)):
        raise BadInput(f"{where}: {'a control character in' if token else 'empty'} token {token!r}")
    return token, tag


def has_control(text: str) -> bool:
    """Whether the text has a control character (Unicode category Cc); format characters such as joiners are none."""
    return not text.isprintable() and any(unicodedata.category(character) == "Cc" for character in text)


def read_conll(
    path: Path,
    language: str,
    types: Sequence[str],
    *,
    scheme: Scheme = "IOB2",
    label_map: Mapping[str, str] | None = None,
    columns: Columns | None = None,
    require_entities: bool = False,
) -> list[Sentence]:
    """Labelled sentences; ids from `# sent_id`, else `<file stem>-<n>`; group from `# parallel_id` or `# group`.

    `label_map` renames types (to "O": the entity is left out); `require_entities` refuses placeholders for gold.

    Raises:
        BadInput: as `read_tagged`; the tags break the scheme, have an unknown type, or are placeholders.
    """
    tagged = read_tagged(path, columns)
    if require_entities:
        refuse_placeholders(path, tagged)
    renamed = {**{type_: type_ for type_ in types}, **(label_map or {})}
    for old, new in (label_map or {}).items():
        if new != "O" and new not in types:
            raise BadInput(f"label_map: '{old}' becomes '{new}', which is no type{nearest(new, [*types, 'O'])}")
    sentences = [
        Sentence(
            id=item.comment("sent_id") or f"{path.stem}-{number}",
            language=language,
            words=item.words,
            spans=tuple(_renamed(_decoded(path, item, scheme), path, item, renamed)),
            group=item.comment("parallel_id", "group"),
        )
        for number, item in enumerate(tagged, 1)
    ]
    if require_entities and not any(sentence.spans for sentence in sentences):
        raise BadInput(f"{path}: no entity of {', '.join(types)} is left: a test on it would mean nothing")
    return sentences


def refuse_placeholders(path: Path, tagged: Sequence[TaggedSentence]) -> None:
    """Refuse gold that is all O, _ or -: any system would score 0, or 1, on it.

    Raises:
        BadInput: all tags are the same placeholder.
    """
    found = {tag for item in tagged for tag in item.tags}
    if len(found) == 1 and found <= _PLACEHOLDERS:
        count = sum(len(item.tags) for item in tagged)
        raise BadInput(
            f"{path}:{tagged[0].lines[0]}: all {count} tags are '{found.pop()}': placeholders, no gold"
            " (is it the right tag column?)"
        )


def _decoded(path: Path, item: TaggedSentence, scheme: Scheme) -> tuple[Span, ...]:
    try:
        return decode(item.tags, scheme)
    except IllFormedError as error:
        raise BadInput(f"{path}:{item.lines[error.position]}: {error}") from error


def _renamed(spans: Iterable[Span], path: Path, item: TaggedSentence, renamed: Mapping[str, str]) -> Iterator[Span]:
    for span in spans:
        if span.type not in renamed:
            raise BadInput(
                f"{path}:{item.lines[span.start]}: unknown entity type '{span.type}'"
                f'{nearest(span.type, renamed)} (label_map renames a type, or drops it with "O")'
            )
        if renamed[span.type] != "O":
            yield span._replace(type=renamed[span.type])


# --- writing ----------------------------------------------------------------------------------------------------------


def write_conll(sentences: Iterable[Sentence], target: Path | TextIO) -> None:
    """IOB2, token TAB tag, with `# sent_id` (and `# group`); `read_conll` gives the same sentences back.

    Raises:
        ValueError: a sentence has no words or no labels, or a token is empty or has a control character.
    """
    text = "".join(_block(sentence) for sentence in sentences)
    if isinstance(target, Path):
        target.write_bytes(text.encode())
    else:
        target.write(text)


def _block(sentence: Sentence) -> str:
    if sentence.spans is None or not sentence.words:
        raise ValueError(f"sentence {sentence.id} has no {'labels' if sentence.words else 'words'}")
    bad = next((word for word in sentence.words if not word or has_control(word)), None)
    if bad is not None:
        raise ValueError(f"sentence {sentence.id}: token {bad!r} cannot be written")
    head = [f"# sent_id = {sentence.id}"] + ([f"# group = {sentence.group}"] if sentence.group else [])
    tags = tags_of(sentence.spans, len(sentence.words))
    return "\n".join([*head, *(f"{word}\t{tag}" for word, tag in zip(sentence.words, tags, strict=True))]) + "\n\n"


def conll_text(sentences: Iterable[Sentence]) -> str:
    """What `write_conll` writes."""
    text = io.StringIO()
    write_conll(sentences, text)
    return text.getvalue()
