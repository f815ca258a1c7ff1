"""Digests that are remembered are those that reading would give, and are taken again when anything changed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench.api import source_files
from bench.api.recipes import Corpus, Facts
from bench.api.source_files import data_dir
from bench.core.errors import Unavailable
from bench.core.memo import process_memo
from bench.core.sentences import Sentence, Split
from bench.data import cell_data
from bench.data.cell_data import CorpusData
from bench.plan import registry


@dataclass(frozen=True)
class Params:
    """How many times each word stands."""

    times: int = 1


class Lines(Corpus):
    """A file of words, a line a sentence; counts how often it was read."""

    name: ClassVar[str] = "lines"
    Params: ClassVar[type] = Params
    facts: ClassVar[Facts] = Facts(title="lines", licence="CC0-1.0")
    file: ClassVar[Path]
    told: ClassVar[bool] = True
    count = 0

    @property
    def types(self) -> tuple[str, ...]:
        return ("PER",)

    def languages(self) -> tuple[str, ...]:
        return ("en",)

    def read(self, language: str, split: Split) -> list[Sentence]:
        Lines.count += 1
        rows = self.file.read_text(encoding="utf-8").splitlines()
        return [Sentence(str(n), language, tuple(row.split()) * self.params.times, ()) for n, row in enumerate(rows)]

    def files(self) -> tuple[Path, ...] | None:
        return (self.file, self.file.with_name("absent")) if self.told else None


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Lines, "file", tmp_path / "words.txt", raising=False)
    monkeypatch.setattr(Lines, "count", 0)
    Lines.file.write_text("a b\nc\n")
    return tmp_path / "cache" / cell_data.DIGESTS


def found(**params: Any) -> tuple[str, int]:
    """The digest in a new process, as it were, and how often the file was read for it."""
    before = Lines.count
    return CorpusData(Lines(Params(**params))).split_digest("en", "train"), Lines.count - before


def test_what_did_not_change_is_not_read_again() -> None:
    first, reads = found()
    assert reads == 1
    assert found() == (first, 0)
    assert found(times=2)[0] != first
    assert found() == (first, 0), "both are kept"


def test_whatever_changes_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = found()
    stat = Lines.file.stat()
    Lines.file.write_text("a x\nc\n")
    os.utime(Lines.file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as large and as old as before
    second, reads = found()
    assert reads == 1
    assert second != first
    Lines.file.with_name("absent").write_text("here now")
    assert found() == (second, 1)
    monkeypatch.setattr(cell_data, "code_of", lambda plugin: "other code")
    assert found() == (second, 1)


def test_a_corpus_that_does_not_tell_is_always_read(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(Lines, "told", False)
    assert found()[1] == found()[1] == 1
    assert not place.exists()


@pytest.mark.parametrize("spoil", ["", "{", "[]", '{"digests": {"en train": "00"}, "sha256": "00"}'])
def test_damage_is_read_again(place: Path, spoil: str) -> None:
    first, _ = found()
    (file,) = place.iterdir()
    file.write_text(spoil)
    assert found() == (first, 1)
    assert found() == (first, 0), "and mended"


def test_a_cache_that_cannot_be_written_is_done_without(place: Path) -> None:
    first, _ = found()
    shutil.rmtree(place)
    place.write_text("a file where the folder would be")
    assert found() == (first, 1)
    assert found() == (first, 1)


@pytest.mark.parametrize("name", ["demo", "europarl_ner", "uner_pud"])
def test_what_ships_tells_the_files_that_it_opens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file that reading opens is among those told; without the data at least the list is."""
    corpus = registry.make("corpus", name)
    told = {file.resolve() for file in corpus.files()}
    opened: set[Path] = set()
    plain = Path.open

    def noting(self: Path, *args: Any, **kwargs: Any) -> Any:
        opened.add(self.resolve())
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", noting)
    for language in corpus.languages():
        with suppress(Unavailable):
            corpus.pairs("en", language)
        for split in ("train", "dev", "test", "unlabelled"):
            try:
                corpus.read(language, split)
            except Unavailable:
                continue
    assert told
    ours = (data_dir().resolve(), Path(source_files.__file__).parent)
    assert {file for file in opened if file.is_relative_to(ours[0]) or file.is_relative_to(ours[1])} <= told


def test_sentences_lie_in_the_process_s_store_and_go_with_it() -> None:
    data, memo = CorpusData(Lines(Params())), process_memo()
    before = memo.bytes
    sentences = data.read("en", "train")
    assert data.read("en", "train") is sentences
    assert Lines.count == 1 and memo.bytes > before
    memo.clear()  # as after a matrix
    assert data.read("en", "train") == sentences and Lines.count == 2
    assert CorpusData(Lines(Params())).read("en", "train") == sentences
    assert Lines.count == 3, "a corpus made anew reads its files anew"
