"""A broken plug-in is named in one line, whatever is wrong with it, and the rest of the matrix finishes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import BadInput
from bench.plan import registry
from bench.plan.registry import BrokenPlugin
from tests.support.e2e_tools import Place, Ran, by_name, finished, install_methods, matrix_text

HEAD = """
from bench.core.sentences import Span
from bench.api.method import Method, Need, Predictions, Round, Term, TrainingSet, singles

class Plugin(Method):
    name = "{name}"
"""

UNUSABLE = {  # name → the module, a part of the message: found when the matrix is planned
    "raises": ("raise RuntimeError('first line\\nsecond line')\n", "fails: RuntimeError: first line"),
    "exits": ("raise SystemExit(3)\n", "fails: SystemExit: 3"),
    "lacks": ("import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
    "garbles": ("def f(:\n", "SyntaxError"),
    "empty": ("x = 1\n", "Plugin is not a subclass of bench.api.method.Method"),
    "misnamed": (HEAD.replace("{name}", "other"), "Plugin.name is 'other', not 'misnamed'"),
    "refuses": (
        HEAD + "    def __init__(self, params=None):\n        raise OSError('no licence')\n",
        "OSError: no licence",
    ),
    "wants": (HEAD + "    needs = 'TRANSLATION'\n", "needs is 'TRANSLATION', not a frozenset of Need"),
    "misspells": (
        HEAD + "    needs = frozenset({Need.PLAIN_TRANSLATIONS})\n",
        "misspells.py:7) fails: AttributeError: Need has no 'PLAIN_TRANSLATIONS'; did you mean 'PLAIN_TRANSLATION'?",
    ),
    "rounds_up": (
        HEAD + "    def rounds(self):\n        return ['main']\n",
        "rounds() gave ['main'], not a tuple of Round",
    ),
    "defaults": (
        "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Own:\n    share: float = 2.0\n\n"
        "    def __post_init__(self):\n        if self.share > 1:\n            raise ValueError('share is above 1')\n\n"
        + HEAD.replace("\nfrom", "from", 1)
        + "    Params = Own\n",
        "defaults.py: a default is wrong: share is above 1",
    ),
    "borrows": (
        HEAD + "    def rounds(self):\n        return (Round('main', method='zero_shoot'),)\n",
        "unknown method 'zero_shoot'; did you mean 'zero_shot'",
    ),
}
UNSOUND = {  # name → the body, type of the error, a part of its message: found when its cell runs
    "leaves": ("    def prepare(self, round, ask):\n        raise SystemExit('enough')\n", "SystemExit", "enough"),
    "forgets": (
        "    def loss(self, tagger, step):\n        pass\n",
        "TypeError",
        "loss (xner_unsound_methods/forgets.py:7) returned NoneType",
    ),
    "withholds": (
        "    def prepare(self, round, ask):\n        TrainingSet(labelled=singles(ask.source()))\n",
        "TypeError",
        "Plugin.prepare (xner_unsound_methods/withholds.py:7) returned NoneType, not a TrainingSet",
    ),
    "ungrouped": (
        "    def prepare(self, round, ask):\n        return TrainingSet(labelled=ask.source())\n",
        "TypeError",
        "TrainingSet.labelled holds Sentence, not groups of Examples: singles(sentences) and pairs(pairs) make them"
        " (xner_unsound_methods/ungrouped.py:8, in prepare)",
    ),
    "strays": (
        "    def loss(self, tagger, step):\n        import torch\n"
        "        return (Term('far', torch.zeros((), device='meta')),)\n",
        "TypeError",
        "loss (xner_unsound_methods/strays.py:7): term 'far' is on meta, not a scalar tensor on cpu",
    ),
    "mixes": (
        "    def loss(self, tagger, step):\n        import torch\n        far = torch.zeros(2, device='meta')\n"
        "        return (Term('far', torch.cat([step.labelled.logits.flatten(), far]).sum()),)\n",
        "RuntimeError",
        "(xner_unsound_methods/mixes.py:10, in loss)",
    ),
    "vectors": (
        "    def loss(self, tagger, step):\n        return (Term('all', step.labelled.logits.flatten()),)\n",
        "TypeError",
        "term 'all' is of shape (",
    ),
    "divides": (
        "    def loss(self, tagger, step):\n        return self._half(step)\n"
        "    def _half(self, step):\n        return 1 / 0\n",
        "ZeroDivisionError",
        "division by zero (xner_unsound_methods/divides.py:10, in _half)",
    ),
    "says": (
        "    def applies(self, cell):\n        return 'not today'\n",
        "TypeError",
        "Plugin.applies (xner_unsound_methods/says.py:7) returned str, not a Skip",
    ),
    "sums": (
        "    def loss(self, tagger, step):\n        return super().loss(tagger, step)[0].value\n",
        "TypeError",
        "loss (xner_unsound_methods/sums.py:7) returned Tensor, not a tuple of Term",
    ),
    "lists": (
        "    def predict(self, ask, models, sentences):\n        return [() for _ in sentences]\n",
        "TypeError",
        "list, not Predictions",
    ),
    "untyped": (
        "    def tagger(self, round, ask):\n        return None\n",
        "TypeError",
        "tagger (xner_unsound_methods/untyped.py:7) returned NoneType",
    ),
}
SOUND = {  # keeps scratch files: nothing is wrong with it
    "notes": """
    def prepare(self, round, ask):
        import tempfile
        with tempfile.TemporaryFile() as file:
            file.write(b"scratch")
        open('/dev/null', 'w').close()
        return super().prepare(round, ask)
""",
}


@dataclass(frozen=True)
class Broken:
    """A matrix of one sound method and many that are not, after its run."""

    place: Place
    matrix: Path
    ran: Ran
    records: dict[str, Any]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Any:
    place = Place(tmp_path_factory.mktemp("broken") / "place", tiny_folder)
    sources = {name: source.replace("{name}", name) for name, (source, _) in UNUSABLE.items()}
    sources |= {name: HEAD.format(name=name) + body for name, (body, _, _) in UNSOUND.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place.root / "site"))
        install_methods(place.root / "site", "xner_unsound_methods", sources)
        more = '[method.raises]\ntemperature = 1\n[[variant]]\nname = "again"\nuse = "lacks"\ndistil = true\n'
        matrix = place.matrix(matrix_text(tiny_folder, (*sources, "again", "zero_shot"), more=more))
        ran = place.xner("run", matrix, "--out", place.out)
        yield Broken(place, matrix, ran, {label: record for (label, _, _), record in by_name(place.out).items()})


@pytest.mark.parametrize("name", [*UNUSABLE, "again"])
def test_what_cannot_be_used_fails_its_cells_in_one_line(broken: Broken, name: str) -> None:
    message = UNUSABLE["lacks" if name == "again" else name][1]
    error = broken.records[name]["error"]
    assert broken.records[name]["status"] == "failed" and error["type"] == "BrokenPlugin"
    assert message in error["message"] and "\n" not in error["message"]
    assert "xner_unsound_methods" in error["message"], "where it stands"
    told = [line for line in broken.ran.err.splitlines() if f"] {name} de " in line]
    assert len(told) == 1 and message in told[0]


@pytest.mark.parametrize("name", UNSOUND)
def test_what_misbehaves_is_named(broken: Broken, name: str) -> None:
    _, type_, message = UNSOUND[name]
    error = broken.records[name]["error"]
    assert broken.records[name]["status"] == "failed"
    assert error["type"] == type_ and message in error["message"], error


def test_the_rest_of_the_matrix_finishes(broken: Broken) -> None:
    assert broken.ran.code == 1 and "Traceback" not in broken.ran.err
    assert broken.records["zero_shot"]["status"] == "ok"
    failures = len(UNUSABLE) + len(UNSOUND) + 1
    assert f"{failures} cells failed" in broken.ran.err


def test_the_rest_of_the_commands_work(broken: Broken) -> None:
    listed = broken.place.xner("methods", "--json")
    assert listed.code == 1
    assert "zero_shot" in {row["name"] for row in listed.json()["methods"]}
    told = "\n".join(listed.json()["broken"])
    for name, (_, message) in UNUSABLE.items():
        assert message in told, name
    assert len(listed.json()["broken"]) == len(UNUSABLE), "one line each"
    planned = broken.place.xner("plan", broken.matrix, "--json")
    assert planned.code == 0, planned.err
    assert len(planned.json()["cells"]) == len(broken.records)
    assert broken.place.xner("status", broken.place.out).code in (0, 1)
    assert broken.place.xner("--help").code == 0


def test_a_repaired_plugin_runs(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cell gets the key that it would have had, and the failure leaves the folder's list."""
    import sys

    site = broken.place.root / "site" / "xner_unsound_methods"
    site.joinpath("lacks.py").write_text(HEAD.replace("{name}", "lacks"))
    monkeypatch.delitem(sys.modules, "xner_unsound_methods.lacks", raising=False)
    only = ("--only", "method=lacks,zero_shot")
    ran = broken.place.xner("run", broken.matrix, "--out", broken.place.out, *only)
    assert ran.code == 0, ran.err
    assert "2 cells, 1 done, 1 to run" in ran.err
    cells = broken.place.xner("plan", broken.matrix, "--out", broken.place.out, *only, "--json").json()["cells"]
    assert {cell["state"] for cell in cells} == {"ok"}
    assert broken.records["lacks"]["key"] not in {cell["key"] for cell in cells}


def test_help_loads_no_plugin(tmp_path: Path, tiny_folder: Path) -> None:
    place = Place(tmp_path, tiny_folder)
    install_methods(tmp_path / "site", "xner_loud_methods", {"loud": "raise SystemExit('loud')\n"})
    helped = finished(place.spawn("--help", PYTHONPATH=f"{Path(__file__).parents[2]}:{tmp_path / 'site'}"))
    assert helped.code == 0 and "loud" not in helped.out + helped.err


def test_a_broken_corpus_still_stops_the_matrix(tmp_path: Path, tiny_folder: Path) -> None:
    """Without it no cell could run."""
    place = Place(tmp_path, tiny_folder)
    ran = place.xner("run", place.matrix(matrix_text(tiny_folder, corpus='corpus = "nowhere"')), "--out", "out")
    assert ran.code == 2 and ran.err.count("\n") == 1


def test_the_registry_says_whose_fault_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_methods(tmp_path, "xner_faulty_methods", {"faulty": "raise ValueError('me')\n"})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BrokenPlugin, match="faulty"):
        registry.load("method", "faulty")
    with pytest.raises(BadInput, match="unknown method 'faultless'") as caught:
        registry.load("method", "faultless")
    assert not isinstance(caught.value, BrokenPlugin), "the matrix's fault"
