"""Kept taggers: the model card, `xner push` to a hub on this machine; `xner log`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.e2e_tools import Place, by_name, matrix_text
from tests.support.hub import GOOD, Hub, serving


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Place:
    """Two languages and seeds of zero_shot and en_trans; taggers are kept."""
    made = Place(tmp_path_factory.mktemp("share"), tiny_folder)
    matrix = made.matrix(matrix_text(tiny_folder, ("zero_shot", "en_trans"), ("de", "zh"), (1, 2, 3)))
    ran = made.xner("run", matrix, "--out", made.out, "--keep-models")
    assert ran.code == 0, ran.err
    return made


@pytest.fixture
def hub(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    with serving(Hub()) as made:
        monkeypatch.setattr(constants, "ENDPOINT", made.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(Place, "environment", lambda self: {"HF_TOKEN": GOOD, "HF_HUB_OFFLINE": "0"})
        yield made


def card(place: Place, label: str, target: str) -> str:
    record = by_name(place.out)[label, target, 1]
    return (place.out / record["ran"]["tagger"] / "README.md").read_text(encoding="utf-8")


def test_a_card_says_what_the_tagger_is(place: Place) -> None:
    record = by_name(place.out)["zero_shot", "de", 1]
    shared, own = card(place, "zero_shot", "de"), card(place, "en_trans", "de")
    f1 = f"{100 * record['scores']['source-dev']['f1']:.1f}"
    assert f"| de | {f1} |" in shared and "| zh | " in shared and " to " in shared and "(3 seeds)" in shared
    assert "| zh | " not in own, "another training, another tagger"
    for part in ("Synthetic", "Licence of the corpus", record["key"], "Matrix: small", "encoder", record["code"]):
        assert part in shared, part
    assert shared.startswith("---\nlibrary_name: transformers\n") and 'language: ["de", "zh"]' in shared


def test_a_card_is_one_that_the_hub_can_read(place: Place) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard(card(place, "en_trans", "zh")).data
    assert (data.language, data.pipeline_tag, data.license) == (["zh"], "token-classification", "other")


def test_a_tagger_is_pushed_with_its_card(place: Place, hub: Hub, tmp_path: Path) -> None:
    from bench.train.tagger import Predictor
    from tests.support.e2e_tools import demo_sentences

    ran = place.xner("push", place.out, "zero_shot/de/1", "me/tagger")
    assert ran.code == 0 and f"{hub.url}/me/tagger/commit/1" in ran.out, ran.err
    asked = hub.made["me/tagger"]  # clients have said so in two ways
    assert asked.get("visibility") == "private" or asked.get("private") is True
    for name, data in hub.sent["me/tagger"].items():
        (tmp_path / name).write_bytes(data)
    assert "# zero_shot, de, seed 1" in (tmp_path / "README.md").read_text(encoding="utf-8")
    test = demo_sentences("de", "test", 4)
    kept = place.out / by_name(place.out)["zero_shot", "de", 1]["ran"]["tagger"]
    assert Predictor(tmp_path).tagged(test) == Predictor(kept).tagged(test)


def test_what_cannot_be_pushed_is_told_in_one_line(place: Place, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for cell, message in (("zero_shot/fi/1", "no cell"), ("zero_shot/de/9", "no cell")):
        ran = place.xner("push", place.out, cell, "me/tagger")
        assert ran.code == 2 and message in ran.err and ran.err.count("\n") == 1
    ran = place.xner("push", place.out, "zero_shot/de/1", "not a name")
    assert ran.code == 2 and "expected OWNER/NAME" in ran.err and ran.err.count("\n") == 1
    monkeypatch.setattr(Place, "environment", lambda self: {"HF_TOKEN": "hf_bad", "HF_HUB_OFFLINE": "0"})
    ran = place.xner("push", place.out, "zero_shot/de/1", "me/tagger")
    assert ran.code == 2 and "refuses the token" in ran.err and "hf_bad" not in ran.err
    assert not hub.sent


def test_nothing_is_sent_offline(place: Place) -> None:
    ran = place.xner("push", place.out, "zero_shot/de/1", "me/tagger")
    assert ran.code == 2 and "nothing is sent" in ran.err


class Client:
    """Stands in for wandb: notes what it is told."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []

    def init(self, **told: Any) -> Any:
        self.runs.append(told | {"logged": []})
        logged = self.runs[-1]["logged"]
        return SimpleNamespace(log=lambda values, step: logged.append((step, values)), finish=lambda: None)


def test_wandb_gets_the_records_names_and_stays_here(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    monkeypatch.setitem(sys.modules, "wandb", client)  # type: ignore[arg-type]
    assert place.xner("log", place.out, "--to", "wandb").code == 0
    assert len(client.runs) == 12 and {run["mode"] for run in client.runs} == {"offline"}
    names = {run["name"] for run in client.runs}
    assert "zero_shot/de/seed 1" in names and {run["project"] for run in client.runs} == {"small"}
    steps = [step for step, _ in client.runs[0]["logged"]]
    assert steps == sorted(set(steps)) == [1, 2, 3, 4]
    last = dict(client.runs[0]["logged"])[4]
    assert {"loss/ce", "dev_f1/source-dev", "test_f1/last"} <= last.keys()
    place.xner("log", place.out, "--to", "wandb", "--online")
    assert client.runs[-1]["mode"] == "online"
    assert place.xner("log", place.out, "--online").code == 2


def test_a_logger_that_is_not_here_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboard", "wandb"):
        monkeypatch.setitem(sys.modules, "wandb", None)
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
        ran = place.xner("log", place.out, "--to", name)
        assert ran.code == 2 and f"pip install 'xner-bench[{name}]'" in ran.err


def test_tensorboard_reads_what_is_written(place: Place) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert place.xner("log", place.out).code == 0
    (folder,) = (place.out / "logs").glob("en_trans-zh-seed 2-*")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/ce")] == [1, 2, 3, 4]
