"""Encoders of transformers as a tagger has them: loading, families, layers that are left out or frozen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.api.method import Example, Method, TrainingSet, singles
from bench.core.errors import BadInput
from bench.core.memo import Memo
from bench.core.sentences import Sentence, Span, tag_set
from bench.core.subwords import pieces_of
from bench.data.embed import EncoderEmbedder
from bench.data.encoders import find_encoder
from bench.data.loading import PLAIN, fast_tokenizer, load_encoder, stored_matrix
from bench.plan.sections import EncoderSpec, TrainSpec
from bench.store.artefacts import Artefacts
from bench.train import encoder as encoder_module
from bench.train import history
from bench.train.batches import Collator
from bench.train.encoder import Encoder, cover, fresh_encoder, optimiser_of, row_tables, use_rows, word_embeddings
from bench.train.fit import FitPlan, fit
from bench.train.history import Keeper
from bench.train.predict import predict
from bench.train.tagger import LinearTagger, save_tagger
from bench.train.training import _sizes

CPU = torch.device("cpu")
TAGS = tag_set(("PER", "LOC"))  # O B-PER I-PER B-LOC I-LOC
SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
POSITIONS = {"max_position_embeddings": 64}
FAMILIES: dict[str, dict[str, Any]] = {
    "albert": {**SIZE, **POSITIONS, "embedding_size": 16},
    "bert": {**SIZE, **POSITIONS},
    "camembert": {**SIZE, **POSITIONS},
    "deberta-v2": {**SIZE, **POSITIONS},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, **POSITIONS},
    "electra": {**SIZE, **POSITIONS, "embedding_size": 16},
    "ernie": {**SIZE, **POSITIONS},
    "eurobert": {**SIZE, **POSITIONS, "num_key_value_heads": 2},
    "modernbert": {**SIZE, **POSITIONS, "global_attn_every_n_layers": 2, "local_attention": 8},
    "mpnet": {**SIZE, **POSITIONS},
    "rembert": {**SIZE, **POSITIONS, "input_embedding_size": 16, "output_embedding_size": 16},
    "roberta": {**SIZE, **POSITIONS},
    "t5": {"d_model": 32, "num_layers": 2, "num_heads": 2, "d_kv": 16, "d_ff": 64},
    "xlm-roberta": {**SIZE, **POSITIONS},
    "xlm-roberta-xl": {**SIZE, **POSITIONS},
    "xmod": {**SIZE, **POSITIONS, "languages": ("en_XX",), "default_language": "en_XX"},
}
FROM_PADDING = {"camembert": 63, "mpnet": 62, "roberta": 63, "xlm-roberta": 63, "xlm-roberta-xl": 63, "xmod": 63}
WITHOUT_POSITIONS = {"t5": 128}  # as many as the tokenizer says


def sentence(*words: str, spans: tuple[Span, ...] | None = None) -> Sentence:
    return Sentence("s", "en", words, spans)


def write_encoder(folder: Path, kind: str, size: int, tiny_folder: Path) -> Path:
    """Random weights of a family, in half precision, with the tokenizer of another folder."""
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

    ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    config = AutoConfig.for_model(kind, vocab_size=size, **ids, **FAMILIES[kind])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = (AutoModelForTextEncoding if kind == "t5" else AutoModel).from_config(config)
    model.half().save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_folder / name, folder / name)
    return folder


USUAL = ("bert", "deberta-v2", "modernbert", "xlm-roberta")


@pytest.fixture(
    params=[pytest.param(name, marks=[] if name in USUAL else pytest.mark.slow) for name in sorted(FAMILIES)]
)
def family(request: pytest.FixtureRequest, tiny_folder: Path, tokenizer: Any, tmp_path: Path) -> tuple[str, Path]:
    return request.param, write_encoder(tmp_path / request.param, request.param, len(tokenizer), tiny_folder)


def test_every_family_trains_resumes_is_saved_and_aligns(
    family: tuple[str, Path], toy: Callable[..., list[Sentence]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForTokenClassification

    kind, folder = family
    torch.set_num_threads(1)
    monkeypatch.setattr(history, "WORTH", 0.0)
    loaded = load_encoder(str(folder))
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert loaded.longest == {**FROM_PADDING, **WITHOUT_POSITIONS}.get(kind, 64)
    data = TrainingSet(labelled=singles(toy(24)))
    plan = FitPlan(Method(), TrainSpec(steps=4, batch=8, evals=2), EncoderSpec(lr=5e-3, head_lr=2e-2), 1, toy(8, 5))

    def train(stop: int, keeper: Keeper) -> tuple[LinearTagger, Collator, dict[str, bytes]]:
        fresh = fresh_encoder(str(folder), str(folder))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            tagger = LinearTagger(Encoder(fresh.model), TAGS, 0.1)
        collator, out = Collator(fresh.tokenizer, TAGS, fresh.longest, CPU), tmp_path / f"fit{stop}{keeper.first}"
        out.mkdir()

        def tick(step: int) -> None:
            if step == stop:
                raise KeyboardInterrupt

        fit(plan, data, tagger, collator, out, tick, keeper)
        return tagger, collator, {path.name: path.read_bytes() for path in out.iterdir()}

    with pytest.raises(KeyboardInterrupt):
        train(3, Keeper(Artefacts(tmp_path / "models"), of=kind))
    tagger, collator, undisturbed = train(0, Keeper())
    resumed = Keeper(Artefacts(tmp_path / "models"), of=kind)
    assert train(5, resumed)[2] == undisturbed and resumed.first == 2
    long = sentence(*["dog"] * 150)
    found = predict(tagger, collator, [long, *toy(3, 8)])
    assert [len(p) for p in found.probabilities] == [150, *(len(s.words) for s in toy(3, 8))]
    if kind == "modernbert":  # its classifier has a layer more
        with pytest.raises(BadInput, match="modernbert is not dropout and a linear layer"):
            save_tagger(tagger, loaded.tokenizer, tmp_path / "saved", 64)
    else:
        save_tagger(tagger, loaded.tokenizer, tmp_path / "saved", 64)
        model = AutoModelForTokenClassification.from_pretrained(tmp_path / "saved").eval()
        examples = [Example(s) for s in toy(1, 8)]
        inputs = collator(examples, collator.pieces(examples), [0])
        with torch.no_grad():
            theirs = model(input_ids=inputs.ids, attention_mask=inputs.mask).logits.flatten(0, 1)[inputs.words[0]]
            assert torch.allclose(theirs, tagger.eval().read(inputs).logits[0], atol=1e-5)
    embedder = EncoderEmbedder(str(folder))
    (vectors,) = embedder.embed([("Anna", "went")], 1)
    assert vectors.vectors.shape[1] == 32 and set(vectors.words.tolist()) == {0, 1}


# --- what cannot work -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "recipe", "message"),
    [
        ({"model_type": "bart", "is_encoder_decoder": True}, {}, "bart is an encoder-decoder"),
        ({"model_type": "xmod", "num_hidden_layers": 2}, {}, "an X-MOD needs default_language"),
        ({"model_type": "albert", "num_hidden_layers": 2}, {"freeze": 1}, "layers of an ALBERT share their weights"),
        ({"model_type": "bert", "num_hidden_layers": 12}, {"layers": 13}, "layers = 13, but it has 12"),
        ({"model_type": "distilbert", "n_layers": 6}, {"freeze": 6}, "freeze = 6, but it has 6 layers"),
        (
            {"model_type": "bert", "num_hidden_layers": 12},
            {"layers": 4, "freeze": 4},
            "freeze = 4, but it has 4 layers",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_its_config(
    config: dict[str, Any], recipe: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match=message) as caught:
        find_encoder(str(tmp_path), EncoderSpec(**recipe))
    assert "\n" not in str(caught.value)


# --- loading ----------------------------------------------------------------------------------------------------------


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
    memo, loads = Memo(10**6), list[str]()
    monkeypatch.setattr(encoder_module, "process_memo", lambda: memo)

    def noting(where: str, layers: int | None = None) -> Any:
        loads.append(where)
        return load_encoder(where, layers)

    monkeypatch.setattr(encoder_module, "load_encoder", noting)
    first = fresh_encoder("a", str(tiny_folder)).model
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    second, plain = fresh_encoder("a", str(tiny_folder)).model, load_encoder(str(tiny_folder)).model
    ((_, table),) = row_tables(second)
    assert torch.equal(table.whole(), plain.get_input_embeddings().weight)
    state = second.state_dict()
    for name, tensor in plain.state_dict().items():
        assert "word_embeddings" in name or torch.equal(state[name], tensor)
    assert len(loads) == 1
    fresh_encoder("b", str(tiny_folder))
    fresh_encoder("a", str(tiny_folder))
    assert len(loads) == 2, "both are kept"
    memo.most = 100
    fresh_encoder("c", str(tiny_folder))
    fresh_encoder("c", str(tiny_folder))
    assert len(loads) == 4, "one that is too large is not"


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
    assert pieces.starts.tolist()[:3] == [0, 1, 3], "a lone space says nothing: the word begins with its character"
    specials = collator.specials
    assert (specials.prefix, specials.suffix, specials.pad, specials.unknown) == ((0,), (2,), 1, 3)


def test_roberta_counts_positions_from_the_padding_on(roberta_folder: Path) -> None:
    loaded = load_encoder(str(roberta_folder))
    assert loaded.longest == 40
    tagger = LinearTagger(Encoder(loaded.model), TAGS, 0.1)
    collator = Collator(loaded.tokenizer, TAGS, loaded.longest, CPU)
    inputs = collator(examples := [Example(sentence(*["dog"] * 200))], collator.pieces(examples), [0])
    assert inputs.ids.shape[1] == 40, "windows use every position there is"
    found = predict(tagger, collator, [sentence(*["dog"] * 200), sentence("a", "dog")])
    assert [p.shape for p in found.probabilities] == [(200, 5), (2, 5)]
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        loaded.model(input_ids=torch.zeros(1, 41, dtype=torch.int64))


def test_word_embeddings_are_read_from_the_file_as_it_stores_them(
    tiny_folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    folder = write_encoder(tmp_path / "bert", "bert", len(tokenizer), tiny_folder)
    loaded = load_encoder(str(folder)).model.get_input_embeddings().weight
    ((name, table),) = row_tables(fresh_encoder(str(folder), str(folder)).model)
    assert table.pretrained.weight.dtype == torch.float16, "as stored: mapped, not copied"
    assert torch.equal(table.whole(), loaded) and table.whole().dtype == torch.float32
    other = loaded.detach() + 1
    assert stored_matrix(str(folder), f"{name}.weight", other) is other, "another file: other numbers"


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_word_embeddings_do_not_decay(kind: str, tiny_folder: Path, tokenizer: Any, tmp_path: Path) -> None:
    """Whether they are held by the row or, as T5's, whole."""
    folder = write_encoder(tmp_path / kind, kind, len(tokenizer), tiny_folder)
    tagger = LinearTagger(Encoder(fresh_encoder(str(folder), str(folder)).model), TAGS, 0.1)
    words, groups = word_embeddings(tagger), optimiser_of(tagger, EncoderSpec()).param_groups
    assert [g["weight_decay"] for g in groups if any(p is words for p in g["params"])] == [0.0]
    others = sum(p.numel() for p in tagger.parameters() if p is not words)
    assert _sizes(tagger)["parameters_in_use"] == others


@pytest.mark.parametrize("mark", ["Ġ", "▁"])
def test_words_are_marked_though_the_tokenizer_as_stored_marks_none(mark: str, tmp_path: Path) -> None:
    """Byte-level BPE without a space in front, as ModernBERT has it; a space that becomes ▁, as Gemma has it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [*sorted(pre_tokenizers.ByteLevel.alphabet())] if mark == "Ġ" else [*"▁adgo"]
    merges = [(mark, "d"), (mark + "d", "o"), (mark + "do", "g"), ("d", "o"), ("do", "g")]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(a + b for a, b in merges)]
    backend = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, merges, unk_token="<unk>"))
    if mark == "Ġ":
        backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    else:
        backend.normalizer = normalizers.Replace(" ", mark)
        backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        backend.decoder = decoders.Replace(mark, " ")
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>").save_pretrained(tmp_path)
    found = fast_tokenizer("it", tmp_path)
    (read,) = pieces_of(found, [sentence("dog", "dog", "ad")])
    assert found.convert_ids_to_tokens(read.ids.tolist()) == [mark + "dog", mark + "dog", mark, "a", "d"]
    assert read.starts.tolist() == [0, 1, 3]
    found.save_pretrained(tmp_path / "kept")
    (again,) = pieces_of(fast_tokenizer("it", tmp_path / "kept"), [sentence("dog", "dog", "ad")])
    assert again.ids.tolist() == read.ids.tolist(), "as a kept tagger reads them"


# --- layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "distilbert", "t5"])
def test_the_lowest_layers_alone_are_those_of_the_whole(
    kind: str, tiny_folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    folder = write_encoder(tmp_path / kind, kind, len(tokenizer), tiny_folder)
    whole, lowest = (load_encoder(str(folder), layers=n).model.eval() for n in (None, 1))
    assert lowest.config.num_hidden_layers == 1
    assert sum(p.numel() for p in lowest.parameters()) < sum(p.numel() for p in whole.parameters())
    ids = torch.tensor([[2, 7, 9, 3]])
    states = whole(input_ids=ids, output_hidden_states=True).hidden_states[1]
    found = lowest(input_ids=ids, output_hidden_states=True).hidden_states
    if kind != "t5":  # whose last norm comes after the last layer
        assert torch.allclose(found[1], states, atol=1e-6)
    with pytest.raises(BadInput, match="layers = 3, but it has 2"):
        load_encoder(str(folder), layers=3)


def of_tiny(new_tagger: Callable[..., Any], freeze: int, memo: Memo | None = None, whole: bool = False) -> LinearTagger:
    """The tagger without dropout, its lowest layers frozen."""
    made = new_tagger(dropout=0.0)
    tagger = LinearTagger(Encoder(made.encoder.model, freeze, "tiny", memo, whole), TAGS, 0.0)
    tagger.classifier.load_state_dict(made.classifier.state_dict())
    return tagger


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("whole", [False, True])
def test_frozen_layers_keep_their_weights_and_the_rest_is_trained(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Collator], tmp_path: Path, layers: int, whole: bool
) -> None:
    tagger = of_tiny(new_tagger, layers, Memo(), whole)
    before = {name: value.clone() for name, value in tagger.state_dict().items()}
    data = TrainingSet(labelled=singles([sentence("Ada", "sang", spans=(Span(0, 1, "PER"),))]))
    plan = FitPlan(Method(), TrainSpec(steps=2, batch=2, evals=1), EncoderSpec(lr=1e-2), 1, ())
    fit(plan, data, tagger, new_collator(), tmp_path)
    changed = {name for name, value in tagger.state_dict().items() if not torch.equal(value, before[name])}
    assert "classifier.weight" in changed
    for layer in range(2):
        assert any(f"layer.{layer}." in name for name in changed) == (layer >= layers)
    assert any("embeddings" in name for name in changed) == (not layers)


@pytest.mark.parametrize("kind", sorted(set(FAMILIES) - {"albert"}))
def test_frozen_layers_change_nothing_but_what_learns(
    kind: str, tiny_folder: Path, tokenizer: Any, new_collator: Callable[..., Collator], tmp_path: Path
) -> None:
    """Logits and gradients equal those of the whole encoder in one call, over windows of several lengths."""
    loaded = load_encoder(str(write_encoder(tmp_path / kind, kind, len(tokenizer), tiny_folder)))
    use_rows(loaded.model)
    collator, results = new_collator(16), []
    sentences = [sentence(*words.split()) for words in ("Ada sang", "Bo " * 30, "a b c d", "Ada sang")]
    examples = [Example(s) for s in sentences]
    inputs = collator(examples, collator.pieces(examples), range(4))
    assert len(inputs.ids) > 4, "windows"
    memo = Memo()
    for whole in (False, True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            tagger = LinearTagger(Encoder(loaded.model, 1, kind, memo, whole), TAGS, 0.0).eval()
        cover(tagger, inputs.ids.unique().numpy())
        tagger.zero_grad()
        batch = tagger.read(inputs)
        (batch.logits.square().sum() + batch.vectors.square().sum()).backward()
        grads = {n: p.grad.clone() for n, p in tagger.named_parameters() if p.grad is not None}
        results.append((batch.logits.detach(), grads))
    (ours, of_ours), (theirs, of_theirs) = results
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert of_ours.keys() == of_theirs.keys()
    for name, grad in of_ours.items():
        assert torch.allclose(grad, of_theirs[name], atol=1e-4, rtol=1e-3), name
    assert bool(memo.bytes) == (kind in PLAIN), "equal windows are computed once"


def test_states_of_frozen_layers_are_looked_up_and_have_the_bits_of_a_window_alone(
    new_tagger: Callable[..., Any], new_collator: Callable[..., Collator]
) -> None:
    collator, memo = new_collator(16), Memo()
    tagger = of_tiny(new_tagger, 1, memo).eval()
    examples = [Example(sentence(*words.split())) for words in ("Ada sang", "Bo " * 30, "a b c d", "Ada sang")]
    inputs = collator(examples, collator.pieces(examples), range(4))
    first = tagger.read(inputs).logits
    kept = memo.bytes
    assert kept == 4 * 32 * int(sum(len(row) for row in {tuple(row[row != 0].tolist()) for row in inputs.ids}))
    assert torch.equal(tagger.read(inputs).logits, first) and memo.bytes == kept
    states = tagger.encoder._frozen_states(inputs.ids, inputs.mask)
    for row, length in enumerate(inputs.mask.sum(1).tolist()):
        alone = (
            of_tiny(new_tagger, 1)
            .encoder.eval()
            ._frozen_states(inputs.ids[row : row + 1, :length], inputs.mask[row : row + 1, :length])
        )
        assert torch.equal(states[row, :length], alone[0])
        assert not states[row, length:].any()


def test_frozen_layers_are_never_in_training_mode(new_tagger: Callable[..., Any]) -> None:
    encoder = of_tiny(new_tagger, 1).train().encoder
    layers = encoder.model.encoder.layer
    assert not any(module.training for part in (encoder.model.embeddings, layers[0]) for module in part.modules())
    assert all(module.training for module in layers[1].modules())


def test_the_last_layer_cannot_be_frozen(new_tagger: Callable[..., Any]) -> None:
    with pytest.raises(BadInput, match="freeze = 2, but the encoder has 2 layers"):
        of_tiny(new_tagger, 2)


def test_the_head_has_its_own_rate(
    new_tagger: Callable[..., Any],
    new_collator: Callable[..., Collator],
    toy: Callable[..., list[Sentence]],
    tmp_path: Path,
) -> None:
    data, moved = TrainingSet(labelled=singles(toy(8))), []
    for recipe in (EncoderSpec(lr=1e-3, head_lr=1e-9), EncoderSpec(lr=1e-9, head_lr=1e-3)):
        tagger = new_tagger(1)
        before = {name: p.detach().clone() for name, p in tagger.named_parameters()}
        fit(
            FitPlan(Method(), TrainSpec(steps=2, batch=8, evals=1), recipe, 1, ()),
            data,
            tagger,
            new_collator(),
            tmp_path,
        )
        change = {name: float((p.detach() - before[name]).abs().max()) for name, p in tagger.named_parameters()}
        moved.append((change["classifier.weight"], max(v for n, v in change.items() if n.startswith("encoder."))))
    assert moved[0][0] < 1e-6 < 1e-4 < moved[0][1]
    assert moved[1][1] < 1e-6 < 1e-4 < moved[1][0]
