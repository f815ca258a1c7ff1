"""The encoder that the package carries: its size, that it loads, what it knows, its licence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.sentences import Sentence
from bench.core.subwords import Specials, pieces_of
from bench.data.encoders import find_encoder
from bench.data.loading import load_encoder
from bench.plan.sections import EncoderSpec
from data_recipes.encoders.mini.encoder import WEIGHTS, Mini
from data_recipes.encoders.mini.text import LANGUAGES

PARALLEL = {  # written for this test
    "en": (
        "The president of France visited a school in Berlin on Monday .",
        "My sister bought three red apples at the market .",
        "The company will close two of its factories next year .",
        "Heavy rain destroyed the old bridge over the river .",
        "The doctor told him to drink more water .",
        "Our team lost the match because the goalkeeper was ill .",
    ),
    "de": (
        "Der Präsident von Frankreich besuchte am Montag eine Schule in Berlin .",
        "Meine Schwester kaufte auf dem Markt drei rote Äpfel .",
        "Das Unternehmen wird nächstes Jahr zwei seiner Fabriken schließen .",
        "Starker Regen zerstörte die alte Brücke über den Fluss .",
        "Der Arzt sagte ihm , er solle mehr Wasser trinken .",
        "Unsere Mannschaft verlor das Spiel , weil der Torwart krank war .",
    ),
    "fi": (
        "Ranskan presidentti vieraili maanantaina koulussa Berliinissä .",
        "Siskoni osti torilta kolme punaista omenaa .",
        "Yhtiö sulkee ensi vuonna kaksi tehdastaan .",
        "Rankka sade tuhosi vanhan joen ylittävän sillan .",
        "Lääkäri käski hänen juoda enemmän vettä .",
        "Joukkueemme hävisi ottelun , koska maalivahti oli sairas .",
    ),
    "ru": (
        "Президент Франции посетил в понедельник школу в Берлине .",
        "Моя сестра купила на рынке три красных яблока .",
        "Компания закроет в следующем году две свои фабрики .",
        "Сильный дождь разрушил старый мост через реку .",
        "Врач велел ему пить больше воды .",
        "Наша команда проиграла матч , потому что вратарь был болен .",
    ),
    "zh": (
        "法国 总统 星期一 访问 了 柏林 的 一所 学校 。",
        "我 的 妹妹 在 市场 上 买 了 三个 红 苹果 。",
        "这家 公司 明年 将 关闭 两家 工厂 。",
        "大雨 冲毁 了 河上 的 旧 桥 。",
        "医生 叫 他 多 喝水 。",
        "我们 的 球队 输 了 比赛 , 因为 守门员 生病 了 。",
    ),
}


@pytest.fixture(scope="module")
def mini() -> Any:
    return load_encoder(str(WEIGHTS))


def vectors(mini: Any, sentences: tuple[str, ...]) -> torch.Tensor:
    """Unit mean vectors (sentences, hidden)."""
    batch = mini.tokenizer(list(sentences), padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = mini.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)


def test_it_is_small_and_holds_what_a_transformers_folder_holds() -> None:
    files = {path.name: path.stat().st_size for path in WEIGHTS.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= files.keys()
    assert sum(files.values()) <= 25_000_000
    assert not [name for name in files if Path(name).suffix in (".bin", ".pt", ".pkl")]


def test_the_card_and_the_licence_lie_beside_it() -> None:
    card, licence = ((WEIGHTS / name).read_text(encoding="utf-8") for name in ("MODEL_CARD.md", "LICENSE"))
    assert "CC BY-SA 4.0" in card and "creativecommons.org/licenses/by-sa/4.0" in licence
    for name in ("NTREX", "FLORES", "Wiktionary", "all-MiniLM-L6-v2"):
        assert name in licence, "attribution"


def test_it_is_found_by_name_and_knows_its_layer() -> None:
    found = find_encoder("mini", EncoderSpec())
    assert found.where == str(WEIGHTS) and found.label == "mini"
    assert found.align_layer(EncoderSpec()) == Mini.align_layer
    assert str(WEIGHTS) not in found.key


def test_it_is_a_model_in_single_precision_when_loaded(mini: Any) -> None:
    assert {p.dtype for p in mini.model.parameters()} == {torch.float32}
    assert all(torch.isfinite(p).all() for p in mini.model.parameters())
    assert mini.model.config.num_hidden_layers == Mini.align_layer
    assert mini.model.config.vocab_size == len(mini.tokenizer)


@pytest.mark.parametrize("language", [one for one in PARALLEL if one != "en"])
def test_translations_are_nearest(mini: Any, language: str) -> None:
    here, english = vectors(mini, PARALLEL[language]), vectors(mini, PARALLEL["en"])
    similar = here @ english.T
    right = (similar.argmax(1) == torch.arange(len(here))).sum() + (similar.argmax(0) == torch.arange(len(here))).sum()
    assert right >= (7 if language == "fi" else 9), f"{right} of 12; 2 by chance"


def test_words_have_few_pieces_and_hardly_any_is_unknown(mini: Any) -> None:
    unknown = Specials.of(mini.tokenizer).unknown
    for language, texts in PARALLEL.items():
        sentences = [Sentence(str(i), language, tuple(text.split())) for i, text in enumerate(texts)]
        pieces = pieces_of(mini.tokenizer, sentences)
        words = sum(len(s.words) for s in sentences)
        assert sum(int((one.ids == unknown).sum()) for one in pieces) <= 0.05 * words, language
        assert sum(len(one.ids) for one in pieces) < 3 * words, language


def test_its_languages() -> None:
    wanted = ["de", "es", "it", "pt", "fi", "hu", "bg", "ru", "sv", "da", "sr", "hr", "sk", "tr", "zh"]
    assert {*wanted} <= {*LANGUAGES}
