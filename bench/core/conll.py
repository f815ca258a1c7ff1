"""CoNLL-style files: a reader for any columns, comments and scheme, with errors by file and line; and writing."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.core.columns import Columns
from bench.core.errors import BadInput, nearest
from bench.core.sentences import IllFormedError, Mode, Scheme, Sentence, Span, decode, entities, tags_of

NormalForm = Literal["", "NFC", "NFKC"]
HEAD = 2000  # lines by which columns are judged
_PLACEHOLDERS = frozenset({"O", "_", "-"})
_DOCUMENT = re.compile(r"(?:newdoc(?: id)?|(?:\w+:)?document_id)(?:\s*=\s*(.*))?")


@dataclass(frozen=True, slots=True)
class Format:
    """How to read a file: columns from 0, negative from the end.

    Attributes:
        token: None is the first, refused if it only numbers the words.
        tag: None is the last, refused if another column holds tags too, or this one none.
        separator: "" is a tab if the line has one, else runs of spaces.
        label_map: new names of entity types; a type renamed to "O" is read as O.
        comments: how comment lines begin; None is "# " if the line is no row, "" is no comments.
        normalise: the Unicode normal form of the words, "" to leave them as they are.
    """

    token: int | None = None
    tag: int | None = None
    separator: str = ""
    scheme: Scheme = "IOB2"
    label_map: Mapping[str, str] = field(default_factory=dict)
    comments: str | None = None
    normalise: NormalForm = ""


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """A sentence as the file has it: tags unchecked, line numbers (from 1) of its words, comments without the `#`."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    lines: tuple[int, ...]
    comments: tuple[str, ...]
    document: str = ""  # from `# newdoc id = …`, else its number if -DOCSTART- lines divide the file

    def comment(self, *keys: str) -> str:
        """The value of the first `# key = value` comment with one of these keys, "" if there is none."""
        for comment in self.comments:
            key, equals, value = comment.partition("=")
            if equals and key.strip() in keys:
                return value.strip()
        return ""


class Ids:
    """Ids of the sentences of files below `root`; a repeated name gets its document, or its file, as a prefix."""

    def __init__(self, root: Path | None = None) -> None:
        self._root, self._taken = root, set[str]()
        self._places: dict[tuple[Path, str, str], int] = {}  # line by file, document, and name in it

    def unique(self, name: str, path: Path, line: int, document: str = "") -> str:
        """The name, made unique. BadInput, with both places, if another sentence of the same document has it."""
        before = self._places.setdefault((path, document, name), line)
        file = path.relative_to(self._root).with_suffix("").as_posix() if self._root else ""
        forms = [(name,), (document, name), (file, name), (file, document, name)]
        id_ = next((id_ for form in forms if all(form) and (id_ := "/".join(form)) not in self._taken), "")
        if before != line or not id_:
            raise BadInput(f"{path}:{line}: two sentences have the id '{name}'; the other is at {path}:{before}")
        self._taken.add(id_)
        return id_


class TaggedFile:
    """A file of tagged sentences, read again for every pass, never held.

    -DOCSTART- lines and lines of white space separate sentences; comments, header rows, and CoNLL-U's ranges (`2-3`)
    and empty nodes (`4.1`) are skipped. `controls` lets empty tokens and tokens with control characters through, for
    a recipe that repairs them itself.

    Raises:
        BadInput: when its line is reached: the file is missing, empty or not UTF-8, lacks a column, has several
            candidates (see `Format`), or a control character in a token.
    """

    def __init__(self, path: Path, format: Format | None = None, *, controls: bool = False) -> None:
        self.path, self.format, self.controls = path, format or Format(), controls
        self.skipped: dict[str, list[int]] = {}  # what the last pass skipped: by kind its number, and the first line
        self._seen: set[str] = set()  # tags that were well-formed

    def __iter__(self) -> Iterator[TaggedSentence]:
        lines = enumerate(lines_of(self.path), 1)
        # the columns are judged by the first `HEAD` lines, or those up to a row of two fields (nothing to choose)
        columns, head = Columns(self.format.token, self.format.tag, self.format.separator, self.format.comments), []
        for number, line in lines:
            head.append((number, line))
            if len(head) == HEAD or 0 < columns.width_of(line) < 3:
                break
        columns.judge(self.path, head)
        self.skipped, documents, document = {}, 0, ""
        empty, comments, rows = True, list[str](), list[tuple[str, str, int]]()
        for number, line in itertools.chain(head, lines, [(0, "")]):
            kind = columns.kind(line, bool(rows))
            if kind in ("blank", "document", "first row"):
                if rows:
                    words, tags, numbers = zip(*rows, strict=True)
                    empty = False
                    yield TaggedSentence(words, tags, numbers, tuple(comments), document)
                rows, comments = [], []
            if kind in ("row", "first row"):
                rows.append((*self._cells(columns.fields(line), columns, number), number))
            elif kind == "comment":
                comments.append(line[1:].strip())
            if kind not in ("row", "first row", "blank", "document") and (rows or kind != "comment"):
                skipped = f"{kind} line inside a sentence" if kind == "comment" else str(kind)
                self.skipped.setdefault(skipped, [0, number])[0] += 1
            new = _DOCUMENT.fullmatch(comments[-1]) if kind == "comment" else None
            if new or kind == "document":
                documents += 1
                document = (new and new[1]) or f"doc{documents}"
        if empty:
            raise BadInput(f"{self.path}:1: no sentence in this file")

    def _cells(self, fields: Sequence[str], columns: Columns, number: int) -> tuple[str, str]:
        where, shown = f"{self.path}:{number}", " ".join(fields)[:60]
        try:
            token, tag = fields[columns.token], columns.tag_of(fields[columns.tag])
        except IndexError:
            wanted = f"columns {columns.token} (token) and {columns.tag} (tag) are wanted, counted from 0"
            raise BadInput(f"{where}: {wanted}, but there are {len(fields)}: {shown!r}") from None
        if columns.token % len(fields) == columns.tag % len(fields):
            raise BadInput(f"{where}: token and tag are the same column of {len(fields)}: {shown!r}")
        token = in_form(token, self.format.normalise)
        if not self.controls and (not token or has_control(token)):
            raise BadInput(f"{where}: {'a control character in' if token else 'empty'} token {token!r}")
        return token, tag

    def notes(self) -> list[str]:
        """What the last pass skipped, a line each."""
        notes = []
        for kind, (count, line) in self.skipped.items():
            kinds = re.sub("(range|node|line|row)", r"\1s", kind, count=1) if count > 1 else kind
            notes.append(f"{self.path}: {count} {kinds} skipped, the first at line {line}")
        return notes

    def spans(self, item: TaggedSentence, mode: Mode | None = None) -> tuple[Span, ...]:
        """The entities of a sentence, renamed; `mode` reads ill-formed tags as a scorer does, None refuses them.

        Raises:
            BadInput: a tag is not of the scheme, or ill-formed: with its line.
        """
        scheme, names, tags = self.format.scheme, self.format.label_map, item.tags
        if "O" in names.values():
            tags = tuple("O" if tag[1:2] == "-" and names.get(tag[2:]) == "O" else tag for tag in tags)
        try:
            spans = decode(tags, scheme) if mode is None else entities(tags, scheme, mode)
        except IllFormedError as error:
            hint = nearest(item.tags[error.position], self._seen) if error.known else ""
            raise BadInput(f"{self.path}:{item.lines[error.position]}: {error}{hint}") from error
        self._seen.update(tags)
        return tuple(span._replace(type=names.get(span.type, span.type)) for span in spans) if names else spans

    def sentence(self, item: TaggedSentence, number: int, language: str, ids: Ids | None = None) -> Sentence:
        """A labelled sentence: id from `# sent_id`, else `<stem>-<number>`; group from `# parallel_id` or `# group`.

        Raises:
            BadInput: as `spans`; or, where `ids` are given, as `Ids.unique`.
        """
        default = f"{self.path.stem}-{number}"
        name = item.comment("sent_id") or default
        id_ = ids.unique(name, self.path, item.lines[0], item.document) if ids else name
        return Sentence(id_, language, item.words, self.spans(item), item.comment("parallel_id", "group"))


def read_tagged(path: Path, format: Format | None = None, *, controls: bool = False) -> list[TaggedSentence]:
    """The sentences of a file, tags as written; BadInput as `TaggedFile`."""
    return list(TaggedFile(path, format, controls=controls))


def read_lines(path: Path) -> list[str]:
    """`lines_of` as a list."""
    return list(lines_of(path))


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, one at a time, without their ends; the last one is "" if the file ends with one.

    Only LF and CR LF end a line; a byte order mark is dropped.

    Raises:
        BadInput: the file is missing, not UTF-8, or has a NUL: with the line.
    """
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


def in_form(text: str, form: NormalForm) -> str:
    """The text in a Unicode normal form; unchanged if `form` is ""."""
    return unicodedata.normalize(form, text) if form else text


def has_control(text: str) -> bool:
    """Whether the text has a control character (Unicode's Cc; format characters such as joiners are not)."""
    return not text.isprintable() and any(unicodedata.category(character) == "Cc" for character in text)


def read_conll(
    path: Path,
    language: str,
    types: Sequence[str],
    format: Format | None = None,
    *,
    require_entities: bool = False,
    ids: Ids | None = None,
) -> list[Sentence]:
    """The labelled sentences of a file; `require_entities` refuses placeholders for gold.

    Raises:
        BadInput: as `TaggedFile.spans`; an entity type is unknown, or the tags are placeholders.
    """
    file = TaggedFile(path, format)
    renamed = file.format.label_map
    for old, new in renamed.items():
        if new != "O" and new not in types:
            hint = nearest(new, [*types, "O"])
            raise BadInput(f"label_map: '{old}' becomes '{new}', which is not an entity type{hint}")
    items = list(file)
    if require_entities:
        refuse_placeholders(path, items)
    sentences = [file.sentence(item, number, language, ids) for number, item in enumerate(items, 1)]
    for item, sentence in zip(items, sentences, strict=True):
        for span in sentence.spans or ():
            if span.type not in types:
                cure = f'types = {json.dumps([*types])}; label_map renames a type, or drops it with "O"'
                hint = f"{nearest(span.type, [*types, *renamed])} ({cure})"
                raise BadInput(f"{path}:{item.lines[span.start]}: unknown entity type '{span.type}'{hint}")
    if require_entities and not any(sentence.spans for sentence in sentences):
        raise BadInput(f"{path}: no entity of {', '.join(types)} is left: a test on it would mean nothing")
    return sentences


def refuse_placeholders(path: Path, items: Sequence[TaggedSentence]) -> None:
    """BadInput if all tags are the same placeholder (O, _ or -): any system would score 0, or 1, on such gold."""
    tags = {tag for item in items for tag in item.tags}
    if len(tags) == 1 and tags <= _PLACEHOLDERS:
        count = sum(len(item.tags) for item in items)
        hint = "placeholders, not gold (is it the right tag column?)"
        raise BadInput(f"{path}:{items[0].lines[0]}: all {count} tags are '{tags.pop()}': {hint}")


def conll_text(sentences: Iterable[Sentence]) -> str:
    """IOB2, token TAB tag, with `# sent_id` (and `# group`); `read_conll` gives the same sentences back.

    Raises:
        ValueError: a sentence has no words or no labels, or a token is empty or has a control character.
    """
    lines = list[str]()
    for sentence in sentences:
        if sentence.spans is None or not sentence.words:
            raise ValueError(f"sentence {sentence.id} has no {'labels' if sentence.words else 'words'}")
        bad = next((word for word in sentence.words if not word or has_control(word)), None)
        if bad is not None:
            raise ValueError(f"sentence {sentence.id}: token {bad!r} cannot be written")
        tags = tags_of(sentence.spans, len(sentence.words))
        lines += [f"# sent_id = {sentence.id}", *([f"# group = {sentence.group}"] if sentence.group else [])]
        lines += [*(f"{word}\t{tag}" for word, tag in zip(sentence.words, tags, strict=True)), ""]
    return "".join(f"{line}\n" for line in lines)
