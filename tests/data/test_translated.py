"""The artefact of translations: what is in its key, what the translator is told, when a human translated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bench.api.recipes import Corpus, NoParams, Translated, Translator
from bench.core.sentences import Sentence
from bench.data.cell_data import CellData, _corpus
from bench.data.translated import TranslateStage
from bench.plan import registry
from bench.plan.matrix import cells
from bench.plan.spec import load_matrix
from bench.store.artefacts import Artefacts
from tests.support.e2e_tools import matrix_text, small_corpus


class Recorder(Translator):
    """Gives sentences back and remembers how it was asked."""

    name = "files"
    Params = NoParams
    weights = "a"
    told: tuple[str, str] = ("", "")

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        return {"model": f"{self.weights} {source}-{target}"}

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        Recorder.told = (self.tokenisation, self.device)
        return Translated(tuple(sentences), (None,) * len(sentences), "nobody", {"translated": len(sentences)})


@pytest.fixture
def matrix(tmp_path: Path, tiny_folder: Path) -> Path:
    labels = 'translator = "files"\naligner = "gold"'
    text = matrix_text(tiny_folder, corpus=small_corpus(tmp_path / "own"), labels=labels)
    (tmp_path / "matrix.toml").write_text(text, encoding="utf-8")
    return tmp_path / "matrix.toml"


def stage(matrix: Path, *overrides: str) -> TranslateStage:
    cell = cells(load_matrix(str(matrix), overrides))[0]
    data = CellData(cell)
    return TranslateStage(cell, data.data, sorted(data.source(), key=lambda s: s.id), cell.target)


def test_identity_and_tokenisation_are_in_the_key_and_the_device_is_not(
    matrix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "make", fake(registry.make))
    first = stage(matrix).key()
    assert stage(matrix).key() == first
    assert stage(matrix, "labels.tokenisation=moses").key() != first
    made = stage(matrix).artefact(Artefacts(tmp_path / "cache"), "cuda")
    assert made.key == first and Recorder.told == ("corpus", "cuda")
    stage(matrix, "labels.tokenisation=moses").artefact(Artefacts(tmp_path / "cache"))
    assert Recorder.told == ("moses", "cpu")
    monkeypatch.setattr(Recorder, "weights", "b")
    assert stage(matrix).key() != first


def fake(real: object) -> object:
    def make(kind: str, name: str, *more: object, **how: object) -> object:
        return Recorder(**how) if kind == "translator" else real(kind, name, *more, **how)  # type: ignore[operator]

    return make


@pytest.mark.parametrize(
    ("said", "human"),
    [("human", True), ("human, two of them", True), ("humanoid 2.0", False), ("some/model@abc", False)],
)
def test_a_file_says_whether_a_human_translated(matrix: Path, tmp_path: Path, said: str, human: bool) -> None:
    rows = [f"{number}\tein Satz" for number in ids(matrix)[:5]]
    (tmp_path / "own" / "translations").mkdir()
    text = "\n".join([f"# provenance: {said}", "id\ttext", *rows]) + "\n"
    (tmp_path / "own" / "translations" / "de.tsv").write_text(text, encoding="utf-8")
    own = stage(matrix)
    made = own.artefact(Artefacts(tmp_path / "cache"))
    assert made.details["human"] is human and made.details["provenance"] == said
    counts = made.details["counts"]
    assert counts["translated"] + counts["missing"] == len(own.sentences)
    assert counts["translated"] == len(own.read(made)) > 0
    path = tmp_path / "own" / "translations" / "de.tsv"
    path.write_text(text.replace(said, f"{said}, revised"), encoding="utf-8")
    _corpus.cache_clear()
    revised = stage(matrix)
    assert revised.key() != made.key, "a record repeats what the file says"
    assert revised.artefact(Artefacts(tmp_path / "cache")).details["provenance"] == f"{said}, revised"


def ids(matrix: Path) -> list[str]:
    return [sentence.id for sentence in stage(matrix).sentences]
