"""ConCNER's two contrastive terms against loops in float64, and what they do in training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.method import Batch, Round, Step, TrainingSet, pairs
from bench.api.objectives import pair_contrastive, supervised_contrastive
from bench.core.sentences import Pair, Sentence
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.train.diagnostics import space_of
from bench.train.fit import FitPlan, fit
from methods.concner.method import Concner, ConcnerParams
from tests.api.test_objectives import batch_of as plain_batch
from tests.support.e2e_tools import Place, matrix_text


def label_contrast(batch: Batch, params: ConcnerParams) -> torch.Tensor:
    """LCL over the states of a batch."""
    return Concner(params)._label_contrast(None, batch)


# --- by hand, in float64 ----------------------------------------------------------------------------------------------


def by_hand(vectors: Any, classes: Any, temperature: float, anchors: Any, allowed: Any) -> float:
    """METHODS' formula of LCL, word by word; one that may not be a positive, though of the class, is no negative."""
    z = [np.asarray(v, np.float64) / math.sqrt(sum(float(x) ** 2 for x in v)) for v in vectors]
    losses = []
    for i in range(len(z)):
        positives = [p for p in range(len(z)) if p != i and classes[p] == classes[i] and allowed[i][p]]
        positives = [p for p in positives if anchors[i] and anchors[p]]
        if not positives:
            continue
        kin = [a for a in range(len(z)) if classes[a] == classes[i] and not allowed[i][a]]
        whole = sum(math.exp(float(z[i] @ z[a]) / temperature) for a in range(len(z)) if a != i and a not in kin)
        shares = [math.log(math.exp(float(z[i] @ z[p]) / temperature) / whole) for p in positives]
        losses.append(-sum(shares) / len(shares))
    return sum(losses) / len(losses) if losses else 0.0


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 14), st.sampled_from([0.05, 0.1, 0.9]), st.booleans(), st.booleans())
def test_label_contrast_is_its_formula(seed: int, count: int, tau: float, outside: bool, cross: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors, classes = rng.normal(size=(count, 5)), rng.integers(0, 4, count)
    anchors = np.ones(count, bool) if outside else classes != 0
    languages = rng.integers(0, 2, count)
    allowed = languages[:, None] != languages[None, :] if cross else np.ones((count, count), bool)
    found = supervised_contrastive(
        torch.tensor(vectors),
        torch.tensor(classes),
        tau,
        anchors=None if outside else torch.tensor(anchors),
        allowed=torch.tensor(allowed) if cross else None,
    )
    assert float(found) == pytest.approx(by_hand(vectors, classes, tau, anchors, allowed), rel=1e-6, abs=1e-6)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 7), st.sampled_from([0.05, 0.5]))
def test_translation_contrast_is_its_formula(seed: int, count: int, tau: float) -> None:
    """Symmetric InfoNCE: each of the 2k sentences is an anchor, its translation the one positive."""
    vectors = np.random.default_rng(seed).normal(size=(2 * count, 6))
    z = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    losses = []
    for i in range(2 * count):
        scores = [math.exp(float(z[i] @ z[a]) / tau) for a in range(2 * count) if a != i]
        losses.append(-math.log(math.exp(float(z[i] @ z[i ^ 1]) / tau) / sum(scores)))
    groups = torch.arange(count).repeat_interleave(2)
    found = float(pair_contrastive(torch.tensor(vectors), groups, tau))
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-6, abs=1e-6)


def test_swapped_pairs_raise_translation_contrast() -> None:
    """Each sentence lies on its translation; exchanging two translations must cost."""
    vectors = torch.eye(4).repeat_interleave(2, 0) + 0.01
    groups = torch.arange(4).repeat_interleave(2)
    right = float(pair_contrastive(vectors, groups, 0.05))
    order = torch.tensor([0, 3, 2, 1, 4, 5, 6, 7])
    swapped = float(pair_contrastive(vectors[order], groups, 0.05))
    assert right < 0.01 < 5 < swapped


def test_words_of_one_label_apart_raise_label_contrast() -> None:
    close = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    classes = torch.tensor([1, 1, 2, 2])
    assert float(supervised_contrastive(close, classes, 0.1)) < 0.01
    assert float(supervised_contrastive(close[[0, 2, 1, 3]], classes, 0.1)) > 5


def test_contrast_is_float32_in_any_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors, classes = torch.randn(40, 16, generator=generator), torch.arange(40) % 4
    exact = supervised_contrastive(vectors, classes, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert (vectors @ vectors.T).dtype == torch.bfloat16
        assert torch.equal(supervised_contrastive(vectors, classes, 0.05), exact)


def test_without_a_positive_the_term_is_zero_with_a_gradient() -> None:
    vectors = torch.randn(3, 4, requires_grad=True)
    value = supervised_contrastive(vectors, torch.tensor([1, 2, 3]), 0.1)
    value.backward()
    assert value.item() == 0.0
    assert vectors.grad is not None
    assert not vectors.grad.any()


# --- which words take part --------------------------------------------------------------------------------------------

LABELS = [[1, 2, 0, 3], [1, 0, 0, -100]]  # B-A I-A O B-B; B-A O O, padding


def batch_of(states: torch.Tensor, labels: list[list[int]]) -> Batch:
    """The states of alternately English and German sentences."""
    count, words = len(labels), len(labels[0])
    plain = plain_batch(np.zeros((count, words, 5)), labels, np.ones(count))
    sentences = tuple(replace(s, language=("en", "de")[n % 2]) for n, s in enumerate(plain.inputs.sentences))
    return replace(plain, inputs=replace(plain.inputs, sentences=sentences), states=states)


@pytest.mark.parametrize(
    ("params", "classes", "anchors"),
    [
        (ConcnerParams(), [1, 2, 0, 3, 1, 0, 0], [1, 1, 0, 1, 1, 0, 0]),
        (ConcnerParams(outside="class"), [1, 2, 0, 3, 1, 0, 0], [1] * 7),
        (ConcnerParams(classes="type"), [1, 1, 0, 2, 1, 0, 0], [1, 1, 0, 1, 1, 0, 0]),
    ],
)
def test_classes_and_outside(params: ConcnerParams, classes: list[int], anchors: list[int]) -> None:
    states = torch.randn(2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = float(label_contrast(batch_of(states, LABELS), params))
    kept = torch.cat([states[0], states[1, :3]])
    every = np.ones((7, 7), bool)
    assert found == pytest.approx(by_hand(kept.numpy(), classes, 0.1, np.asarray(anchors, bool), every), rel=1e-6)


def test_outside_none_and_cross_language() -> None:
    states = torch.randn(2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    batch = batch_of(states, LABELS)
    entities = torch.stack([states[0, 0], states[0, 1], states[0, 3], states[1, 0]]).numpy()
    whole, every = np.ones(4, bool), np.ones((4, 4), bool)
    found = float(label_contrast(batch, ConcnerParams(classes="type", outside="none")))
    assert found == pytest.approx(by_hand(entities, [1, 1, 2, 1], 0.1, whole, every), rel=1e-6)
    language = np.asarray([0, 0, 0, 1])
    across = language[:, None] != language[None, :]
    params = ConcnerParams(classes="type", outside="none", positives="cross-language")
    found = float(label_contrast(batch, params))
    assert found == pytest.approx(by_hand(entities, [1, 1, 2, 1], 0.1, whole, across), rel=1e-6)


def test_positives_across_languages_do_not_push_those_of_one_language_apart() -> None:
    """Steps on LCL alone leave two English words of a tag as near as they were, and draw the German one near."""
    draw = torch.Generator().manual_seed(0)
    tag = torch.randn(6, generator=draw)
    vectors = torch.stack([tag + 0.3 * torch.randn(6, generator=draw) for _ in range(3)] + [-tag]).requires_grad_()
    classes, german = torch.tensor([1, 1, 1, 0]), torch.tensor([False, False, True, False])
    allowed = german[:, None] != german[None, :]

    def cosines() -> list[float]:
        z = torch.nn.functional.normalize(vectors.detach(), dim=-1)
        return [float(z[0] @ z[1]), float(z[0] @ z[2])]

    together, across = cosines()
    for _ in range(100):
        loss = supervised_contrastive(vectors, classes, 0.1, anchors=classes != 0, allowed=allowed)
        (gradient,) = torch.autograd.grad(loss, vectors)
        vectors = (vectors - 0.5 * gradient).detach().requires_grad_()
    assert cosines()[0] > together - 0.02 and cosines()[1] > across


def boundary_gap(states: torch.Tensor, labels: torch.Tensor) -> float:
    """How far B-A and I-A lie apart on the line between their means, in standard deviations within them."""
    first, inside = states[labels == 1], states[labels == 2]
    direction = first.mean(0) - inside.mean(0)
    spread = torch.cat([(first - first.mean(0)) @ direction, (inside - inside.mean(0)) @ direction]).std()
    return float(direction @ direction / spread)


def test_label_contrast_does_not_blur_where_entities_begin() -> None:
    """On states that tell B from I, steps on LCL alone must leave them at least as far apart; merged classes do not."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.tensor([[1, 2, 2, 0, 3, 0, 1, 2]] * 16)
    means = torch.randn(4, 12, generator=draw)
    means[2] = means[1] + 0.7 * torch.randn(12, generator=draw)  # I-A is near B-A, and still another direction
    start = means[labels] + 0.3 * torch.randn(16, 8, 12, generator=draw)
    gaps = {}
    for classes in ("tag", "type"):
        states = start.clone().requires_grad_()
        optimiser = torch.optim.SGD([states], lr=20.0)
        for _ in range(60):
            optimiser.zero_grad()
            label_contrast(batch_of(states, labels.tolist()), ConcnerParams(classes=classes)).backward()
            optimiser.step()
        gaps[classes] = boundary_gap(states.detach()[labels >= 0], labels[labels >= 0])
    before = boundary_gap(start[labels >= 0], labels[labels >= 0])
    assert gaps["tag"] > before > gaps["type"]


def test_a_share_of_the_outside_words() -> None:
    states = torch.randn(1, 400, 6, generator=torch.Generator().manual_seed(2))
    labels = [[1, 1, *[0] * 398]]
    torch.manual_seed(0)
    values = [float(label_contrast(batch_of(states, labels), ConcnerParams(outside_share=s))) for s in (1, 0.1)]
    assert values[1] < values[0] - 1  # a tenth of the negatives: about ln 10 less


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": -1},
        {"temperature": 0},
        {"outside_share": 0},
        {"head": -1},
        {"tcl_first": 1},
        {"beta": 0, "tcl_first": 0.5},
    ],
)
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|needs"):
        ConcnerParams(**wrong)


# --- in training ------------------------------------------------------------------------------------------------------


def toy_pairs(toy: Callable[..., list[Sentence]], count: int) -> list[Pair]:
    """Sentences and their `translation`: the same, in another language with other letters."""
    return [Pair(s, replace(s, language="de", words=tuple(w[::-1] for w in s.words))) for s in toy(count, 3)]


def norm_of(tagger: Any, value: torch.Tensor) -> float:
    tagger.zero_grad()
    value.backward(retain_graph=True)
    grads = [p.grad for p in tagger.encoder.parameters() if p.grad is not None]
    return float(torch.stack([g.norm() for g in grads]).norm())


def test_each_terms_gradient_is_of_the_order_of_the_cross_entropys(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]]
) -> None:
    """The published sister system divides its term by the token count twice: it trains nothing."""
    collator, tagger = new_collator(), new_tagger()
    examples = [example for pair in pairs(toy_pairs(toy, 16)) for example in pair]
    inputs = collator(examples, collator.pieces(examples), [n // 2 for n in range(len(examples))])
    torch.manual_seed(0)
    batch = tagger.train().read(inputs)
    terms = {t.name: t for t in Concner(ConcnerParams()).loss(tagger, Step(batch, None, None, 0, 10))}
    norms = {name: norm_of(tagger, term.weight * term.value) for name, term in terms.items()}
    assert set(norms) == {"ce", "lcl", "tcl"}
    for name in ("lcl", "tcl"):
        assert 0.05 < norms[name] / norms["ce"] < 20, norms


def trained(params: ConcnerParams, data: TrainingSet, tagger: Any, collator: Any, folder: Path, steps: int) -> Any:
    folder.mkdir()
    method = Concner(params)
    plan = FitPlan(method, TrainSpec(steps=steps, batch=16, evals=1), EncoderSpec(lr=1e-3), 1, ())
    with torch.random.fork_rng(devices=[]):
        fit(plan, data, tagger, collator, folder)
    return tagger


def test_twenty_steps_of_translation_contrast_raise_retrieval(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], tmp_path: Path
) -> None:
    """On sentences of the demo, and their translations: TCL alone for all of its 20 steps."""
    from data_recipes.corpora.demo.corpus import DemoCorpus

    found = [
        Pair(replace(p.source, spans=()), replace(p.target, spans=())) for p in DemoCorpus().pairs("en", "de")[:64]
    ]
    collator, tagger = new_collator(), new_tagger()
    before = space_of(tagger, collator, found, "fp32").measures()
    params = ConcnerParams(alpha=0.0, beta=1.0, tcl_first=0.999)
    trained(params, TrainingSet(labelled=pairs(found)), tagger, collator, tmp_path / "fit", 20)
    after = space_of(tagger, collator, found, "fp32").measures()
    for way in ("retrieval_forward", "retrieval_backward"):
        assert after[way] > before[way]


def test_a_head_and_pooling_train(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Any], toy: Callable[..., list[Sentence]], tmp_path: Path
) -> None:
    class Asked:
        def new_tagger(self) -> Any:
            return new_tagger()

    params = ConcnerParams(head=8, pooling="cls", pooled_layer="first", tcl_first=0.5)
    method = Concner(params)
    tagger: Any = method.tagger(method.rounds()[0], Asked())  # type: ignore[arg-type]
    before = tagger.label_head[0].weight.detach().clone()
    data = TrainingSet(labelled=pairs(toy_pairs(toy, 16)))
    trained(params, data, tagger, new_collator(), tmp_path / "fit", 4)
    assert not torch.equal(before, tagger.label_head[0].weight)


def test_vectors_of_a_frozen_layer_are_refused(new_tagger: Callable[..., Any]) -> None:
    class Frozen:
        def new_tagger(self) -> Any:
            tagger = new_tagger()
            tagger.encoder.freeze = 1
            return tagger

    for params in (ConcnerParams(), ConcnerParams(pooled_layer="first", beta=0.0)):
        Concner(params).tagger(Round("main"), Frozen())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="TCL would train nothing"):
        Concner(ConcnerParams(pooled_layer="first")).tagger(Round("main"), Frozen())  # type: ignore[arg-type]


def test_without_both_terms_it_is_en_trans_bit_for_bit(tmp_path: Path, tiny_folder: Path, monkeypatch: Any) -> None:
    """By its own loss, not by sharing en_trans's training (which is what the matrix does, to train once)."""
    from bench.store.record import Records

    place = Place(tmp_path, tiny_folder)
    plain = '[[variant]]\nname = "plain"\nuse = "concner"\nalpha = 0.0\nbeta = 0.0\n'
    place.matrix(matrix_text(tiny_folder, ("en_trans", "plain"), more=plain))
    ran = place.xner("run", "small.toml", "--out", "shared")
    assert ran.code == 0, ran.err
    monkeypatch.setattr(Concner, "rounds", lambda self: super(Concner, self).rounds())
    ran = place.xner("run", "small.toml", "--out", "own", "--only", "method=plain", "--keep-models")
    assert ran.code == 0, ran.err
    found = {
        (out, r.cell["label"]): (r, Records(tmp_path / out))
        for out in ("shared", "own")
        for r in Records(tmp_path / out).all()
    }
    base, store = found["shared", "en_trans"]
    for name in (("shared", "plain"), ("own", "plain")):
        record, other = found[name]
        assert record.status == "ok"
        assert record.scores == base.scores
        for sidecar in ("predictions-last.conll.gz", "curves.json"):
            assert other.sidecar(record.key, sidecar).read_bytes() == store.sidecar(base.key, sidecar).read_bytes()
    assert found["shared", "plain"][0].parents["fit:main"] == base.parents["fit:main"]
    assert found["own", "plain"][0].parents["fit:main"] != base.parents["fit:main"]
