"""marian and nllb over tiny checkpoints of the real classes, trained here to translate a dozen words."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.corpus import BadInput, Corpus, Facts, Sentence, Split, Unavailable
from data_recipes.translators._seq2seq import Engine, Request, Seq2SeqTranslator, batches, limit_of, loops
from data_recipes.translators.marian import MarianParams, MarianTranslator
from data_recipes.translators.nllb import NllbParams, NllbTranslator

ENGLISH = ("dog", "house", "red", "tree", "pan", "sees", "Anna", ".")
GERMAN = dict(zip(ENGLISH, ("Hund", "Haus", "rot", "Baum", "Pfanne", "sieht", "Anna", "."), strict=True))
FRENCH = dict(zip(ENGLISH, ("chien", "maison", "rouge", "arbre", "poêle", "voit", "Anna", "."), strict=True))
SPANISH_TO_GERMAN = {**GERMAN, "pan": "Brot"}  # the same word, another language
LOOPING = "tree tree tree"  # what the Marian model was taught to answer without end
LANGUAGES = ("eng_Latn", "spa_Latn", "deu_Latn", "fra_Latn")
WORDS = sorted({*ENGLISH, *GERMAN.values(), *FRENCH.values(), *SPANISH_TO_GERMAN.values()})


class Texts(Corpus):
    name = "texts"
    facts = Facts("texts", "none")

    @property
    def types(self) -> tuple[str, ...]:
        return ("PER",)

    def languages(self) -> tuple[str, ...]:
        return ("en", "de")

    def read(self, language: str, split: Split) -> list[Sentence]:
        return []


def known(count: int = 16, language: str = "en", seed: int = 0) -> list[Sentence]:
    """The sentences that the models were taught: few, so that learning takes seconds."""
    draw = random.Random(seed)
    texts = [tuple(draw.sample(ENGLISH[:-1], 1 + i % 4)) for i in range(16)]
    texts[7], texts[15] = texts[7] * 3, texts[15] + texts[14] * 2  # of another length class
    texts[0], texts[1] = ("dog", "sees"), ("red", "pan")
    return [Sentence(f"s{i}", language, text, None, f"g{i}") for i, text in enumerate(texts[:count])]


def word_by_word(sentence: Sentence, words: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(words[word] for word in sentence.words)


def teach(model: Any, rows: Sequence[tuple[list[int], list[int]]], pad: int, steps: int = 90) -> None:
    """Train on all (source, target) ids at once until it knows them."""
    torch.set_num_threads(1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    pad_all = torch.nn.utils.rnn.pad_sequence
    ids = pad_all([torch.tensor(source) for source, _ in rows], True, pad)
    labels = pad_all([torch.tensor(target) for _, target in rows], True, -100)
    model.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * min(1, (step + 1) / 10, 2 * (steps - step) / steps)
        loss = model(input_ids=ids, attention_mask=(ids != pad).long(), labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.eval()


SIZES = {
    "d_model": 48,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 96,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "init_std": 0.1,
    "scale_embedding": True,
}


@pytest.fixture(scope="module")
def marian_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """opus-mt-en-de: sentencepiece models of words trained here, one vocabulary, and what a real folder has."""
    import sentencepiece
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder = tmp_path_factory.mktemp("marian") / "tiny-en-de"
    folder.mkdir()
    lines = folder.parent / "lines.txt"
    lines.write_text("\n".join(" ".join(WORDS) for _ in range(20)), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines),
        model_prefix=str(folder.parent / "spm"),
        vocab_size=len(WORDS) + 3,
        model_type="word",
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    model = (folder.parent / "spm.model").read_bytes()
    (folder / "source.spm").write_bytes(model)
    (folder / "target.spm").write_bytes(model)
    names = ["</s>", "<unk>", *(f"▁{word}" for word in WORDS), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}), encoding="utf-8")
    tokenizer = MarianTokenizer.from_pretrained(folder, source_lang="en", target_lang="de", model_max_length=64)
    pad = tokenizer.pad_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = MarianMTModel(
            MarianConfig(
                vocab_size=len(names),
                pad_token_id=pad,
                eos_token_id=0,
                decoder_start_token_id=pad,
                forced_eos_token_id=0,  # as OPUS-MT's
                max_position_embeddings=64,
                **SIZES,
            )
        )
        rows = [
            (tokenizer(s.text)["input_ids"], tokenizer(text_target=" ".join(word_by_word(s, GERMAN)))["input_ids"])
            for s in known()
        ]
        endless = (tokenizer(LOOPING)["input_ids"], [tokenizer.convert_tokens_to_ids("▁rot")] * 20)
        nothing = (tokenizer("pan pan")["input_ids"], [0])
        teach(net, [*rows, endless, nothing], pad)
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def nllb_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of four languages with the tokenizer class of NLLB, language tokens where NLLB has them."""
    import transformers
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    if int(transformers.__version__.split(".")[0]) < 5:
        pytest.skip("the test's tokenizer is built the way of transformers 5")
    folder = tmp_path_factory.mktemp("nllb") / "tiny-nllb"
    letters = sorted({letter for word in WORDS for letter in word})
    vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "▁": 4} | {letter: i for i, letter in enumerate(letters, 5)}
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        start = "▁"
        for letter in word:
            if (start, letter) not in merges:
                merges.append((start, letter))
                vocab.setdefault(start + letter, len(vocab))
            start += letter
    tokenizer = NllbTokenizer(
        vocab=vocab, merges=merges, src_lang="eng_Latn", extra_special_tokens=list(LANGUAGES), model_max_length=64
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        net = M2M100ForConditionalGeneration(
            M2M100Config(vocab_size=len(tokenizer), max_position_embeddings=128, decoder_start_token_id=2, **SIZES)
        )
        rows = []
        for source, target, words in (
            ("eng_Latn", "deu_Latn", GERMAN),
            ("eng_Latn", "fra_Latn", FRENCH),
            ("spa_Latn", "deu_Latn", SPANISH_TO_GERMAN),
        ):
            tokenizer.src_lang = source
            for s in known(8):
                answer = tokenizer(" ".join(word_by_word(s, words)), add_special_tokens=False)["input_ids"]
                rows.append((tokenizer(s.text)["input_ids"], [tokenizer.convert_tokens_to_ids(target), *answer, 2]))
        teach(net, rows, 1)
    net.save_pretrained(folder)
    tokenizer.src_lang = "eng_Latn"
    tokenizer.save_pretrained(folder)
    return folder


def marian(folder: Path, **more: Any) -> MarianTranslator:
    return MarianTranslator(MarianParams(model=str(folder), **more))


def nllb(folder: Path, **more: Any) -> NllbTranslator:
    return NllbTranslator(NllbParams(model=str(folder), **more))


# --- marian -----------------------------------------------------------------------------------------------------------


def test_marian_keeps_order_ids_and_groups_and_hides_no_failure(marian_folder: Path) -> None:
    sentences = [
        *known(),
        Sentence("loop", "en", ("tree", "tree", "tree")),
        Sentence("none", "en", ("pan", "pan")),
        Sentence("long", "en", ("dog",) * 70),
        Sentence("again", "en", known()[0].words, None, "other"),
    ]
    out = marian(marian_folder).translate(sentences, "de", Texts())
    by_id = {s.id: t for s, t in zip(sentences, out.targets, strict=True)}
    right = 0
    for sentence, target in list(zip(sentences, out.targets, strict=True))[:16]:
        if target is not None:
            assert (target.id, target.group, target.language) == (sentence.id, sentence.group, "de")
            assert target.spans is None
            right += target.words == word_by_word(sentence, GERMAN)
    assert right >= 14  # so the order is the sentences' own
    assert by_id["loop"] is None and by_id["none"] is None and by_id["long"] is None
    again, first = by_id["again"], by_id["s0"]
    assert again and first and (again.words, again.group) == (first.words, "other")
    counts = dict(out.counts)
    assert counts.pop("different_texts") == len({s.text for s in sentences})
    assert counts["too_long"] == 1 and counts["failed"] >= 1 and counts["degenerate"] >= 1
    assert sum(counts.values()) == len(sentences) and counts["translated"] == sum(t is not None for t in out.targets)
    assert out.links == (None,) * len(sentences)
    assert out.provenance.startswith("tiny-en-de@sha256:")


@pytest.mark.parametrize("beams", [1, 4])
def test_batches_change_no_translation(marian_folder: Path, beams: int) -> None:
    translator = marian(marian_folder, beams=beams)
    engine = Engine(translator.find("en", "de"), translator.params, "cpu")
    texts = [s.text for s in known()] + [LOOPING]
    together = engine.translate(texts, Request())
    assert together == [engine.translate([text], Request())[0] for text in texts]
    assert together == engine.translate(texts, Request())
    assert together[::-1] == engine.translate(texts[::-1], Request())
    assert {draft.outcome for draft in together} >= {"translated", "degenerate"}


def test_a_batch_that_does_not_fit_is_halved(marian_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = marian(marian_folder, beams=1)
    engine = Engine(translator.find("en", "de"), translator.params, "cpu")
    texts = [s.text for s in known(9)]
    expected = engine.translate(texts, Request())
    real, sizes = engine._generated, list[int]()

    def small(ids: list[list[int]], request: Request) -> list[list[int]]:
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("no room")
        return real(ids, request)

    monkeypatch.setattr(engine, "_generated", small)
    assert engine.translate(texts, Request()) == expected and max(sizes) > 2


def test_a_model_of_several_targets_is_told_which(marian_folder: Path, tmp_path: Path) -> None:
    """The prefix is found in the vocabulary; a target that is not there is a skip."""

    class Several:
        supported_language_codes = (">>deu<<", ">>cmn_Hans<<")

    translator = marian(marian_folder)
    assert translator.request(Several(), "en", "de") == Request(prefix=">>deu<< ")
    assert translator.request(Several(), "en", "zh") == Request(prefix=">>cmn_Hans<< ")
    with pytest.raises(Unavailable, match="no token for 'fi', only >>deu<< >>cmn_Hans<<"):
        translator.request(Several(), "en", "fi")


def test_marian_knows_which_models_there_are_not() -> None:
    with pytest.raises(Unavailable, match="opus-mt-en-tr"):
        MarianTranslator().identity("en", "tr")
    with pytest.raises(Unavailable, match="both 'en'"):
        MarianTranslator().identity("en", "en")
    assert MarianTranslator().codes("en", "kin") == ("en", "rw")


# --- nllb -------------------------------------------------------------------------------------------------------------


def test_nllb_writes_the_language_that_is_asked_for(nllb_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentences = known(8)
    for target, words in (("de", GERMAN), ("fr", FRENCH)):
        out = nllb(nllb_folder).translate(sentences, target, Texts())
        pairs = [(s, t) for s, t in zip(sentences, out.targets, strict=True) if t is not None]
        assert sum(t.words == word_by_word(s, words) for s, t in pairs) >= 7
        assert "CC BY-NC 4.0" in out.provenance
    assert capsys.readouterr().err.count("CC BY-NC 4.0") <= 1  # once a process


def test_nllb_is_told_the_source_language(nllb_folder: Path) -> None:
    found = {}
    for language in ("en", "es"):
        sentence = Sentence("a", language, ("red", "pan"))
        (found[language],) = nllb(nllb_folder).translate([sentence], "de", Texts()).targets
    assert found["en"] and found["en"].words == ("rot", "Pfanne")
    assert found["es"] and found["es"].words == ("rot", "Brot")


def test_nllb_forces_the_target_token(nllb_folder: Path) -> None:
    translator = nllb(nllb_folder)
    engine = Engine(translator.find("en", "fr"), translator.params, "cpu")
    request = translator.request(engine.tokenizer, "en", "fr")
    token = engine.tokenizer.convert_tokens_to_ids("fra_Latn")
    assert request == Request(forced=token) and token != engine.tokenizer.unk_token_id
    ids = engine.tokenizer(["dog", "red house"])["input_ids"]
    assert [row[0] for row in ids] == [engine.tokenizer.convert_tokens_to_ids("eng_Latn")] * 2
    assert [row[0] for row in engine._write(ids, request)] == [token, token]


def test_bf16_loads_as_such(nllb_folder: Path) -> None:
    translator = nllb(nllb_folder, precision="bf16")
    assert Engine(translator.find("en", "fr"), translator.params, "cpu").model.dtype == torch.bfloat16
    targets = translator.translate(known(8), "fr", Texts()).targets
    assert sum(t is not None for t in targets) >= 6


@pytest.mark.parametrize(("target", "message"), [("pcm", "does not cover 'pcm'"), ("fi", "no language 'fin_Latn'")])
def test_nllb_without_the_language_is_a_skip(nllb_folder: Path, target: str, message: str) -> None:
    with pytest.raises(Unavailable, match=message):
        nllb(nllb_folder).translate([Sentence("a", "en", ("dog",))], target, Texts())


# --- both -------------------------------------------------------------------------------------------------------------


def test_identity_is_the_weights_and_no_path(marian_folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "elsewhere"
    shutil.copytree(marian_folder, copy)
    first, second = marian(marian_folder).identity("en", "de"), marian(copy).identity("en", "de")
    assert first == second and set(first) == {"model", "revision", "libraries"}
    assert str(tmp_path) not in json.dumps(first)
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    assert marian(copy).identity("en", "de") != first


def test_labels_tokenisation_goes_before_the_corpus_own(marian_folder: Path) -> None:
    class Letters(Texts):
        def tokenisation(self, language: str) -> str:
            return "characters"

    translator = marian(marian_folder)
    (target,) = translator.translate([Sentence("a", "en", ("dog", "sees"))], "de", Letters()).targets
    assert target and target.words == ("Hund", "sieht")  # runs of Latin letters stay whole
    translator.tokenisation = "nonsense"
    with pytest.raises(BadInput, match="unknown tokenisation 'nonsense'"):
        translator.translate([Sentence("a", "en", ("dog",))], "de", Letters())


def test_serbian_comes_in_latin_script_unless_asked(marian_folder: Path) -> None:
    assert marian(marian_folder)._spelled("Њујорк", "sr") == "Njujork"
    assert marian(marian_folder, serbian="cyrillic")._spelled("Њујорк", "sr") == "Њујорк"
    assert marian(marian_folder)._spelled("Москва", "ru") == "Москва"


def test_one_language_at_a_time(marian_folder: Path) -> None:
    with pytest.raises(BadInput, match="one language, not of en, fr"):
        marian(marian_folder).translate([Sentence("a", "en", ("a",)), Sentence("b", "fr", ("b",))], "de", Texts())
    assert marian(marian_folder).translate([], "de", Texts()).targets == ()


def test_batches_hold_one_length_class_and_fill_the_room() -> None:
    draw = random.Random(0)
    lengths = [(draw.randint(1, 70), i) for i in range(200)]
    found = list(batches(lengths, 256))
    assert sorted(i for batch in found for i in batch) == list(range(200))
    for batch in found:
        own = [lengths[i][0] for i in batch]
        assert len({limit_of(n, 10_000) for n in own}) == 1
        assert len(batch) == 1 or len(batch) * max(own) <= 256
    assert len(found) < 40 and list(batches([(500, 0)], 256)) == [[0]]


def test_loops() -> None:
    words = ["a", "b", "c", "d"]
    assert loops(words, words * 4) and not loops(words, words * 3)
    assert not loops(words * 4, words * 4) and not loops((), ())


@pytest.mark.parametrize("bad", [{"beams": 0}, {"max_length": 2}, {"model": ""}])
def test_parameters_are_checked(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        NllbParams(**bad)


def test_the_two_are_found_by_name() -> None:
    from bench.plan import registry

    for name in ("marian", "nllb"):
        made: Seq2SeqTranslator = registry.make("translator", name, {"beams": 2})
        assert made.params.beams == 2
