"""`xner translate` on anybody's files: what it writes, counts and refuses, and how it goes on after an interruption."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.api.recipes import Corpus, NoParams, Translated, Translator
from bench.core.errors import BadInput
from bench.core.sentences import Sentence
from bench.plan import registry
from bench.store.artefacts import growing
from data_recipes.corpora.conll.corpus import ConllCorpus, ConllParams
from tests.support.e2e_tools import Place, Ran, snapshot
from tests.support.tiny_translators import GERMAN, known, word_by_word, write_marian

DICTIONARY = """# Version :: 20150102
bush {n} (plant) :: Busch {m}
house {n} (abode) :: Haus {n}
old {adj} (having lived long) :: alt
see {v} (perceive) :: sehen
the {article} (article) :: Not used in this German
walk {v} (move) :: gehen, zu Fuß gehen
"""
LINES = "Bush walks\n\nthe\n old\thouse \nsee the house .\n"
CONLL = "# sent_id = a\nBush B-PER\nwalks O\n\nthe O\n\n# sent_id = c\nold O\nbush O\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "data" / "wiktionary"
    folder.mkdir(parents=True)
    (folder / "en-de-enwiktionary.txt").write_text(DICTIONARY, encoding="utf-8")
    (tmp_path / "src.txt").write_text(LINES, encoding="utf-8")
    (tmp_path / "src.conll").write_text(CONLL, encoding="utf-8")
    return Place(tmp_path, tmp_path)


def translate(place: Place, *more: str | Path, source: str = "src.txt", translator: str = "dictionary") -> Ran:
    return place.xner("translate", source, "--translator", translator, "--target", "de", *more)


def left(place: Place) -> set[str]:
    return {path.name for path in place.root.iterdir() if path.is_file()} - {"src.txt", "src.conll"}


# --- what it writes ---------------------------------------------------------------------------------------------------


def test_a_line_for_each_line_and_known_links(place: Place) -> None:
    ran = translate(place, "--out", "out/de.txt", "--links", "links.txt")
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert (place.root / "out/de.txt").read_text("utf-8") == "Busch gehen\n\n\nalt Haus\nsehen Haus .\n"
    assert (place.root / "links.txt").read_text("utf-8") == "0-0 1-1\n\n\n0-0 1-1\n0-0 2-1 3-2\n"
    assert "5 lines: 3 translated, 2 without a translation (empty 1, failed 1, " in ran.err
    assert "by Wiktionary, word by word: en-de 20150102: out/de.txt" in ran.err
    assert left(place) == {"links.txt"} and [p.name for p in (place.root / "out").iterdir()] == ["de.txt"]
    assert translate(place).out == (place.root / "out/de.txt").read_text("utf-8")
    assert translate(place, "--block", "1").out == translate(place).out


def test_a_pipe_is_read_once(place: Place) -> None:
    expected, source = translate(place).out, place.root / "src.txt"
    text = source.read_bytes()
    source.unlink()
    os.mkfifo(source)
    writer = threading.Thread(target=source.write_bytes, args=(text,))
    writer.start()
    assert translate(place).out == expected
    writer.join()


def test_persons_of_a_conll_file_are_copied(place: Place) -> None:
    assert translate(place, "--conll", source="src.conll").out == "Bush gehen\n\nalt Busch\n"
    assert translate(place, "--conll", "--set", "copied_types=[]", source="src.conll").out.startswith("Busch gehen\n")


def test_a_conll_file_is_not_taken_for_sentences(place: Place) -> None:
    ran = translate(place, source="src.conll")
    assert (
        (ran.code, ran.out) == (2, "") and "src.conll: every line ends with a tag" in ran.err and "--conll" in ran.err
    )


def test_a_tsv_is_what_corpus_conll_reads(place: Place) -> None:
    own = place.root / "own"
    for name in ("en/train", "en/dev"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / f"{name}.conll").write_text(CONLL.replace("# sent_id = a\n", ""), encoding="utf-8")
    ran = translate(place, "--conll", "--tsv", "--out", own / "translations/de.tsv", source="own/en/train.conll")
    assert ran.code == 0, ran.err
    corpus = ConllCorpus(ConllParams(path=str(own)))
    pairs = corpus.pairs("en", "de")
    assert [(pair.source.id, pair.target.text) for pair in pairs] == [("train-1", "Bush gehen"), ("c", "alt Busch")]
    assert corpus.provenance("de") == "Wiktionary, word by word: en-de 20150102"


def test_a_tsv_has_one_header_wherever_the_first_translation_stands(place: Place) -> None:
    (place.root / "src.txt").write_text("\n\nhouse\n\nhouse\n", encoding="utf-8")
    written = [translate(place, "--tsv", "--block", block).out for block in ("1", "2", "9")]
    assert len(set(written)) == 1
    assert written[0].splitlines()[1:] == ["id\ttext", "src-3\tHaus", "src-5\tHaus"]
    (place.root / "src.txt").write_text("\n\n\n", encoding="utf-8")
    assert translate(place, "--tsv", "--block", "2").out == "# provenance: none: nothing was translated\nid\ttext\n"


def test_a_model_translates_and_its_failures_are_counted(place: Place) -> None:
    folder = write_marian(place.root / "tiny-en-de")
    texts = [*(s.text for s in known(8)), "dog " * 70, "pan pan"]
    (place.root / "src.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    choice = ("--set", f"model={folder}", "--set", "beams=1", "--device", "cpu")
    ran = translate(place, *choice, "--out", "o.txt", translator="marian")
    assert ran.code == 0, ran.err
    lines = (place.root / "o.txt").read_text("utf-8").split("\n")
    assert sum(line == " ".join(word_by_word(s, GERMAN)) for s, line in zip(known(8), lines, strict=False)) >= 7
    assert lines[8:] == ["", "", ""] and "too_long 1" in ran.err and "failed 1" in ran.err
    ran = translate(place, *choice, "--out", "o2.txt", "--links", "l.txt", translator="marian")
    assert ran.code == 2 and "--links: the translator 'marian' knows none; xner align finds them" in ran.err


# --- going on ---------------------------------------------------------------------------------------------------------


class Counted(Translator):
    """Repeats each word; is interrupted in its `stop`th call."""

    name = "files"
    Params = NoParams
    stop: ClassVar[int] = 0
    calls: ClassVar[list[tuple[str, ...]]] = []

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        Counted.calls.append(tuple(s.text for s in sentences))
        if len(Counted.calls) == Counted.stop:
            raise KeyboardInterrupt
        targets = tuple(Sentence(s.id, target, s.words * 2) for s in sentences)
        return Translated(targets, (((0, 0), (0, 1)),) * len(targets), "nobody", {"different_texts": 1, "seen": 2})


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    real = registry.make

    def make(kind: str, name: str, *more: Any, **how: Any) -> Any:
        return Counted() if (kind, name) == ("translator", "files") else real(kind, name, *more, **how)

    monkeypatch.setattr(registry, "make", make)
    monkeypatch.setattr(Counted, "calls", [])
    monkeypatch.setattr(Counted, "stop", 0)
    return Counted


def begun(place: Place, counted: type[Counted], *more: str) -> tuple[str, ...]:
    """A command whose third block of five was interrupted; the command."""
    (place.root / "src.txt").write_text("\n".join("abcdefghij") + "\n", encoding="utf-8")
    command = ("--out", "o.txt", "--links", "l.txt", "--block", "2", *more)
    counted.stop = 3
    ran = translate(place, *command, translator="files")
    assert ran.code == 130 and left(place) == {"o.txt.part", "o.txt.part.json", "l.txt.part"}
    counted.stop = 0
    counted.calls.clear()
    return command


def test_the_same_command_goes_on_where_it_stopped(place: Place, counted: type[Counted]) -> None:
    command = begun(place, counted)
    for name in ("o.txt.part", "l.txt.part"):  # killed while it wrote: half a block
        with (place.root / name).open("a", encoding="utf-8") as file:
            file.write("e e\nf")
    ran = translate(place, *command, translator="files")
    assert ran.code == 0 and "o.txt: resumes after line 4" in ran.err, ran.err
    assert counted.calls == [("e", "f"), ("g", "h"), ("i", "j")]
    assert (place.root / "o.txt").read_text("utf-8") == "".join(f"{c} {c}\n" for c in "abcdefghij")
    assert (place.root / "l.txt").read_text("utf-8") == "0-0 0-1\n" * 10
    assert "10 lines: 10 translated, 0 without a translation (seen 10), by nobody" in ran.err
    assert left(place) == {"o.txt", "l.txt"}


def test_another_block_size_and_device_are_the_same_translation(place: Place, counted: type[Counted]) -> None:
    command = begun(place, counted, "--tsv")
    assert translate(place, *command, "--block", "4", "--device", "cpu", translator="files").code == 0
    assert counted.calls == [("e", "f", "g", "h"), ("i", "j")]
    text = (place.root / "o.txt").read_text("utf-8")
    assert text == "# provenance: nobody\nid\ttext\n" + "".join(
        f"src-{n}\t{c} {c}\n" for n, c in enumerate("abcdefghij", 1)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--source", "fr"), "begun with different languages: "),
        (("--tokenisation", "moses"), "begun with different tokenisation: "),
        (("--tsv",), "begun with different ids: "),
        ((), "begun with different sentences: "),
    ],
)
def test_another_translation_is_not_mixed_in(
    place: Place, counted: type[Counted], change: tuple[str, ...], message: str
) -> None:
    command = begun(place, counted)
    before = snapshot(place.root)
    if not change:
        (place.root / "src.txt").write_text("k\nl\nm\nn\no\n", encoding="utf-8")
        before = snapshot(place.root)
    ran = translate(place, *command, *change, translator="files")
    assert (
        ran.code == 2
        and message in ran.err
        and ran.err.endswith("repeat the original command, or --restart starts over\n")
    )
    assert snapshot(place.root) == before and not counted.calls
    ran = translate(place, *command, *change, "--restart", translator="files")
    assert ran.code == 0 and len(counted.calls) >= 3 and left(place) == {"o.txt", "l.txt"}


def test_what_was_tampered_with_is_refused(place: Place, counted: type[Counted]) -> None:
    command = begun(place, counted)
    part, state = place.root / "o.txt.part", place.root / "o.txt.part.json"
    kept = part.read_bytes()
    part.write_bytes(kept[:-1])
    ran = translate(place, *command, translator="files")
    assert ran.code == 2 and "o.txt.part: missing or shorter than it was written; --restart starts over" in ran.err
    part.write_bytes(kept)
    state.write_text("{}")
    ran = translate(place, *command, translator="files")
    assert ran.code == 2 and "o.txt.part.json: not what an interrupted run leaves; --restart starts over" in ran.err


def test_interrupted_while_it_renames(place: Place, counted: type[Counted], monkeypatch: pytest.MonkeyPatch) -> None:
    command = begun(place, counted)
    real = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path.name == "l.txt.part":
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        assert translate(place, *command, translator="files").code == 130
    assert left(place) == {"o.txt", "l.txt.part", "o.txt.part.json"}
    counted.calls.clear()
    ran = translate(place, *command, translator="files")
    assert ran.code == 0 and not counted.calls and "10 lines: 10 translated" in ran.err
    assert left(place) == {"o.txt", "l.txt"}
    assert [(place.root / name).read_text("utf-8").count("\n") for name in ("o.txt", "l.txt")] == [10, 10]


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    with growing([tmp_path / "a"], {"x": 1}) as output:
        output.append(["text\n"], {"lines": 1})
        with pytest.raises(BadInput, match="another process is writing it"), growing([tmp_path / "a"], {"x": 1}):
            raise AssertionError("never")
    with growing([tmp_path / "a"], {"x": 1}) as output:
        assert output.notes == {"lines": 1}
        output.finish()
    assert (tmp_path / "a").read_text() == "text\n" and list(tmp_path.iterdir()) == [tmp_path / "a"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.integers(1, 12), blocks=st.lists(st.integers(1, 5), min_size=1, max_size=6), data=st.data())
def test_any_interruptions_give_the_same_file(
    tmp_path: Path, lines: int, blocks: Sequence[int], data: st.DataObject
) -> None:
    """Appended in any blocks, stopped anywhere, with half a block after the last: all of it once, in order."""
    every, path = [f"line {n}\n" for n in range(lines)], Path(tempfile.mkdtemp(dir=tmp_path)) / "grown"
    done, sizes = 0, iter([*blocks, *[lines] * 2])
    while done < lines:
        with growing([path], {"lines": lines}) as output:
            done = output.notes.get("done", 0)
            for size in sizes:
                block, done = every[done : done + size], min(done + size, lines)
                output.append(["".join(block)], {"done": done})
                if done == lines or data.draw(st.booleans()):
                    break
            if done == lines:
                output.finish()
            else:
                with output.parts[0].open("a") as file:
                    file.write("half a li")
    assert path.read_text() == "".join(every)
    path.unlink()


# --- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--translator", "dictionry"), "unknown translator 'dictionry'; did you mean 'dictionary'?"),
        (("--translator", "nllb", "--target", "dee"), "no translator knows the language 'dee'; did you mean 'de'?"),
        (("--target", "dee"), "there is no dictionary wiktionary/en-dee-enwiktionary.txt"),
        (("--target", "dee"), "did you mean 'de'?"),
        (("--set", "max_phrse=2"), "--set: max_phrse: unknown key 'max_phrse'; did you mean 'max_phrase'?"),
        (("--set", "max_phrase"), "--set takes KEY=VALUE, not 'max_phrase'"),
        (("--translator", "marian", "--set", "model=./none"), "translation model './none' is neither a folder here"),
        (("--translator", "frames", "--target", "xx"), "translator frames: no language 'xx'"),
        (("--block", "0"), "--block 0: at least one sentence"),
        (("--links", "l.txt"), "--links needs --out F: a file for the translations"),
        (("--out", "src.txt"), "src.txt: SRC, --out and --links must be different files"),
        (("--out", "o.txt", "--links", "./o.txt"), "o.txt: SRC, --out and --links must be different files"),
        (("--out", "data"), "data: cannot be written: it is a folder"),
        (("--out", "src.conll/o.txt"), "src.conll/o.txt: cannot be written: "),
        (("--conll",), "src.txt:1: tag 'walks' is not O, B-X or I-X"),
    ],
)
def test_wrong_arguments(place: Place, more: tuple[str, ...], message: str) -> None:
    ran = translate(place, *more)
    assert (ran.code, ran.out) == (2, "") and message in ran.err and ran.err.count("\n") == 1, ran.err
    assert ran.err.count("known:") < 2, ran.err
    assert not left(place)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "src.txt: cannot be read: No such file or directory"),
        (b"", "src.txt: no line in this file"),
        (b"a b\nc\x07d\n", "src.txt:2: a control character in 'c\\x07d'"),
        (b"a b\nc\xff\n", "src.txt:2: not UTF-8 (byte 0xff)"),
    ],
)
def test_files_that_are_no_text(place: Place, content: bytes | None, message: str) -> None:
    (place.root / "src.txt").unlink()
    if content is not None:
        (place.root / "src.txt").write_bytes(content)
    ran = translate(place, "--out", "o.txt", "--block", "1")
    assert ran.code == 2 and ran.err == f"xner: {message}\n" and not (place.root / "o.txt").exists()


def test_labels_that_break_their_scheme(place: Place) -> None:
    (place.root / "src.conll").write_text("# sent_id = a\nBush I-PER\n", encoding="utf-8")
    ran = translate(place, "--conll", source="src.conll")
    assert ran.code == 2 and "src.conll:2: expected B-PER where an entity starts" in ran.err
    assert translate(place, "--conll", "--scheme", "IOB1", source="src.conll").out == "Bush\n"
    (place.root / "src.conll").write_text("# sent_id = a\nBush O\n\n# sent_id = a\nBush O\n", encoding="utf-8")
    assert "src.conll:5: two sentences have the id 'a'" in translate(place, "--conll", source="src.conll").err


def test_memory_is_bounded_by_the_block(place: Place, counted: type[Counted], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20,000 lines no more than a block is held at a time."""
    import tracemalloc

    monkeypatch.setattr(Counted, "calls", type("Forgets", (list,), {"append": lambda self, value: None})())
    monkeypatch.setattr(Counted, "stop", -1)
    with (place.root / "src.txt").open("w", encoding="utf-8") as file:
        file.writelines(f"word{n} and some more words of a sentence\n" for n in range(20_000))
    tracemalloc.start()
    ran = translate(place, "--out", "o.txt", "--block", "200", translator="files")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ran.code == 0 and sum(1 for _ in (place.root / "o.txt").open(encoding="utf-8")) == 20_000
    assert peak < 3e6, peak
