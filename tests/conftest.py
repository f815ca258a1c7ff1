"""A transformers encoder so small that a training takes a second, and toy sentences that it can learn."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from bench.core.sentences import Sentence, Span, tag_set

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach the network
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # the workers have a core each: more threads would wait for each other
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy one too
settings.load_profile("any machine")

# files whose tests train, start processes, draw figures or read whole corpora: `pytest -m "not slow"` leaves them out
SLOW = (
    "cli/test_predict.py",
    "cli/test_wheel.py",
    "data/test_demo_corpus.py",
    "data/test_dictionary.py",
    "data/test_e2e_align.py",
    "data/test_e2e_corpora.py",
    "data/test_e2e_translate.py",
    "data/test_e5_small.py",
    "data/test_embed.py",
    "data/test_filters.py",
    "data/test_label_transfer.py",
    "data/test_machine_translation.py",
    "data/test_seq2seq.py",
    "data/test_simalign.py",
    "data/test_uner_pud.py",
    "docs/test_figures.py",
    "docs/test_sessions.py",
    "encoder_check",
    "measure/test_quality.py",
    "measure/test_score.py",
    "methods",
    "plan/test_broken_plugins.py",
    "plan/test_digests.py",
    "plan/test_label_axes.py",
    "plan/test_modes.py",
    "plan/test_new_method.py",
    "plan/test_stages.py",
    "report/test_committed.py",
    "report/test_confusion_figure.py",
    "report/test_html_browser.py",
    "report/test_latex.py",
    "report/test_plots.py",
    "report/test_verify.py",
    "run",
    "studies",
    "train/test_diagnostics.py",
    "train/test_fit.py",
    "train/test_lifetime.py",
    "train/test_memory.py",
    "train/test_resume.py",
)


def is_slow(path: Path) -> bool:
    return path.relative_to(Path(__file__).parent).as_posix().startswith(SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The short run does not even import the slow files."""
    return True if config.option.markexpr == "not slow" and is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_slow(Path(item.fspath)):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: "slow" not in item.keywords)  # so that no worker begins a long file at the very end


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NAMES = {"PER": ("Anna", "Bob", "Carl", "Dora"), "LOC": ("Rome", "Oslo", "Paris", "Bonn")}
TEMPLATES = (
    "{PER} went in {LOC} .",
    "the big man met {PER} at {LOC} today .",
    "{PER} {PER2} works in {LOC} now .",
    "a dog was here .",
    "in {LOC} {PER} saw the old dog and the new man of {LOC2} .",
)
FILLERS = sorted({word for line in TEMPLATES for word in line.split() if word.isalpha() and len(word) > 1})
LETTERS = [chr(c) for c in (*range(ord("a"), ord("z") + 1), *range(ord("0"), ord("9") + 1))]
CAPITALS = [chr(c) for c in range(ord("A"), ord("Z") + 1)]
VOCABULARY = [
    *SPECIAL,
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *CAPITALS,
    *".,!?-",
    *FILLERS,
    *(name for names in NAMES.values() for name in names),
]


def toy_sentences(count: int, seed: int = 0, language: str = "en") -> list[Sentence]:
    """Sentences whose names are in the vocabulary; two names of one type that follow each other are one entity."""
    draw = random.Random(f"{seed} {language}")
    found = []
    for number in range(count):
        words: list[str] = []
        spans: list[Span] = []
        for part in draw.choice(TEMPLATES).split():
            type_ = part.strip("{}2")
            if part == "{PER2}":
                spans[-1] = spans[-1]._replace(end=spans[-1].end + 1)
            elif part.startswith("{"):
                spans.append(Span(len(words), len(words) + 1, type_))
            words.append(draw.choice(NAMES[type_]) if part.startswith("{") else part)
        found.append(Sentence(f"toy-{seed}-{language}-{number}", language, tuple(words), tuple(spans)))
    return found


@pytest.fixture(scope="session")
def unpacked_suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for XNER_CACHE that all workers share: a committed suite is unpacked once in a run of the tests."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "suites"


@pytest.fixture(scope="session")
def tags() -> tuple[str, ...]:
    return tag_set(("PER", "LOC"))


@pytest.fixture(scope="session")
def toy() -> Callable[..., list[Sentence]]:
    """`toy(count, seed=0, language="en")`: labelled sentences."""
    return toy_sentences


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 2 layers × 32 with a WordPiece tokenizer, as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("encoders") / "tiny-for-tests"
    write_tiny(folder)
    return folder


def write_tiny(folder: Path) -> None:
    """What `tiny_folder` holds."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    from data_recipes.encoders.tiny.encoder import fast_tokenizer

    logging.disable_progress_bar()
    vocabulary = {piece: number for number, piece in enumerate(VOCABULARY)}
    assert len(vocabulary) == len(VOCABULARY)
    backend = Tokenizer(models.WordPiece())
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer = fast_tokenizer(backend, vocabulary, longest_word=1000, length=128)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(
            BertConfig(
                vocab_size=len(VOCABULARY),
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=128,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def tokenizer(tiny_folder: Path) -> Any:
    from bench.data.loading import load_encoder

    return load_encoder(str(tiny_folder)).tokenizer


@pytest.fixture(scope="session")
def new_tagger(tiny_folder: Path, tags: Sequence[str]) -> Callable[..., Any]:
    """`new_tagger(seed=0, dropout=0.1, decoding="greedy", kind=LinearTagger)`: a fresh tagger over the tiny encoder.

    All rows of its word embeddings learn. Dropout 0 turns the encoder's own off, too.
    """
    import copy

    import numpy as np
    import torch

    from bench.data.loading import load_encoder
    from bench.train.encoder import Encoder, row_tables, use_rows
    from bench.train.tagger import LinearTagger

    encoder = load_encoder(str(tiny_folder)).model
    use_rows(encoder)
    for _, table in row_tables(encoder):
        table.learn(np.arange(len(table.held)))

    def make(
        seed: int = 0, dropout: float = 0.1, decoding: str = "greedy", kind: type[LinearTagger] = LinearTagger
    ) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tagger = kind(Encoder(copy.deepcopy(encoder)), tags, dropout, decoding)
        for module in tagger.modules():
            if isinstance(module, torch.nn.Dropout) and not dropout:
                module.p = 0.0
        return tagger

    return make


@pytest.fixture(scope="session")
def small_encoder() -> Callable[..., Any]:
    """`small_encoder("bert", vocab_size=60)`: two random layers of that family, in evaluation mode."""
    import torch
    from transformers import AutoConfig, AutoModel

    def make(kind: str, vocab_size: int = 60, **more: Any) -> Any:
        size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
        config = AutoConfig.for_model(kind, vocab_size=vocab_size, pad_token_id=0, **size, **more)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return AutoModel.from_config(config).eval()

    return make


@pytest.fixture(scope="session")
def new_collator(tokenizer: Any, tags: Sequence[str]) -> Callable[..., Any]:
    """`new_collator(max_length=64)`: a collator of the tiny encoder on the CPU."""
    import torch

    from bench.train.batches import Collator

    return lambda max_length=64: Collator(tokenizer, tags, max_length, torch.device("cpu"))


@pytest.fixture(autouse=True)
def one_thread(request: pytest.FixtureRequest) -> None:
    """So small a model is slower on two, and far slower where others use the cores."""
    if "new_tagger" in request.fixturenames:
        import torch

        torch.set_num_threads(1)
