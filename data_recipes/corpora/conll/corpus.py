"""Any CoNLL-style files, with optional translations of the training sentences made elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, get_args

from bench.api.recipes import Corpus, Facts, overlap_findings
from bench.api.source_files import data_dir
from bench.core.conll import Format, Ids, TaggedFile, has_control, in_form, read_conll, read_lines, read_tagged
from bench.core.errors import BadInput, nearest, require
from bench.core.sentences import IllFormedError, Pair, Sentence, Split, decode

_HEADERS = (["id", "text"], ["id", "text", "tags"])
_PROVENANCE = "# provenance:"
SHOWN = 8  # files that are never read


@dataclass(frozen=True)
class ConllParams:
    """Where the files are and how to read them; see the README."""

    path: str = ""  # a folder, relative to the working directory or to $XNER_DATA
    pattern: str = "{language}/{split}.conll"  # may hold * and **
    files: dict[str, str] = field(default_factory=dict)  # "en/train" = "eng.train": before the pattern
    split_names: dict[str, str] = field(default_factory=dict)  # dev = "validation": what {split} stands for
    token_column: int | None = None  # the first; see docs/reference/file-formats.md
    tag_column: int | None = None  # the last
    separator: str = ""
    scheme: Literal["IOB2", "IOB1", "BIOES"] = "IOB2"
    types: tuple[str, ...] = ("PER", "LOC", "ORG")
    label_map: dict[str, str] = field(default_factory=dict)
    comments: str | None = None
    normalise: Literal["", "NFC", "NFKC"] = ""
    tokenisation: Literal["ud", "moses", "characters"] = "ud"

    def __post_init__(self) -> None:
        if self.pattern and not ("{language}" in self.pattern and "{split}" in self.pattern):
            raise ValueError("pattern must hold {language} and {split} (or be empty, with every file named in files)")
        for name in self.files:
            if name.count("/") != 1 or name.split("/")[1] not in get_args(Split):
                raise ValueError(f"files must have keys language/split, such as \"en/train\", not '{name}'")
        for name, paths in (("pattern", [self.pattern]), ("files", list(self.files.values()))):
            require(not any(Path(path).is_absolute() for path in paths), f"{name} must be relative to path")
        require(0 < len(set(self.types)) == len(self.types), "types must be different names, at least one")


class ConllCorpus(Corpus):
    """CoNLL-style files in one folder."""

    name: ClassVar[str] = "conll"
    version = 1
    Params: ClassVar[type] = ConllParams
    facts: ClassVar[Facts] = Facts(
        title="CoNLL-style files of your own", licence="as your files say", notes=("see the files' own documentation",)
    )
    params: ConllParams

    @property
    def types(self) -> tuple[str, ...]:
        return self.params.types

    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that have a file; none where no path is given."""
        if not self.params.path:
            return ()
        languages = {name.split("/")[0] for name in self.params.files if self._files(*name.split("/"))}
        for split in ("train", "dev", "test", "unlabelled"):
            languages.update(self._matched(split))
        languages.update(path.parent.name for path in self._folder.glob("*/unlabelled.txt"))
        return tuple(sorted(languages))

    def read(self, language: str, split: Split) -> list[Sentence]:
        """The sentences of all files of a split, in the order of their names; a test without entities is refused."""
        if language not in (known := self.languages()):
            raise BadInput(f"{self._folder} has no files of language '{language}'{nearest(language, known)}")
        sentences: list[Sentence] = []
        paths, ids = self._files(language, split), Ids(self._folder)
        gold = split == "test" and len(paths) == 1  # one file of many may well have no entity
        for path in paths:
            if split == "unlabelled":
                sentences.extend(self._unlabelled(path, language, ids))
            else:
                sentences.extend(read_conll(path, language, self.types, self._format, require_entities=gold, ids=ids))
        if paths and split == "test" and not any(sentence.spans for sentence in sentences):
            raise BadInput(f"{self._folder}: the {language} test has no entity: placeholders, not gold")
        return sentences

    def pairs(self, source: str, target: str) -> list[Pair]:
        """The training sentences with a translation in `translations/<target>.tsv`, its tags as gold spans.

        Raises:
            BadInput: as `read`; or no id of the file is the id of a training sentence.
        """
        translations = self._translations(target)
        if translations is None:
            return []
        rows, sources = translations.rows, self.read(source, "train")
        pairs = [Pair(s, replace(rows[s.id], group=s.group)) for s in sources if s.id in rows]
        if sources and not pairs:
            raise BadInput(_no_id(translations, [sources[0].id]))
        return pairs

    def provenance(self, target: str) -> str:
        """Who or what translated, as the translation file says; "" if it does not."""
        translations = self._translations(target)
        return translations.provenance if translations else ""

    def tokenisation(self, language: str) -> str:
        return self.params.tokenisation

    def check(self) -> list[str]:
        """Sizes, sentences that splits share, lines that are not words, what translations cover, files never read.

        Raises:
            BadInput: as `read`; no file is one of this corpus; or translations belong to no training sentence.
        """
        if not self.params.path:
            return ["not checked: name the folder of your files with --set path=FOLDER"]
        if not self.languages():
            raise BadInput(f"{self._folder}: no file matches the pattern {self.params.pattern}")
        lines, read = list[str](), set[Path]()
        for language in self.languages():
            lines.extend(overlap_findings(self, language))
            if not (tests := self._files(language, "test")):
                lines.append(f"{language}: no test, so it cannot be a target")
            tagged = [path for split in ("train", "dev") for path in self._files(language, split)] + tests
            for path in tagged:
                for _ in (file := TaggedFile(path, self._format)):
                    pass
                lines.extend(file.notes())
            if unlabelled := self.read(language, "unlabelled"):
                lines.append(f"{language}: {len(unlabelled)} unlabelled sentences")
            read.update(tagged, self._files(language, "unlabelled"))
        for path in sorted((self._folder / "translations").glob("*.tsv")):
            lines.extend(self._coverage(read_translations(path, self.types)))
            read.add(path)
        inside = (path.relative_to(self._folder) for path in sorted(self._folder.rglob("*")) if path not in read)
        others = [path for path in inside if (self._folder / path).is_file() and not re.search(r"(^|/)\.", str(path))]
        lines += [f"{path}: not a file of this corpus, so never read" for path in others[:SHOWN]]
        return lines + ([f"… and {len(others) - SHOWN} more"] if len(others) > SHOWN else [])

    def _coverage(self, translations: TranslationFile) -> list[str]:
        """A line for each language whose training sentences have translations in the file."""
        rows, target, lines, others = translations.rows, translations.path.stem, list[str](), list[str]()
        tagged = sum(row.spans is not None for row in rows.values())
        for source in self.languages():
            ids = {sentence.id for sentence in self.read(source, "train")}
            others += sorted(ids)[:1] if source != target else []
            if source != target and (covered := len(ids & rows.keys())):
                lines.append(
                    f"translations/{target}.tsv: {covered} of {len(ids)} {source} training sentences, {tagged} with"
                    f" tags, {len(rows) - covered} rows with other ids;"
                    f" provenance: {translations.provenance or 'not given'}"
                )
        if not lines:
            raise BadInput(_no_id(translations, others))
        if target not in self.languages():
            lines.append(f"translations/{target}.tsv: no other file is of language '{target}'")
        return lines

    # --- files --------------------------------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        if not self.params.path:
            raise BadInput("corpus conll: the parameter path is needed: the folder of your files")
        path = Path(self.params.path).expanduser()
        for folder in (path, data_dir() / path):
            if folder.is_dir():
                return folder
        raise BadInput(f"corpus conll: no folder {path}, here or in {data_dir()}")

    def _files(self, language: str, split: str) -> list[Path]:
        """The files of a split: those named in `files`, else those of the pattern."""
        if named := self.params.files.get(f"{language}/{split}"):
            if paths := sorted(self._folder.glob(named)):
                return paths
            raise BadInput(f'corpus conll: files."{language}/{split}": no file {self._folder / named}')
        if paths := self._matched(split).get(language, []):
            return paths
        plain = self._folder / language / "unlabelled.txt"
        return [plain] if split == "unlabelled" and plain.is_file() else []

    def _matched(self, split: str) -> dict[str, list[Path]]:
        """By language the files of a split that match the pattern."""
        if not self.params.pattern:
            return {}
        pattern = self.params.pattern.replace("{split}", self.params.split_names.get(split, split))
        head, *tail = (re.escape(part) for part in pattern.split("{language}"))
        text = head + "(?P<language>[^/]+?)" + "(?P=language)".join(tail)
        text = text.replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        paths: dict[str, list[Path]] = {}
        for path in sorted(self._folder.glob(pattern.replace("{language}", "*"))):
            match = re.fullmatch(text, path.relative_to(self._folder).as_posix())
            if match and path.is_file() and match["language"] != "translations":
                paths.setdefault(match["language"], []).append(path)
        return paths

    # --- sentences ----------------------------------------------------------------------------------------------------

    def _unlabelled(self, path: Path, language: str, ids: Ids) -> list[Sentence]:
        if path.suffix == ".txt":
            rows = [tuple(in_form(line, self.params.normalise).split()) for line in read_lines(path)]
        else:
            tag = -1 if self.params.tag_column is None else self.params.tag_column  # its content is ignored
            rows = [item.words for item in read_tagged(path, replace(self._format, tag=tag))]
        numbered = enumerate(filter(None, rows), 1)
        return [Sentence(ids.unique(f"{path.stem}-{n}", path, n), language, words) for n, words in numbered]

    @property
    def _format(self) -> Format:
        p = self.params
        return Format(p.token_column, p.tag_column, p.separator, p.scheme, p.label_map, p.comments, p.normalise)

    def _translations(self, target: str) -> TranslationFile | None:
        path = self._folder / "translations" / f"{target}.tsv"
        return read_translations(path, self.types) if path.is_file() else None


# --- translations made elsewhere, of any part of the training sentences -----------------------------------------------


@dataclass(frozen=True, slots=True)
class TranslationFile:
    """The translations by sentence id, with spans where the file has tags, and who or what translated.

    `provenance` is "" where the file does not say.
    """

    path: Path
    rows: dict[str, Sentence]
    provenance: str


def read_translations(path: Path, types: Iterable[str]) -> TranslationFile:
    """Read a TSV with a header `id, text` or `id, text, tags`; words and IOB2 tags are separated by single spaces.

    The file's name is the language. A first line `# provenance: …` says who or what translated. Nothing is quoted or
    escaped.

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
    rows: dict[str, Sentence] = {}
    known = frozenset(types)
    for number, line in enumerate(lines[first + 1 :], first + 2):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            raise BadInput(f"{path}:{number}: {len(fields)} columns, expected {len(header)} ({', '.join(header)})")
        if fields[0] in rows:
            raise BadInput(f"{path}:{number}: id '{fields[0]}' is here a second time")
        words = tuple(word for word in fields[1].split(" ") if word)
        if not fields[0] or not words or has_control(fields[1]):
            defect = "a control character in the text" if words and fields[0] else "an empty id or text"
            raise BadInput(f"{path}:{number}: {defect}; a sentence that has no translation has no line")
        tags = fields[2].split() if len(fields) > 2 else None
        if tags is not None and len(tags) != len(words):
            raise BadInput(f"{path}:{number}: {len(tags)} tags for {len(words)} words")
        try:
            spans = None if tags is None else decode(tags)
        except IllFormedError as error:
            raise BadInput(f"{path}:{number}: word {error.position + 1}: {error}") from error
        for span in spans or ():
            if span.type not in known:
                hint = f"{nearest(span.type, known)} (types = {json.dumps([*known])})"
                raise BadInput(f"{path}:{number}: unknown entity type '{span.type}'{hint}")
        rows[fields[0]] = Sentence(fields[0], path.stem, words, spans)
    if not rows:
        raise BadInput(f"{path}:{len(lines)}: no translation in this file")
    return TranslationFile(path, rows, provenance)


def _no_id(translations: TranslationFile, others: list[str]) -> str:
    there = f", '{others[0]}' there" if others else ""
    return f"{translations.path}: no id is the id of a training sentence: '{next(iter(translations.rows))}' here{there}"
