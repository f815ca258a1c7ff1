"""What `xner new method --kind …` writes keeps every rule of the suite; what breaks one is told which."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.cli.new import KINDS
from bench.run import conformance
from bench.run.observed import Nonconforming, Suite
from tests.support.e2e_tools import REPO, Place, install_methods

NEW = {f"new_{kind}": kind for kind in KINDS}
PAGE = (REPO / "docs" / "how-to" / "own-head.md").read_text(encoding="utf-8")
CRF = PAGE.partition("```python\n")[2].partition("```")[0]
CARELESS = """\"\"\"zero_shot with a random sentence left out.\"\"\"

import random
from pathlib import Path

from bench.api.method import Method, Need, TrainingSet, singles


class Plugin(Method):
    \"\"\"Draws from a global generator, reads a file that no parameter names, declares what it never asks for.\"\"\"

    name = "careless"
    needs = frozenset({Need.TARGET_UNLABELLED})

    def prepare(self, round, ask):
        Path(__file__).read_text()
        return TrainingSet(labelled=singles(random.sample(ask.source(), 20)))
"""
BROKEN = {  # rule → a part of what is said of it
    conformance.opens_no_other_file: "read it through ask.file: ",
    conformance.preparing_is_pure: "draw from ask.rng(name)",
    conformance.needs_are_declared_and_used: "TARGET_UNLABELLED is declared, but never asked for",
    conformance.factors_say_what_needs_imply: "unlabelled_text is as TARGET_UNLABELLED says",
    conformance.readme_says_what_it_is: "README.md",
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Suite]:
    """A method of each kind, as written outside of a checkout, found by entry points."""
    root, threads = tmp_path_factory.mktemp("kinds"), torch.get_num_threads()
    install_methods(root / "site", "xner_careless_methods", {"careless": CARELESS})
    points = ["careless = xner_careless_methods.careless:Plugin"]
    for name, kind in NEW.items():
        ran = Place(root, tiny_folder).xner("new", "method", name, "--kind", kind, "--out", root)
        assert ran.code == 0, ran.err
        shutil.move(root / name, root / "site" / f"xner_{name}")
        points.append(f"{name} = xner_{name}.method")
    crf = root / "site" / "xner_crf"  # the page's code, beside a README as written for a head
    shutil.copytree(root / "site" / "xner_new_head", crf)
    (crf / "method.py").write_text(CRF)
    readme = (crf / "README.md").read_text().replace("# new_head\n", "# crf\n")
    (crf / "README.md").write_text(readme)
    points.append("crf = xner_crf.method")
    info = root / "site" / "xner_careless_methods-1.0.dist-info" / "entry_points.txt"
    info.write_text("\n".join(["[xner.methods]", *points]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "site"))
        torch.set_num_threads(1)
        yield Suite(root / "suite", str(tiny_folder), (*NEW, "crf", "careless"))
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", [*NEW, "crf"])
def test_each_kind_keeps_every_rule(suite: Suite, name: str) -> None:
    for check in conformance.OF_A_METHOD:
        check(suite, name)
    for check in conformance.OF_A_LABEL:
        check(suite, name)
        check(suite, f"{name}+kd")


def test_each_kind_trains_on_something_else(suite: Suite) -> None:
    fits = {name: suite.records[name].parents["fit:main"] for name in NEW}
    assert len(set(fits.values())) == len(NEW)
    losses = {fit.method: set(fit.history.losses) for fit in suite.fits}
    assert losses["xner_new_stream.method"] == {"ce", "entropy"} and losses["xner_new_loss.method"] == {"ce", "small"}
    assert suite.records["new_stream"].resources.unlabelled == 24
    assert suite.records["new_data"].resources.translated == 24
    for name in ("new_head", "crf"):
        assert (
            suite.records[name].ran["tagger"]
            == "not kept: a tagger with a head of its own is not a token classifier of transformers"
        )


@pytest.mark.parametrize("rule", BROKEN, ids=lambda rule: rule.__name__)
def test_what_breaks_a_rule_is_told_which(suite: Suite, rule: conformance.Check) -> None:
    with pytest.raises(Nonconforming) as caught:
        rule(suite, "careless")
    assert BROKEN[rule] in str(caught.value)
