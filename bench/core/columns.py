"""Which lines of a CoNLL-style file are rows, and which columns hold words and tags, judged by the first lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bench.core.errors import BadInput

Kind = Literal[
    "row", "first row", "blank", "document", "comment", "header row", "range (such as 2-3)", "empty node (such as 4.1)"
]
Line = tuple[int, str]  # its number, from 1

_TAG = re.compile(r"O|_|-|[BIESLUMW]-\S+")  # what a tag column holds, placeholders included
_METADATA = re.compile(r"#\s+[^\s=]+\s+=(\s|$)")  # CoNLL-U's `# key = value`
_FEATURE = re.compile(r"(?:^|\|)(?:NER|NE|name)=(O|[BIESLUMW]-[^|]+)(?=\||$)")  # a tag in CoNLL-U's last column
_PHRASE = re.compile("[BI]-(ADJP|ADVP|CONJP|INTJ|LST|NP|PP|PRT|SBAR|UCP|VP|NC|PC|VC)")  # CoNLL-2003's third column
_HEADER = frozenset({"token", "tokens", "word", "words", "form", "text"})
_RANGE, _NODE = re.compile(r"\d+-\d+"), re.compile(r"\d+\.\d+")


class Columns:
    """The columns of one file. `token`, `tag`, `separator` and `comments` are those of `bench.core.conll.Format`.

    Attributes:
        width: fields of a row, 0 before `judge`.
        numbered: whether the first of several columns numbers the words, as in CoNLL-U and GermEval.
    """

    def __init__(self, token: int | None, tag: int | None, separator: str, comments: str | None) -> None:
        self.token, self.tag = 0 if token is None else token, -1 if tag is None else tag
        self._given = (token is not None, tag is not None)
        self._separator, self._comments = separator, comments
        self.width, self.tabbed, self.numbered, self._features = 0, False, False, False
        self._header: list[str] = []
        self._first = ""  # the number of a sentence's first word, where they are numbered

    def fields(self, line: str) -> list[str]:
        """The fields of a line."""
        if self._separator:
            return line.split(self._separator)
        # Not str.split(): a token may be, or hold, a no-break or ideographic space.
        return line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))

    def tag_of(self, field: str) -> str:
        """The tag in a field: all of it, or the value of NER, NE or name among CoNLL-U's features."""
        if not self._features:
            return field.strip()
        feature = _FEATURE.search(field)
        return feature[1] if feature else "O"

    def kind(self, line: str, inside: bool) -> Kind:
        """What a line is; `inside` if the line before was a row of the same sentence."""
        if not line.strip():
            return "blank"
        if line.startswith("-DOCSTART-"):
            return "document"
        if self._is_comment(line, inside):
            return "comment"
        if self._header or self.numbered:
            fields = self.fields(line)
            if fields == self._header:
                return "header row"
            if self.numbered and _RANGE.fullmatch(fields[0]):
                return "range (such as 2-3)"
            if self.numbered and _NODE.fullmatch(fields[0]):
                return "empty node (such as 4.1)"
            if fields[self.token : self.token + 1] == ["-DOCSTART-"]:
                return "document"
            if inside and fields[0] == self._first:
                return "first row"  # an empty line before it is missing
        return "row"

    def width_of(self, line: str) -> int:
        """The number of fields of a line that is surely a row, else 0."""
        sure = line.strip() and not line.startswith(("#", "-DOCSTART-"))
        return len(self.fields(line)) if sure and not (self._comments and line.startswith(self._comments)) else 0

    def _is_comment(self, line: str, inside: bool) -> bool:
        """Whether a line is a comment; the token `#` with as many columns as others, and a tag, is not."""
        if self._comments is not None:
            return bool(self._comments) and line.startswith(self._comments)
        if not line.startswith(("# ", "#\t")):
            return line == "#" and self.width > 1
        fields = self.fields(line)
        fits = len(fields) in (self.width, self.width or len(fields))
        tagged = -len(fields) <= self.tag < len(fields) and bool(_TAG.fullmatch(self.tag_of(fields[self.tag])))
        if "\t" not in line and (_METADATA.match(line) or (self.tabbed and not (fits and tagged))):
            return True
        if self.numbered:
            return True  # a row begins with a number
        return not (fits or tagged) if inside else not (fits and tagged)

    def judge(self, path: Path, head: Sequence[Line]) -> None:
        """Learn from a file's first lines how many columns there are and whether the first one numbers the words.

        Raises:
            BadInput: it isn't clear which columns are meant, and none were named: the candidates, and the options.
        """
        rows = [(number, self.fields(line)) for number, line in head if self.width_of(line)]
        if not rows:
            return
        first, fields = rows[0]
        self.width, self.tabbed = len(fields), "\t" in head[first - head[0][0]][1]
        if self.width > 1 and not any(map(_TAG.fullmatch, fields)) and {f.strip().lower() for f in fields} & _HEADER:
            self._header = fields
        rows = [(number, row) for number, row in rows if len(row) == self.width and row != self._header]
        self.numbered = self.width > 2 and bool(rows) and _counts(head, rows)
        self._first = rows[0][1][0].partition("-")[0] if self.numbered else ""
        rows = [row for row in rows if row[1][0].isdigit()] if self.numbered else rows
        if not rows or not -self.width <= self.tag < self.width:
            return
        self._features = any(_FEATURE.search(row[self.tag]) for _, row in rows)
        if self.width > 2:
            self._refuse_unclear(path, rows)

    def _refuse_unclear(self, path: Path, rows: Sequence[tuple[int, list[str]]]) -> None:
        tagged = {i: tag for i in range(self.width) if (tag := self._holds_tags([row[i] for _, row in rows], i))}
        tagged.pop(self.token % self.width, None)
        last, says = self.width - 1, list[str]()
        options = [] if self._given[0] or not self.numbered else ["--token-column 1"]
        if options:
            says.append("the first column only numbers the words")
        if not self._given[1] and (len(tagged) > 1 or last not in tagged):
            listed = ", ".join(f"{i} ({self._named(i)}such as {tag!r})" for i, tag in tagged.items())
            if tagged:
                says.append(f"tags are in column{'s' * (len(tagged) > 1)} {listed}")
                if last not in tagged:
                    says.append(f"and not in the last ({self._named(last)}{rows[0][1][last]!r} here)")
                options.append(f"--tag-column {'N' if len(tagged) > 1 else next(iter(tagged))}")
            elif not any(_TAG.fullmatch(row[last].strip()) for _, row in rows):
                says.append(f"no column holds tags such as B-PER; the last has {rows[0][1][last]!r} here")
                options.append("--tag-column N")
        if says:
            raise BadInput(
                f"{path}:{rows[0][0]}: which of {self.width} columns? {'; '.join(says)}: say {' '.join(options)}, "
                "counted from 0 (a matrix: token_column, tag_column)"
            )

    def _holds_tags(self, column: Sequence[str], place: int) -> str:
        """An entity tag of the column, "" if it holds none or most of its fields are no tags."""
        if place in (self.width - 1, self.tag % self.width):
            features = (match[1] for field in column if (match := _FEATURE.search(field)) and match[1] != "O")
            if feature := next(features, ""):
                return feature
        tags = [field.strip() for field in column if _TAG.fullmatch(field.strip())]
        entity = next((tag for tag in tags if tag[1:2] == "-" and not _PHRASE.fullmatch(tag)), "")
        return entity if 2 * len(tags) >= len(column) else ""

    def _named(self, place: int) -> str:
        return f"{self._header[place]}, " if self._header else ""


def _counts(head: Sequence[Line], rows: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether the first column counts the words of every sentence, from any number, and a sentence has two or more.

    A sentence may begin without an empty line before it, with the number of the file's first word.
    """
    blank = {number for number, line in head if not line.strip() or line.startswith("-DOCSTART-")}
    before, last, several, first = -1, 0, False, rows[0][1][0].partition("-")[0]
    for number, fields in rows:
        if _RANGE.fullmatch(fields[0]) or _NODE.fullmatch(fields[0]):
            continue
        if not fields[0].isdecimal() or len(fields[0]) > 9:
            return False
        follows = not blank.intersection(range(last, number)) and fields[0] != first
        if follows and before >= 0 and int(fields[0]) != before + 1:
            return False
        several = several or (follows and before >= 0)
        before, last = int(fields[0]), number
    return several
