"""Where a translation model comes from: folders, commits of the hub; never pickled weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import BadInput, Unavailable
from data_recipes.translators._engine import ModelSource, find_model
from data_recipes.translators.nllb import NllbParams, NllbTranslator


def test_a_folder_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadInput, match=r"no config.json with \*.safetensors"):
        find_model(str(tmp_path), "")


def test_no_folder_and_no_hub_id_is_a_skip(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is neither a folder here nor a hub id"):
        NllbTranslator(NllbParams(model=str(tmp_path / "no-such"))).identity("en", "de")


def test_a_hub_model_that_is_not_cached_says_so_offline() -> None:
    with pytest.raises(BadInput, match=r"nobody/no-such-model-here: config\.json is not in the hub's cache"):
        find_model("nobody/no-such-model-here", "v1")
    commit = "0123456789abcdef0123456789abcdef01234567"
    listed = f"other/model@{commit[::-1]} some/model@{commit}"
    for revision in (commit, listed):
        assert find_model("some/model", revision) == ModelSource("some/model", commit, None)
