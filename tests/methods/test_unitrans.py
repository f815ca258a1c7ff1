"""The method `unitrans`: how three teachers vote, what its student learns, and which trainings it shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.api.method import Step
from bench.core.errors import BadInput
from bench.plan import registry
from methods.unitrans.method import TEACHERS, votes
from tests.methods.test_teacher_student import TAGS, TEXT, FakeAsk, batch_of
from tests.support.e2e_tools import Place, by_name, matrix_text


def soft(*tags: int, sure: float = 0.6) -> np.ndarray:
    """Probabilities (words, tags) whose best tags are these."""
    rest = (1 - sure) / (len(TAGS) - 1)
    return (np.full((len(tags), len(TAGS)), rest) + (sure - rest) * np.eye(len(TAGS))[list(tags)]).astype(np.float32)


def test_votes() -> None:
    every = [soft(0, 1, 1, 2), soft(0, 1, 2, 3), soft(0, 1, 1, 4)]
    assert votes(every, "unanimous").tolist() == [0, 1, -100, -100]
    assert votes(every, "majority").tolist() == [0, 1, 1, -100]
    assert votes(every, "majority").dtype == np.int64


@settings(max_examples=60)
@given(st.lists(st.tuples(*[st.integers(0, len(TAGS) - 1)] * 3), min_size=1, max_size=8), st.permutations(range(3)))
def test_votes_know_no_order_and_a_unanimous_one_is_a_majority(words: list[tuple[int, ...]], order: list[int]) -> None:
    every = [soft(*tags) for tags in zip(*words, strict=True)]
    both: Any = {rule: votes(every, rule) for rule in ("unanimous", "majority")}  # type: ignore[arg-type]
    for rule, found in both.items():
        assert (votes([every[i] for i in order], rule) == found).all()
    agreed = both["unanimous"] != -100
    assert (both["majority"][agreed] == both["unanimous"][agreed]).all()
    for tags, hard in zip(words, both["majority"], strict=True):
        assert hard == next((tag for tag in tags if tags.count(tag) >= 2), -100)


def student(**params: Any) -> tuple[Any, FakeAsk, list[Any]]:
    """The student's training set, from teachers of which the second disagrees on the first word of each sentence."""
    taught = {
        name: [soft(*[int(i == 1), 1, 2][: len(s.words)], sure=0.6 + 0.1 * i) for s in TEXT]
        for i, name in enumerate(TEACHERS)
    }
    method, ask = registry.make("method", "unitrans", params), FakeAsk(**taught)
    last = method.rounds()[-1]
    assert last.teachers == TEACHERS and last.start == "fresh"
    data = method.prepare(last, ask)
    assert set(data.streams()) == {"unlabelled"}
    return method, ask, [example for (example,) in data.unlabelled]


def test_the_student_learns_the_tuned_teachers_probabilities_and_agreed_tags() -> None:
    _, ask, examples = student()
    assert [e.sentence for e in examples] == TEXT
    assert examples[2].hard.tolist() == [-100, 1, 2] and np.allclose(examples[2].soft, soft(0, 1, 2, sure=0.8))
    assert ask.notes == {"words with a voted label": pytest.approx(6 / 12)}


def test_a_majority_and_the_mean() -> None:
    _, ask, examples = student(vote="majority", soft="mean")
    assert examples[2].hard.tolist() == [0, 1, 2] and ask.notes == {"words with a voted label": 1.0}
    wanted = (soft(0, 1, 2) + soft(1, 1, 2, sure=0.7) + soft(0, 1, 2, sure=0.8)) / 3
    assert np.allclose(examples[2].soft, wanted) and examples[2].soft.dtype == np.float32


def test_the_loss_by_hand() -> None:
    """Float64: the mean squared error over all words, the cross-entropy over those with a vote."""
    logits = torch.tensor([[[0.0, 1.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0, 0.0]]], dtype=torch.float32)
    target = torch.tensor(np.stack([soft(1, 1)]))
    batch = batch_of(logits, target, torch.tensor([[-100, 1]]))
    method = registry.make("method", "unitrans", {"hard_weight": 0.5})
    terms = {term.name: term for term in method.loss(None, Step(None, None, batch, 0, 1))}
    p = np.exp(logits[0].numpy().astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    assert float(terms["soft"].value) == pytest.approx(((p - soft(1, 1)) ** 2).mean(), abs=1e-6)
    assert float(terms["hard"].value) == pytest.approx(-np.log(p[1, 1]), abs=1e-6)
    assert (terms["soft"].weight, terms["hard"].weight) == (1.0, 0.5)
    alone = registry.make("method", "unitrans", {"hard_weight": 0.0})
    assert [t.name for t in alone.loss(None, Step(None, None, batch, 0, 1))] == ["soft"]
    assert "voted" not in alone.factors().loss_terms
    with pytest.raises(BadInput, match="hard_weight: must not be below 0"):
        registry.make("method", "unitrans", {"hard_weight": -1.0})


def test_a_matrix_shares_the_trainings_that_are_other_methods(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    more = '[[variant]]\nname = "voted"\nuse = "unitrans"\nvote = "majority"\nsoft = "mean"\n'
    text = matrix_text(tiny_folder, ("zero_shot", "trans_only", "unitrans", "voted"), more=more)
    ran = place.xner("run", place.matrix(text), "--out", place.out)
    assert ran.code == 0, ran.err
    found = {label: record for (label, _, _), record in by_name(place.out).items()}
    fits = {label: record["parents"] for label, record in found.items()}
    for label in ("unitrans", "voted"):
        assert fits[label]["fit:source"] == fits["zero_shot"]["fit:main"]
        assert fits[label]["fit:translated"] == fits["trans_only"]["fit:main"]
        assert fits[label]["fit:tuned"] == fits["unitrans"]["fit:tuned"], "what the student does plays no part"
        assert 0 < found[label]["diagnostics"]["words with a voted label"] <= 1
        assert found[label]["cost"]["steps"] == 4 * 4
    assert len({fits["unitrans"][f"fit:{name}"] for name in (*TEACHERS, "student")}) == 4
    assert fits["voted"]["fit:student"] != fits["unitrans"]["fit:student"]
    assert found["trans_only"]["resources"]["translated"] == 24
    assert found["trans_only"]["factors"]["data"] == "translations"
