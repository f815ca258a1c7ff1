"""`xner predict`: a kept tagger tags a file as the run that kept it did; taggers of others; what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.conll import read_conll, read_tagged
from tests.support.e2e_tools import Place, by_name, matrix_text, unpacked

LABELS = ("B-LOC", "O", "I-PER", "B-PER", "I-LOC")  # in an order that is not ours


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> tuple[Place, dict[str, Any]]:
    """A place where a run of 80 steps kept a tagger; its record."""
    place = Place(tmp_path_factory.mktemp("predict"), tiny_folder)
    text = matrix_text(tiny_folder, ("target_supervised",))
    text = text.replace("steps = 4", "steps = 80").replace("lr = 1e-3", "lr = 1e-2")
    ran = place.xner("run", place.matrix(text), "--out", place.out, "--keep-models")
    assert ran.code == 0, ran.err
    return place, by_name(place.out)["target_supervised", "de", 1]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """Another's tagger: a transformers folder that nothing of ours wrote."""
    from transformers import AutoTokenizer, BertConfig, BertForTokenClassification

    folder = tmp_path_factory.mktemp("foreign") / "tagger"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = BertConfig.from_pretrained(tiny_folder, id2label=dict(enumerate(LABELS)), initializer_range=0.5)
        BertForTokenClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
    return folder


def tagger_of(place: Place, record: dict[str, Any]) -> Path:
    return place.out / str(record["ran"]["tagger"])


def test_a_kept_tagger_predicts_what_its_run_predicted(kept: tuple[Place, dict[str, Any]]) -> None:
    """From the CoNLL file of the test: words, ids and groups stay, its tags are not read."""
    place, record = kept
    wanted = unpacked(place.out, record["key"], f"predictions-{record['rules'][0]}")
    (place.root / "test.conll").write_text(unpacked(place.out, record["key"], "gold"), encoding="utf-8")
    ran = place.xner("predict", tagger_of(place, record), "test.conll", "--out", "found.conll")
    assert ran.code == 0, ran.err
    assert ran.out == "" and (place.root / "found.conll").read_text(encoding="utf-8") == wanted
    assert "B-" in wanted and ran.err == f"{_counts(wanted)}\n"
    untagged = "".join(f"{line.split(chr(9))[0]}\tO\n" if "\t" in line else f"{line}\n" for line in wanted.split("\n"))
    (place.root / "bare.data").write_text(untagged, encoding="utf-8")
    ran = place.xner("predict", tagger_of(place, record), "bare.data", "--format", "conll", "--device", "cpu")
    assert ran.code == 0 and ran.out == wanted


def _counts(text: str) -> str:
    sentences, words, entities = (text.count(part) for part in ("# sent_id", "\t", "\tB-"))
    return f"{sentences} sentences, {words} words, {entities} entities"


def test_plain_text_is_split_into_words_and_none_is_lost(kept: tuple[Place, dict[str, Any]]) -> None:
    place, record = kept
    long = " ".join(f"Wort{n}" for n in range(400))  # several windows
    (place.root / "new.txt").write_text(f"Anna wohnt in Berlin.\n\n  \n{long}", encoding="utf-8")
    ran = place.xner("predict", tagger_of(place, record), "new.txt", "--language", "de")
    assert ran.code == 0, ran.err
    (place.root / "out.conll").write_text(ran.out, encoding="utf-8")
    first, second = read_conll(place.root / "out.conll", "de", record["corpus"]["types"])  # refuses ill-formed IOB2
    assert first.words == ("Anna", "wohnt", "in", "Berlin", ".") and first.id == "new-1"
    assert " ".join(second.words) == long and second.id == "new-4", "numbers are those of the lines"
    spaced = place.xner("predict", tagger_of(place, record), "new.txt", "--tokenisation", "spaces")
    assert spaced.code == 0 and "Berlin.\t" in spaced.out
    ran = place.xner("predict", tagger_of(place, record), "new.txt", "--language", "de", "--decoding", "viterbi")
    assert ran.code == 0 and "# sent_id = new-4" in ran.out


def test_the_tagger_of_others_in_its_own_order_of_labels(place: Place, foreign: Path) -> None:
    """As the model itself says, word by word, at each word's first sub-word."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    words = ["Anna", "sieht", "Berlin", "und", "Hamburg", "."]
    (place.root / "a.txt").write_text(" ".join(words) + "\n", encoding="utf-8")
    ran = place.xner("predict", foreign, "a.txt", "--tokenisation", "spaces", "--out", "a.conll")
    assert ran.code == 0, ran.err
    (found,) = read_tagged(place.root / "a.conll")
    tokenizer, model = AutoTokenizer.from_pretrained(foreign), AutoModelForTokenClassification.from_pretrained(foreign)
    encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        best = model.eval()(**encoded).logits[0].argmax(-1).tolist()
    first = [encoded.word_ids().index(i) for i in range(len(words))]
    tags, before = [], "O"
    for at in first:  # an I-X that continues no X opens a span
        tag = LABELS[best[at]]
        opens = tag.startswith("I-") and before[2:] != tag[2:]
        tags.append(f"B-{tag[2:]}" if opens else tag)
        before = tags[-1]
    assert found.words == tuple(words) and list(found.tags) == tags
    assert len(set(tags)) > 1


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Place:
    return Place(tmp_path, tiny_folder)


@pytest.mark.parametrize(
    ("name", "content", "more", "message"),
    [
        ("a.txt", b"Anna\n", (), "plain text needs --language CODE"),
        ("a.txt", b"Anna\n", ("--language", "gre"), "--language gre: unknown"),
        ("a.data", b"Anna\n", ("--language", "de"), "say --format text or --format conll"),
        ("a.txt", b"", ("--language", "de"), "no sentence in this file"),
        ("a.txt", b"\n \n", ("--language", "de"), "no sentence in this file"),
        ("a.txt", b"ok\n\xff\n", ("--language", "de"), "a.txt:2: not UTF-8"),
        ("a.txt", b"ok\nwith \x07 bell\n", ("--language", "de"), "a.txt:2: a control character"),
        ("a.conll", b"Anna\n", (), "a.conll:1"),
        ("a.txt", b"Anna\n", ("--language", "de", "--out", "a.txt"), "this is FILE itself"),
        ("a.txt", b"Anna\n", ("--language", "de", "--out", "a.txt/b"), "cannot be written"),
        (None, b"", ("--language", "de"), "cannot be read"),
    ],
)
def test_bad_files_are_one_line(
    place: Place, foreign: Path, name: str | None, content: bytes, more: tuple[str, ...], message: str
) -> None:
    if name:
        (place.root / name).write_bytes(content)
    ran = place.xner("predict", foreign, name or "none.txt", *more)
    assert ran.code == 2 and ran.err.startswith("xner: ") and ran.err.count("\n") == 1 and message in ran.err, ran.err
    assert {path.name for path in place.root.iterdir()} - {"home", "cache"} == ({name} if name else set())


def test_folders_that_are_no_tagger_are_one_line(place: Place, foreign: Path, tmp_path: Path) -> None:
    (place.root / "a.txt").write_text("Anna\n", encoding="utf-8")

    def refused(folder: Path) -> str:
        ran = place.xner("predict", folder, "a.txt", "--language", "de")
        assert ran.code == 2 and ran.err.count("\n") == 1 and ran.out == "", ran.err
        return ran.err

    assert "no config.json" in refused(tmp_path / "nowhere")
    assert "lacks the weights classifier" in refused(place.encoder)
    for name, change in {
        "unnamed": lambda c: c | {"id2label": {str(n): f"LABEL_{n}" for n in range(5)}},
        "bioes": lambda c: c | {"id2label": dict(enumerate(("O", "B-PER", "I-PER", "E-PER", "S-PER")))},
        "no-o": lambda c: c | {"id2label": dict(enumerate(("B-A", "I-A", "B-B", "I-B", "I-C")))},
    }.items():
        copy = _copy(foreign, tmp_path / name)
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(change(config)))
        assert "labels are not O, B-X and I-X" in refused(copy)
    torn = _copy(foreign, tmp_path / "torn")
    (torn / "model.safetensors").write_bytes(b"torn")
    assert "cannot be loaded" in refused(torn)
    pickled = _copy(foreign, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    (pickled / "pytorch_model.bin").write_bytes(b"whatever")
    assert "cannot be loaded" in refused(pickled)


def _copy(folder: Path, to: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, to))
