"""The default tagger: decoding, loading any encoder as float32, saving for transformers' pipeline."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.api.method import Batch, Example, Inputs, Method, Predictions, TrainingSet, singles
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, Span, spans_of, tag_set, tags_of
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train import tagger as tagger_module
from bench.train.batches import Collator
from bench.train.fit import FitPlan, fit
from bench.train.frozen import Kept, Prefix, freeze_lowest
from bench.train.predict import Room, checked, predict
from bench.train.tagger import LinearTagger, fresh_encoder, load_encoder, save_tagger, viterbi

CPU = torch.device("cpu")
TAGS = tag_set(("PER", "LOC"))  # O B-PER I-PER B-LOC I-LOC


def sentence(*words: str, spans: tuple[Span, ...] | None = None) -> Sentence:
    return Sentence("s", "en", words, spans)


def decoded(
    new_tagger: Callable[..., Any], rows: Sequence[Sequence[str]], decoding: str = "greedy"
) -> tuple[tuple[Span, ...], ...]:
    """Spans where each word's most probable tag is the given one."""
    longest = max(map(len, rows))
    logits = torch.zeros(len(rows), longest, len(TAGS))
    for row, given_tags in enumerate(rows):
        for word, tag in enumerate(given_tags):
            logits[row, word, TAGS.index(tag)] = 3.0
    sentences = tuple(Sentence(str(n), "en", ("w",) * len(row)) for n, row in enumerate(rows))
    nothing: Any = None
    inputs = Inputs(*[nothing] * 11, sentences, 0)
    batch = Batch(inputs, nothing, nothing, logits)
    spans: tuple[tuple[Span, ...], ...] = new_tagger(decoding=decoding).decode(batch).spans
    return spans


# --- decoding ---------------------------------------------------------------------------------------------------------


def test_greedy_opens_a_span_at_an_i_that_continues_nothing(new_tagger: Callable[..., Any]) -> None:
    rows = [
        ["O", "I-PER", "I-PER", "O"],
        ["B-PER", "I-LOC", "I-LOC", "B-LOC"],
        ["I-LOC"],
        ["B-PER", "I-PER", "B-PER", "O", "I-PER"],
        ["O", "O"],
    ]
    assert decoded(new_tagger, rows) == (
        (Span(1, 3, "PER"),),
        (Span(0, 1, "PER"), Span(1, 3, "LOC"), Span(3, 4, "LOC")),
        (Span(0, 1, "LOC"),),
        (Span(0, 2, "PER"), Span(2, 3, "PER"), Span(4, 5, "PER")),
        (),
    )


def test_viterbi_never_opens_with_an_i(new_tagger: Callable[..., Any]) -> None:
    assert decoded(new_tagger, [["O", "B-PER", "I-PER"]], "viterbi") == ((Span(1, 3, "PER"),),)
    (spans,) = decoded(new_tagger, [["B-PER", "I-LOC", "O"]], "viterbi")
    assert spans in ((Span(0, 1, "PER"),), (Span(0, 2, "LOC"),), (Span(0, 2, "PER"),))
    assert spans != (Span(0, 1, "PER"), Span(1, 2, "LOC")), "greedy would say this"


@given(
    st.integers(1, 5), st.sampled_from([("PER",), ("PER", "LOC")]), st.integers(0, 9999), st.sampled_from([0.1, 1.0])
)
@settings(max_examples=60)
def test_viterbi_is_the_best_of_all_well_formed_paths(
    words: int, types: tuple[str, ...], seed: int, even: float
) -> None:
    if words == 5 and len(types) == 2:
        words = 4
    tags = tag_set(types)
    probabilities = np.random.default_rng(seed).dirichlet(np.full(len(tags), even), words).astype(np.float32)
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))

    def well_formed(path: Sequence[int]) -> bool:
        chosen = [tags[i] for i in path]
        return list(tags_of(spans_of(chosen), words)) == chosen

    def score(path: Sequence[int]) -> float:
        return float(sum(logs[word, tag] for word, tag in enumerate(path)))

    best = max(filter(well_formed, itertools.product(range(len(tags)), repeat=words)), key=score)
    found = viterbi(probabilities, tags)
    assert well_formed(found)
    assert score(found) == pytest.approx(score(best), abs=1e-9)
    assert viterbi(probabilities[:0], tags) == []


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_viterbi_agrees_with_greedy_where_greedy_is_well_formed(seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.full(5, 0.3), 4).astype(np.float32)
    greedy = probabilities.argmax(-1).tolist()
    chosen = [TAGS[i] for i in greedy]
    if list(tags_of(spans_of(chosen), 4)) == chosen:
        assert viterbi(probabilities, TAGS) == greedy


def test_probabilities_of_0_are_no_dead_end() -> None:
    certain = np.zeros((2, 5), np.float32)
    certain[:, 2] = 1.0  # I-PER twice: impossible as it stands
    assert viterbi(certain, TAGS)[1] == 2
    assert TAGS[viterbi(certain, TAGS)[0]] == "B-PER"


def test_loading_draws_nothing_from_the_streams(tiny_folder: Path, tmp_path: Path) -> None:
    """A checkpoint without a pooler has one drawn: a training must not depend on whether its process loaded before."""
    from transformers import BertModel

    BertModel.from_pretrained(tiny_folder, add_pooling_layer=False).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_folder / name, tmp_path / name)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(load_encoder(str(tmp_path)).model.state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    assert "pooler.dense.weight" in found[0]
    assert all(torch.equal(one, found[1][name]) for name, one in found[0].items())


def test_an_encoder_is_read_once_and_every_copy_is_fresh(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagger_module, "_KEPT", {})
    loads: list[str] = []
    plain = tagger_module.load_encoder

    def noting(where: str, revision: str | None = None) -> Any:
        loads.append(where)
        return plain(where, revision)

    monkeypatch.setattr(tagger_module, "load_encoder", noting)
    first = fresh_encoder("a", str(tiny_folder)).model
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    second = fresh_encoder("a", str(tiny_folder)).model
    for one, other in zip(second.parameters(), plain(str(tiny_folder)).model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert len(loads) == 1
    fresh_encoder("b", str(tiny_folder))
    fresh_encoder("a", str(tiny_folder))
    assert len(loads) == 3, "only the last is held"
    monkeypatch.setattr(tagger_module, "MOST", 100)
    monkeypatch.setattr(tagger_module, "_KEPT", {})
    fresh_encoder("a", str(tiny_folder))
    fresh_encoder("a", str(tiny_folder))
    assert len(loads) == 5, "one that is too large is not"


# --- prediction -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(3, 120), min_size=1, max_size=80).map(sorted),
    room=st.builds(Room, most=st.integers(1, 500), waste=st.floats(0, 1), least=st.integers(0, 200)),
)
def test_batches_of_prediction_keep_to_their_room(lengths: list[int], room: Room) -> None:
    batches = list(room.batches(lengths))
    assert [length for batch in batches for length in lengths[batch]] == lengths
    for batch in batches:
        held = lengths[batch]
        padded = len(held) * held[-1]
        assert len(held) == 1 or padded <= room.most
        assert len(held) == 1 or sum(held[:-1]) < room.least or padded - sum(held) <= room.waste * padded


def test_prediction_keeps_the_order_and_does_not_depend_on_the_batch(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]]
) -> None:
    sentences = toy(30)
    tagger = new_tagger().train()
    together = predict(tagger, new_collator(), sentences)
    assert tagger.training, "left as it was"
    for one, probabilities, spans in zip(sentences, together.probabilities, together.spans, strict=True):
        alone = predict(tagger, new_collator(), [one])
        assert np.allclose(alone.probabilities[0], probabilities, atol=1e-5)
        assert alone.spans[0] == spans
        assert probabilities.dtype == np.float32
    again = predict(tagger, new_collator(), sentences)
    assert all(np.array_equal(a, b) for a, b in zip(again.probabilities, together.probabilities, strict=True))


def test_gold_labels_never_reach_the_tagger(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]]
) -> None:
    class Curious(LinearTagger):
        def read(self, inputs: Inputs) -> Batch:
            assert (inputs.labels == -100).all()
            assert all(s.spans is None for s in inputs.sentences)
            return super().read(inputs)

    found = predict(new_tagger(kind=Curious), new_collator(), toy(5))
    assert len(found.spans) == 5


def test_sentences_without_words_and_no_sentences(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any]
) -> None:
    found = predict(new_tagger(), new_collator(), [sentence(), sentence("dog")])
    assert [p.shape for p in found.probabilities] == [(0, 5), (1, 5)]
    assert predict(new_tagger(), new_collator(), []).spans == ()


@pytest.mark.parametrize(
    ("spans", "words", "message"),
    [
        (((Span(0, 1, "PER"),), ()), (2, 1), None),
        (((),), (2,), "1 predictions for 2 sentences"),
        (((), ()), (2, 2), "2 words scored of 1"),
        (((Span(1, 3, "PER"),), ()), (2, 1), "ill-formed span"),
        (((Span(1, 1, "PER"),), ()), (2, 1), "ill-formed span"),
        (((Span(0, 2, "PER"), Span(1, 2, "LOC")), ()), (2, 1), "ill-formed span"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(spans: Any, words: Sequence[int], message: str | None) -> None:
    sentences = [sentence("a", "b"), sentence("c")]
    found = Predictions(spans, tuple(np.zeros((n, 5), np.float32) for n in words))
    if message is None:
        assert checked(found, sentences) is found
    else:
        with pytest.raises(ValueError, match=message):
            checked(found, sentences)


def test_vectors_are_the_mean_over_the_sentences_own_pieces(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any]
) -> None:
    tagger, collator = new_tagger().eval(), new_collator()
    examples = [Example(sentence("zqx", "dog")), Example(sentence("Anna", "saw", "a", "dog", "."))]
    batch = tagger.read(collator(examples, collator.pieces(examples), [0, 1]))
    hidden = tagger.encoder(input_ids=batch.inputs.ids, attention_mask=batch.inputs.mask).last_hidden_state
    assert torch.allclose(batch.vectors[0], hidden[0, 1:5].mean(0), atol=1e-6)  # z ##q ##x dog
    assert torch.allclose(batch.vectors[1], hidden[1, 1:6].mean(0), atol=1e-6)
    assert torch.equal(batch.states[0, 1], hidden[0, 4])
    assert not batch.states[0, 2:].any()


# --- RoBERTa's ways ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def roberta_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Byte-level BPE that needs a space before words, and positions counted from the padding id on: 40 of 42 remain."""
    from tokenizers import pre_tokenizers
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = [("Ġ", "d"), ("Ġd", "o"), ("Ġdo", "g"), ("d", "o"), ("do", "g")]
    vocabulary = {piece: n for n, piece in enumerate([*pieces, *(a + b for a, b in merges)])}
    tokenizer = RobertaTokenizerFast(vocab=vocabulary, merges=merges, add_prefix_space=False, model_max_length=10**9)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = RobertaModel(
            RobertaConfig(
                vocab_size=len(vocabulary),
                hidden_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=42,
                type_vocab_size=1,
            )
        )
    folder = tmp_path_factory.mktemp("encoders") / "roberta-for-tests"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_roberta_is_read_with_a_space_before_each_word(roberta_folder: Path) -> None:
    loaded = load_encoder(str(roberta_folder))
    collator = Collator(loaded.tokenizer, TAGS, loaded.longest, CPU)
    (pieces,) = collator.pieces([Example(sentence("dog", "dog", "\u200b", "é"))])
    spaced, bare = loaded.tokenizer.convert_tokens_to_ids(["Ġdog", "dog"])
    assert pieces.ids[:2].tolist() == [spaced, spaced]
    assert bare not in pieces.ids
    assert pieces.starts.tolist()[:3] == [0, 1, 2]
    specials = collator.specials
    assert (specials.prefix, specials.suffix, specials.pad, specials.unknown) == ((0,), (2,), 1, 3)


def test_roberta_counts_positions_from_the_padding_on(roberta_folder: Path) -> None:
    loaded = load_encoder(str(roberta_folder))
    assert loaded.longest == 40
    tagger = LinearTagger(loaded.model, TAGS, 0.1)
    collator = Collator(loaded.tokenizer, TAGS, loaded.longest, CPU)
    inputs = collator(examples := [Example(sentence(*["dog"] * 200))], collator.pieces(examples), [0])
    assert inputs.ids.shape[1] == 40, "windows use every position there is"
    found = predict(tagger, collator, [sentence(*["dog"] * 200), sentence("a", "dog")])
    assert [p.shape for p in found.probabilities] == [(200, 5), (2, 5)]
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        loaded.model(input_ids=torch.zeros(1, 41, dtype=torch.int64))


# --- saving -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Any],
    toy: Callable[..., list[Sentence]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    torch.set_num_threads(1)
    tagger = new_tagger(3)
    plan = FitPlan(Method(), TrainSpec(steps=50, batch=8, evals=1), EncoderSpec(lr=3e-3), 1, ())
    with torch.random.fork_rng(devices=[]):
        fit(plan, TrainingSet(labelled=singles(toy(48))), tagger, new_collator(), tmp_path_factory.mktemp("fit"))
    return tagger


def test_a_saved_tagger_runs_in_transformers_pipeline(
    trained: Any, tokenizer: Any, new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]], tmp_path: Path
) -> None:
    from transformers import pipeline

    save_tagger(trained, tokenizer, tmp_path, 64)
    assert (tmp_path / "model.safetensors").exists()
    tag = pipeline("token-classification", model=str(tmp_path), device="cpu")
    assert tag.model.config.id2label == dict(enumerate(TAGS))
    assert tag.tokenizer.model_max_length == 64
    entities = 0
    for one in [*toy(12, 9), sentence("Zora", "saw", "Qito", ".")]:
        found = predict(trained, new_collator(), [one])
        ends = list(itertools.accumulate(len(word) + 1 for word in one.words))
        by_start = {item["start"]: item for item in tag(one.text, ignore_labels=[])}
        for word, end in enumerate(ends):
            item = by_start[end - 1 - len(one.words[word])]
            probabilities = found.probabilities[0][word]
            assert item["entity"] == TAGS[int(probabilities.argmax())]
            assert item["score"] == pytest.approx(float(probabilities.max()), abs=1e-4)
        entities += len(found.spans[0])
    assert entities > 8, "not all is O"


def test_a_saved_roberta_tagger_predicts_the_same(roberta_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification

    loaded = load_encoder(str(roberta_folder))
    tagger = LinearTagger(loaded.model, TAGS, 0.1)
    save_tagger(tagger, loaded.tokenizer, tmp_path, loaded.longest)
    model = AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    collator = Collator(loaded.tokenizer, TAGS, 40, CPU)
    examples = [Example(sentence("dog", "a", "dog"))]
    inputs = collator(examples, collator.pieces(examples), [0])
    with torch.no_grad():
        theirs = model(input_ids=inputs.ids, attention_mask=inputs.mask).logits.flatten(0, 1)[inputs.words[0]]
        assert torch.allclose(theirs, tagger.eval().read(inputs).logits[0], atol=1e-5)


def test_a_tagger_that_transformers_has_no_class_for_is_not_saved_wrongly(
    new_tagger: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    tagger = new_tagger()
    tagger.classifier = torch.nn.Linear(32, 5)
    read = tagger.encoder.forward

    def doubled(*given_: Any, **named: Any) -> Any:
        out = read(*given_, **named)
        out.last_hidden_state = 2 * out.last_hidden_state
        return out

    tagger.encoder.forward = doubled
    with pytest.raises(BadInput, match="not dropout and a linear layer"):
        save_tagger(tagger, tokenizer, tmp_path, 64)
    assert not (tmp_path / "model.safetensors").exists()


@example(0)
@given(st.integers(0, 50))
@settings(max_examples=5)
def test_a_fresh_head_follows_the_seed(new_tagger: Callable[..., Any], seed: int) -> None:
    first, second, other = (new_tagger(s).classifier.weight for s in (seed, seed, seed + 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


# --- frozen layers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("kept", [False, True])
def test_frozen_layers_keep_their_weights_and_the_rest_is_trained(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Collator], tmp_path: Path, layers: int, kept: bool
) -> None:
    tagger = new_tagger()
    freeze_lowest(tagger.encoder, layers)
    tagger.prefix = Prefix(tagger.encoder, layers, Kept()) if layers and kept else None
    before = {name: value.clone() for name, value in tagger.state_dict().items()}
    data = TrainingSet(labelled=singles([sentence("Ada", "sang", spans=(Span(0, 1, "PER"),))]))
    plan = FitPlan(Method(), TrainSpec(steps=2, batch=2, evals=1), EncoderSpec(lr=1e-2), 1, ())
    fit(plan, data, tagger, new_collator(), tmp_path)
    changed = {name for name, value in tagger.state_dict().items() if not torch.equal(value, before[name])}
    assert "classifier.weight" in changed
    for layer in range(2):
        assert any(f"layer.{layer}." in name for name in changed) == (layer >= layers)
    assert any("embeddings" in name for name in changed) == (not layers)


def test_kept_states_change_nothing_but_time(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Collator]
) -> None:
    """Logits and gradients equal those of the whole encoder, in any batch, and the second reading computes nothing."""
    tagger, collator = new_tagger(dropout=0.0), new_collator(16)
    sentences = [sentence(*words.split()) for words in ("Ada sang", "Bo " * 30, "a b c d", "Ada sang")]
    examples = [Example(s) for s in sentences]
    inputs = collator(examples, collator.pieces(examples), range(4))
    assert len(inputs.ids) > 4, "windows"
    freeze_lowest(tagger.encoder, 1)

    def read() -> tuple[torch.Tensor, list[torch.Tensor]]:
        tagger.zero_grad()
        batch = tagger.read(inputs)
        (batch.logits.square().sum() + batch.vectors.square().sum()).backward()
        return batch.logits, [p.grad for p in tagger.parameters() if p.grad is not None]

    logits, gradients = read()
    tagger.prefix = Prefix(tagger.encoder, 1, Kept())
    ours, of_ours = read()
    assert torch.allclose(logits, ours, atol=1e-5)
    assert len(gradients) == len(of_ours)
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-3) for a, b in zip(gradients, of_ours, strict=True))
    known = len(tagger.prefix.kept.states)
    assert known == len({tuple(row) for row in inputs.ids.tolist()}), "equal windows are computed once"
    tagger.prefix.encoder = None  # cannot compute
    assert torch.equal(tagger.read(inputs).logits, ours)
    one = collator(examples[2:3], collator.pieces(examples[2:3]), [0])
    assert torch.allclose(tagger.read(one).logits[0, :4], ours[2, :4], atol=1e-6)
    assert not any("forward" in vars(layer) for layer in tagger.modules()), "nothing stays replaced"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=24), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_kept_states_do_not_depend_on_which_batch_asked_first(
    new_tagger: Callable[..., Any], lengths: list[int], random: Any
) -> None:
    """The same bits in groups of any size, beside windows of any length, as one by one."""
    encoder = new_tagger().encoder
    freeze_lowest(encoder, 1)
    windows = [torch.tensor([random.randrange(5, 60) for _ in range(length)]) for length in lengths]
    ids = torch.nn.utils.rnn.pad_sequence(windows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(window) for window in windows], batch_first=True)
    together, alone = Prefix(encoder, 1, Kept()), Prefix(encoder, 1, Kept())
    states = together.states(ids, mask)
    assert states.shape[:2] == ids.shape
    for row, length in enumerate(lengths):
        own = alone.states(ids[row : row + 1, :length], mask[row : row + 1, :length])[0]
        assert torch.equal(states[row, :length], own)
        assert not states[row, length:].any()


@pytest.mark.parametrize("same", [True, False])
def test_windows_are_computed_alone_where_a_group_gives_other_bits(new_tagger: Callable[..., Any], same: bool) -> None:
    encoder = new_tagger().encoder
    freeze_lowest(encoder, 1)
    prefix, sizes = Prefix(encoder, 1, Kept()), list[int]()
    plain = prefix._computed

    def computed(ids: torch.Tensor) -> torch.Tensor:
        sizes.append(len(ids))
        return plain(ids) + (0.0 if same or len(ids) == 1 else 1e-7)

    prefix._computed = computed  # type: ignore[method-assign]
    first, second = torch.arange(5, 25).view(2, 10), torch.arange(6, 36).view(3, 10)
    prefix.states(first, torch.ones_like(first))
    assert sizes == ([1, 1, 2, 2] if same else [1, 1, 2, 1, 1]), "the first group shows whether it may be one"
    sizes.clear()
    prefix.states(second, torch.ones_like(second))
    assert sizes == ([3] if same else [1, 1, 1])


def test_the_last_layer_cannot_be_frozen(new_tagger: Callable[..., Any]) -> None:
    with pytest.raises(BadInput, match="freeze = 2, but the encoder has 2 layers"):
        freeze_lowest(new_tagger().encoder, 2)
