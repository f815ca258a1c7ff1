"""The default tagger: decoding, loading any encoder as float32, saving for transformers' pipeline."""

from __future__ import annotations

import itertools
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
from bench.train.fit import FitPlan, fit
from bench.train.predict import Room, checked, predict
from bench.train.tagger import LinearTagger, save_tagger, viterbi

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
    hidden, _ = tagger.encoder(batch.inputs)
    assert torch.allclose(batch.vectors[0], hidden[0, 1:5].mean(0), atol=1e-6)  # z ##q ##x dog
    assert torch.allclose(batch.vectors[1], hidden[1, 1:6].mean(0), atol=1e-6)
    assert torch.equal(batch.states[0, 1], hidden[0, 4])
    assert not batch.states[0, 2:].any()


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


def test_a_tagger_that_transformers_has_no_class_for_is_not_saved_wrongly(
    new_tagger: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    tagger = new_tagger()
    hook = tagger.encoder.model.register_forward_hook(lambda module, given, out: _doubled(out))
    with pytest.raises(BadInput, match="not dropout and a linear layer"):
        save_tagger(tagger, tokenizer, tmp_path, 64)
    hook.remove()
    assert not (tmp_path / "model.safetensors").exists()


def _doubled(out: Any) -> Any:
    out.last_hidden_state = 2 * out.last_hidden_state
    return out


@example(0)
@given(st.integers(0, 50))
@settings(max_examples=5)
def test_a_fresh_head_follows_the_seed(new_tagger: Callable[..., Any], seed: int) -> None:
    first, second, other = (new_tagger(s).classifier.weight for s in (seed, seed, seed + 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
