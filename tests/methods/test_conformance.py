"""The conformance suite: what every method that is found must keep to, with and without distillation.

CPU, offline, a tiny encoder. A new folder under methods/ (or an entry point) is tested without an edit here.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from bench.api.distilled import Distilled
from bench.api.method import LINKED, Factors, Method, MethodParams, Need, TrainingSet, UndeclaredNeed
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, tag_set
from bench.plan import registry
from tests.support.e2e_tools import REPO, Place, by_name, matrix_text, read_predictions, snapshot, unpacked
from tests.support.opened import Opened, opened_by

METHODS = tuple(name for name in registry.names("method") if not registry.load("method", name).intrinsic)
LABELS = tuple(label for name in METHODS for label in (name, f"{name}+kd"))
TARGET = "de"


@dataclass(frozen=True)
class Ready:
    """A cell of one label and its trainings; everything below looks at it."""

    planned: Any
    method: Method
    trainer: Any

    def ask(self, round_: Any, needs: frozenset[Need]) -> Any:
        """What the round may reach, were its needs these."""
        from bench.train.ask import CellAsk

        trainer = self.trainer
        return CellAsk(trainer.cell, round_, needs, trainer.places.cache, trainer.model, lambda: None)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the matrix says: another number of threads may give other rounding."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Place]:
    found = Place(tmp_path_factory.mktemp("conformance"), tiny_folder)
    found.matrix(matrix_text(tiny_folder, LABELS, (TARGET,)))
    with mock.patch.dict(os.environ, found.environment()):
        yield found


@pytest.fixture(scope="module")
def cells(place: Place) -> dict[str, Any]:
    """Every label's planned cell."""
    return planned_cells(place.root / "small.toml")


@pytest.fixture(scope="module")
def ready(place: Place, cells: dict[str, Any], run: dict[str, Any]) -> Any:
    """`ready(label)`: the label's cell with the models that the run kept."""
    known: dict[str, Ready] = {}

    def make(label: str) -> Ready:
        if label not in known:
            known[label] = Ready(cells[label], *trainer_of(cells[label], place.out / "models", place.cache))
            known[label].trainer.all()
        return known[label]

    return make


def planned_cells(matrix: Path) -> dict[str, Any]:
    from bench.data.identity import keyed
    from bench.plan.matrix import cells
    from bench.plan.spec import load_matrix

    return {one.cell.label: one for one in keyed(cells(load_matrix(str(matrix))))}


def trainer_of(planned: Any, models: Path, cache: Path, progress: Any = None) -> tuple[Method, Any]:
    import torch

    from bench.data.identity import encoder_of
    from bench.plan.units import method_of
    from bench.store.artefacts import Artefacts
    from bench.train.training import CellTrainer, Places

    method = method_of(planned.cell)
    told = {} if progress is None else {"progress": progress}
    places = Places(Artefacts(cache), Artefacts(models), torch.device("cpu"), **told)
    return method, CellTrainer(planned.cell, method, encoder_of(planned.cell), places)


def workers(ready: Ready) -> list[tuple[Any, Method]]:
    """The rounds that the method prepares itself; one that names another method is that method's own matter."""
    found = []
    for round_ in ready.method.rounds():
        if not isinstance(round_.method, str):
            found.append((round_, ready.method if round_.method is None else round_.method))
    return found


def digests(ready: Ready, *, untaught: bool = False) -> dict[str, str]:
    """By round the digest of a training set prepared anew; `untaught`: only of rounds without a teacher."""
    from bench.train.ask import needs_of

    found = {}
    for round_, worker in workers(ready):
        if untaught and round_.teachers:
            continue
        data = worker.prepare(round_, ready.ask(round_, needs_of(worker, round_)))
        assert isinstance(data, TrainingSet)
        found[round_.name] = data.digest()
    return found


# --- what can be said without a training ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_it_loads(name: str) -> None:
    cls = registry.load("method", name)
    assert issubclass(cls, Method) and cls.name == name
    assert all(isinstance(need, Need) for need in cls.needs)
    assert isinstance(cls.needs, frozenset) and isinstance(cls.additive, bool) and isinstance(cls.paper, str)
    assert cls.__doc__ and sys.modules[cls.__module__].__doc__


@pytest.mark.parametrize("name", METHODS)
def test_parameters_are_frozen_and_any_method_can_be_distilled(name: str) -> None:
    params = registry.load("method", name).Params
    assert is_dataclass(params) and issubclass(params, MethodParams)
    assert params.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert type(registry.make("method", name)) is registry.load("method", name), "distillation is never the default"
    distilled = registry.make("method", name, {"distil": True, "distil_loss": "kl"})
    assert isinstance(distilled, Distilled) and distilled.params.distil_loss == "kl"
    assert distilled.method.params == params()
    with pytest.raises(BadInput, match="did you mean 'distil'"):
        registry.make("method", name, {"distill": True})


@pytest.mark.parametrize("name", METHODS)
def test_the_readme_says_what_the_method_is(name: str) -> None:
    cls = registry.load("method", name)
    folder = Path(str(sys.modules[cls.__module__].__file__)).parent
    text = (folder / "README.md").read_text(encoding="utf-8")
    plain = " ".join(text.split())
    assert text.startswith(f"# {name}\n")
    for part in ("- Paper: ", "- Factors: ", "- Licence: "):
        assert part in text, part
    factors = plain.partition("- Factors: ")[2].partition(" - ")[0]
    declared = cls.declared
    assert f"data {declared.data}" in factors
    for field, word in (
        ("labels_from", "labels from"),
        ("loss_terms", "entropy" if "entropy" in declared.loss_terms else declared.loss_terms.split()[0]),
        ("unlabelled_text", "unlabelled text"),
        ("teacher", "teacher"),
    ):
        assert word in factors, f"the README's factors do not mention {field}"
    assert (declared.target_gold == "yes") == ("oracle" in plain.lower())


@pytest.mark.parametrize("name", METHODS)
def test_factors_say_what_the_needs_imply(name: str) -> None:
    plain, kd = registry.make("method", name), registry.make("method", name, {"distil": True})
    factors = plain.factors()
    assert isinstance(factors, Factors) and all(isinstance(value, str) and value for value in asdict(factors).values())
    assert (factors.target_gold == "yes") == (Need.TARGET_GOLD in plain.needs)
    assert (factors.test_time_translation != "no") == (Need.TEST_TRANSLATION in plain.needs)
    if plain.needs & LINKED:
        assert factors.data in ("both", "translations")
    if Need.TARGET_UNLABELLED in plain.needs:
        assert factors.unlabelled_text != "no"
    assert kd.factors().unlabelled_text == "yes" and "distillation" in kd.factors().loss_terms
    assert kd.factors() != factors


@pytest.mark.parametrize("label", LABELS)
def test_rounds_are_in_order(cells: dict[str, Any], label: str) -> None:
    from bench.plan.units import method_of

    method, done = method_of(cells[label].cell), []
    for round_ in method.rounds():
        assert round_.name not in done
        assert round_.start == "fresh" or round_.start in done
        assert set(round_.teachers) <= set(done)
        assert (round_.needs or frozenset()) <= method.needs
        if isinstance(round_.method, str):
            assert round_.method in METHODS and round_.method != method.name
        done.append(round_.name)
    assert done
    assert method.rounds() == method.rounds()


# --- one tiny cell, end to end ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """What one training really did, counted from outside, and what it says that it did."""

    method: str
    steps: int
    forward_passes: int
    drew: tuple[str, ...]  # global generators that it drew from
    history: Any


@pytest.fixture(scope="module")
def fits() -> list[Fit]:
    """Every training of `run`, once that is there."""
    return []


def counting(fits: list[Fit]) -> Any:
    """The runner's `fit`, each call noted in `fits`."""
    import torch

    from bench.train import training

    real, step = training.fit, torch.optim.AdamW.step

    def fit(plan: Any, data: Any, tagger: Any, *rest: Any) -> Any:
        steps, forwards = [], []
        before = random.getstate(), np.random.get_state()[1].tolist()
        hook = tagger.encoder.register_forward_hook(lambda *_: forwards.append(1) if tagger.training else None)

        def counted(*arguments: Any, **options: Any) -> Any:
            steps.append(1)
            return step(*arguments, **options)

        with mock.patch.object(torch.optim.AdamW, "step", counted):
            history = real(plan, data, tagger, *rest)
        hook.remove()
        after = random.getstate(), np.random.get_state()[1].tolist()
        drew = tuple(n for n, a, b in zip(("random", "numpy"), before, after, strict=True) if a != b)
        fits.append(Fit(type(plan.method).__module__, len(steps), len(forwards), drew, history))
        return history

    return mock.patch.object(training, "fit", fit)


@pytest.fixture(scope="module")
def opened() -> Opened:
    """The files that methods opened themselves in `run`, once that is there."""
    return set()


@pytest.fixture(scope="module")
def run(place: Place, fits: list[Fit], opened: Opened) -> dict[str, dict[str, Any]]:
    """All labels in one tiny matrix, from an empty folder; by label the record."""
    modules = [registry.module_of("method", name) for name in METHODS]
    with counting(fits), opened_by(modules) as found:
        place.xner("run", "small.toml", "--out", place.out, "--keep-models")
    opened |= found
    return {label: record for (label, _, _), record in by_name(place.out).items()}


@pytest.mark.parametrize("name", METHODS)
def test_it_opens_no_file_but_its_own(run: dict[str, dict[str, Any]], opened: Opened, name: str) -> None:
    """A data file is named by a DataFile parameter, so that it is part of the key; nothing is written."""
    declared = {os.path.realpath(path) for path in registry.make("method", name).files().values()}
    own = {path for module, path in opened if module == registry.module_of("method", name)}
    assert run and own <= declared, "read it through ask.file"


@pytest.mark.parametrize("label", LABELS)
def test_a_tiny_cell_runs(place: Place, run: dict[str, dict[str, Any]], cells: dict[str, Any], label: str) -> None:
    record = run[label]
    assert record["status"] == "ok", record["error"] or record["reason"]
    assert record["key"] == cells[label].key
    assert record["tokens_scored"] == record["tokens_gold"] > 0
    kept = record["ran"]["tagger"]
    assert (place.out / kept / "config.json").is_file() or kept.startswith("not kept: a ")
    rounds = len([name for name in record["parents"] if name.startswith("fit:")])
    assert record["cost"]["steps"] >= 4 * rounds and record["cost"]["batch"] == 8
    for rule in ("source-dev", "last"):
        for sentence in read_predictions(place, record, rule):  # refuses ill-formed IOB2 and unknown types
            assert sentence.words


@pytest.mark.parametrize("label", LABELS)
def test_every_round_has_the_same_budget(ready: Any, label: str) -> None:
    for name, one in ready(label).trainer.rounds.items():
        assert (one.history.steps, one.history.eval_steps) == (4, [2, 4]), name
        streams = round(one.history.forward_passes / 4)
        assert one.history.forward_passes == 4 * streams
        assert one.history.sentences <= 4 * 8 * streams, "at most `batch` sentences of each stream a step"


def test_steps_and_passes_are_those_that_were_run(run: dict[str, dict[str, Any]], fits: list[Fit]) -> None:
    """A second view of a batch counts as a pass of its own, and its sub-words again."""
    assert run and len(fits) > len(METHODS) / 2
    for fit in fits:
        assert fit.steps == fit.history.steps == 4, fit.method
        assert fit.forward_passes == fit.history.forward_passes, fit.method
    again = {fit.method for fit in fits if fit.history.ran.get("second_views")}
    assert again == {"methods.contproto.method"} & {fit.method for fit in fits}


def test_no_training_draws_from_a_global_generator(run: dict[str, dict[str, Any]], fits: list[Fit]) -> None:
    assert run and {fit.method: fit.drew for fit in fits if fit.drew} == {}


def test_nothing_is_written_elsewhere(place: Place, run: dict[str, dict[str, Any]]) -> None:
    assert run
    own = {"predictions-last.conll", "predictions-source-dev.conll", "cache-elsewhere", "again", "order"}
    assert {path.name for path in place.root.iterdir()} - own == {"small.toml", "out", "cache", "home"}
    assert not snapshot(place.root / "home")


# --- preparing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", LABELS)
def test_preparing_is_pure(ready: Any, label: str) -> None:
    import torch

    one = ready(label)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    first = digests(one)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert after == before, "draw from ask.rng(name), never from a global generator"
    random.seed(2)
    np.random.seed(2)
    torch.manual_seed(2)
    assert digests(one) == first


@pytest.fixture(scope="module")
def elsewhere(place: Place, cells: dict[str, Any]) -> dict[str, Any]:
    """Keys, and digests of what no teacher decides, of every label in another process with another hash seed."""
    ran = subprocess.run(
        [sys.executable, __file__, "small.toml"],
        cwd=place.root,
        env={**os.environ, "PYTHONPATH": f"{REPO}{os.pathsep}{REPO / 'tests'}", "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    assert found.keys() == cells.keys()
    return found


@pytest.mark.parametrize("label", LABELS)
def test_another_process_prepares_the_same_under_the_same_key(
    ready: Any, cells: dict[str, Any], elsewhere: dict[str, Any], label: str
) -> None:
    assert elsewhere[label]["key"] == cells[label].key
    assert elsewhere[label]["digests"] == digests(ready(label), untaught=True)


@pytest.mark.parametrize("label", LABELS)
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    place: Place, run: dict[str, Any], cells: dict[str, Any], label: str, tmp_path: Path
) -> None:
    """Where a method's hooks remember more than its tagger holds, `carried` must tell it."""
    from bench.train import history as resume

    class Stopped(BaseException):
        pass

    stopped: set[tuple[int, int]] = set()

    def stop(done: int, total: int, what: str) -> None:
        finished = len(list(tmp_path.glob("fit/[!.]*")))
        if total == 4 and done in (1, 3) and (finished, done) not in stopped:
            stopped.add((finished, done))
            raise Stopped

    with mock.patch.object(resume, "WORTH", 0.0):
        while True:
            _, trainer = trainer_of(cells[label], tmp_path, place.cache, stop)
            try:
                trainer.all()
                break
            except Stopped:
                continue
    assert len(stopped) >= 2
    for trained in trainer.rounds.values():
        assert trained.history.ran["resumed"] == 1, "from step 2, at which it was evaluated"
        undisturbed = place.out / "models" / "fit" / trained.artefact.key
        for file in trained.artefact.folder.glob("*.safetensors"):
            assert file.read_bytes() == (undisturbed / file.name).read_bytes()


def test_keys_know_no_order(place: Place, cells: dict[str, Any]) -> None:
    """Of methods, of variants, and of the tables of the file."""
    text = matrix_text(place.encoder, LABELS[::-1], (TARGET,))
    head, *tables = text.split("\n[")
    (place.root / "order").mkdir()
    turned = Place(place.root / "order", place.encoder).matrix("\n[".join([head, *tables[::-1]]))
    assert {label: one.key for label, one in planned_cells(turned).items()} == {k: v.key for k, v in cells.items()}


@pytest.mark.parametrize("name", METHODS)
def test_another_process_trains_and_predicts_the_same(
    place: Place, run: dict[str, dict[str, Any]], elsewhere: dict[str, Any], name: str
) -> None:
    """To the byte, from the same seed."""
    one, other = run[name], by_name(place.root / "again")[name, TARGET, 1]
    assert elsewhere and one["scores"] == other["scores"] and one["diagnostics"] == other["diagnostics"]
    assert {k: v for k, v in one["parents"].items() if k.startswith("fit:")} == {
        k: v for k, v in other["parents"].items() if k.startswith("fit:")
    }
    for rule in ("source-dev", "last"):
        here, there = (unpacked(out, one["key"], f"predictions-{rule}") for out in (place.out, place.root / "again"))
        assert here == there, rule


def test_keys_tell_methods_apart(cells: dict[str, Any]) -> None:
    assert len({one.key for one in cells.values()}) == len(LABELS)


@pytest.mark.parametrize("label", LABELS)
def test_needs_are_declared_and_used(ready: Any, label: str) -> None:
    """Without a declared need something raises, in preparing or predicting; with all of them nothing does."""
    one = ready(label)
    test = one.trainer.data.test()[:2]
    digests(one)
    predicted(one, test, one.method.needs)
    for need in one.method.needs:
        assert raises_without(one, need, test), f"{need.name} is declared, but never asked for"


def raises_without(one: Ready, need: Need, test: list[Sentence]) -> bool:
    from bench.train.ask import needs_of

    for round_, worker in workers(one):
        try:
            worker.prepare(round_, one.ask(round_, needs_of(worker, round_) - {need}))
        except UndeclaredNeed as error:
            assert need.name in str(error)
            return True
    named = {round_.method for round_ in one.method.rounds() if isinstance(round_.method, str)}
    if any(need in registry.make("method", str(name)).needs for name in named):
        return True  # asked for by the method whose training this is; its own test sees to it
    try:
        predicted(one, test, one.method.needs - {need})
    except UndeclaredNeed as error:
        return need.name in str(error)
    return False


# --- predicting -------------------------------------------------------------------------------------------------------


def predicted(one: Ready, sentences: list[Sentence], needs: frozenset[Need]) -> Any:
    from dataclasses import replace

    rounds = one.method.rounds()
    models = {round_.name: one.trainer.model(round_.name) for round_ in rounds}
    last = replace(rounds[-1], teachers=tuple(round_.name for round_ in rounds))
    return one.method.predict(one.ask(last, needs), models, sentences)


@pytest.mark.parametrize("name", METHODS)
def test_predictions_are_well_formed(ready: Any, name: str) -> None:
    """Also of one word, of hundreds, and of words that no translator or tokenizer knows."""
    from bench.train.predict import checked

    one = ready(name)
    test = one.trainer.data.test()
    odd = [
        Sentence("one", TARGET, ("Anna",)),
        Sentence("long", TARGET, tuple(word for s in test for word in s.words) * 3),
        Sentence("strange", TARGET, ("\u200d", "Жαñ", "x" * 300, "🙂")),
    ]
    sentences = [*test[:3], *odd]
    found = checked(predicted(one, sentences, one.method.needs), sentences)
    tags = tag_set(one.trainer.data.types)
    for spans, probabilities in zip(found.spans, found.probabilities, strict=True):
        assert {span.type for span in spans} <= set(one.trainer.data.types)
        assert probabilities.shape[1:] == (len(tags),)
        assert np.isfinite(probabilities).all()
        assert np.allclose(probabilities.sum(-1), 1, atol=1e-3)
    again = predicted(one, sentences, one.method.needs)
    assert again.spans == found.spans, "predicting is repeatable"
    assert predicted(one, sentences[::-1], one.method.needs).spans == found.spans[::-1], "and knows no order"


def main(matrix: str) -> None:
    """In another process: the key and digests of every label, as JSON."""
    found = {}
    for label, planned in planned_cells(Path(matrix)).items():
        one = Ready(planned, *trainer_of(planned, Path("nothing-is-trained"), Path("cache-elsewhere")))
        found[label] = {"key": planned.key, "digests": digests(one, untaught=True)}
    place = Place(Path.cwd(), Path())
    ran = place.xner("run", matrix, "--out", "again", "--only", f"method={','.join(METHODS)}")
    assert ran.code == 0, ran.err
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
