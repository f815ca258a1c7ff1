"""Where a translation model comes from: folders, commits of the hub, its own conversions; never pickled weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import BadInput, Unavailable
from data_recipes.translators import _models
from data_recipes.translators.nllb import NllbParams, NllbTranslator


def test_a_folder_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadInput, match=r"no config.json with \*.safetensors"):
        _models.find_model(str(tmp_path), "")


def test_no_folder_and_no_hub_id_is_a_skip(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is no folder here and no hub id"):
        NllbTranslator(NllbParams(model=str(tmp_path / "no-such"))).identity("en", "de")


def test_a_hub_model_that_is_not_cached_says_so_offline() -> None:
    with pytest.raises(BadInput, match="is not in the local hub cache and the hub cannot be reached"):
        _models.find_model("nobody/no-such-model-here", "v1")
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert _models.find_model("some/model", commit) == _models.ModelSource("some/model", commit, None)


class Discussion:
    def __init__(self, title: str, author: str, reference: str) -> None:
        self.title, self.author, self.git_reference = title, author, reference


def test_pickled_weights_on_main_are_taken_from_the_hubs_own_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    listed = [
        Discussion("Adding `safetensors` variant of this model", "somebody", "refs/pr/1"),
        Discussion("Add TF weights", "SFconvertbot", "refs/pr/2"),
        Discussion("Adding `safetensors` variant of this model", "SFconvertbot", "refs/pr/4"),
    ]
    asked: list[tuple[str, str]] = []

    class Hub:
        def list_repo_files(self, name: str, revision: str) -> list[str]:
            return ["config.json", "pytorch_model.bin"]

        def get_repo_discussions(self, name: str, **filters: Any) -> list[Discussion]:
            return listed

    def snapshot(name: str, revision: str, patterns: Sequence[str]) -> Path:
        asked.append((name, revision))
        return Path("c0ffee")

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(_models, "_offline", lambda: False)
    monkeypatch.setattr(_models, "_snapshot", snapshot)
    assert _models.find_model("fake/converted", "").version == "c0ffee"
    assert asked == [("fake/converted", "refs/pr/4")]
    del listed[2]
    with pytest.raises(BadInput, match="has no safetensors at revision 'main'"):
        _models.find_model("fake/pickled", "")
