"""The conformance suite: the rules that a method must keep, with and without distillation, in one tiny cell.

`xner check method NAME` runs it for one method; the project's own tests run it for every method that is found.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np
import torch

from bench.api.distilled import Distilled
from bench.api.method import LINKED, Factors, Method, MethodParams, Need, UndeclaredNeed
from bench.core.conll import read_conll
from bench.core.errors import BadInput
from bench.core.sentences import Sentence, tag_set
from bench.plan import registry
from bench.plan.units import method_of
from bench.run.observed import BATCH, STEPS, TARGET, Nonconforming, Ready, Suite, require, why
from bench.store.record import Records
from bench.store.sidecars import predictions_name
from bench.train import history as resume
from bench.train.ask import needs_of
from bench.train.predict import checked

RULES = ("source-dev", "last")

# --- the rules --------------------------------------------------------------------------------------------------------


def loads(suite: Suite, name: str) -> None:
    """It loads: name, needs and docstrings are there."""
    cls = registry.load("method", name)
    require(issubclass(cls, Method) and cls.name == name, f"its class has name = '{name}'")
    require(isinstance(cls.needs, frozenset) and all(isinstance(n, Need) for n in cls.needs), "needs holds Needs only")
    require(isinstance(cls.additive, bool) and isinstance(cls.paper, str), "additive is a bool, paper a str")
    require(cls.__doc__ and sys.modules[cls.__module__].__doc__, "class and module have a docstring")


def can_be_distilled(suite: Suite, name: str) -> None:
    """Its parameters are a frozen dataclass, and it can be distilled."""
    params = registry.load("method", name).Params
    sound = is_dataclass(params) and issubclass(cast(type, params), MethodParams)
    require(sound and params.__dataclass_params__.frozen, "Params is a frozen dataclass, a MethodParams")
    require(type(registry.make("method", name)) is registry.load("method", name), "distillation is never the default")
    distilled = registry.make("method", name, {"distil": True, "distil_loss": "kl"})
    require(isinstance(distilled, Distilled) and distilled.params.distil_loss == "kl", "distil = true distils it")
    require(distilled.method.params == params(), "all its parameters have defaults")
    try:
        registry.make("method", name, {"distill": True})
    except BadInput as error:
        require("did you mean 'distil'" in str(error), "a misspelt parameter is refused with the nearest right one")
    else:
        raise Nonconforming("an unknown parameter is refused")


def readme_says_what_it_is(suite: Suite, name: str) -> None:
    """README.md beside it says paper, factors and licence, the factors as declared."""
    cls = registry.load("method", name)
    path = Path(str(sys.modules[cls.__module__].__file__)).parent / "README.md"
    require(path.is_file(), f"{path.parent.name}/README.md must be there")
    text = path.read_text(encoding="utf-8")
    plain, declared = " ".join(text.split()), cls.declared
    require(text.startswith(f"# {name}\n"), f"README.md must begin with '# {name}'")
    for part in ("- Paper: ", "- Factors: ", "- Licence: "):
        require(part in text, f"README.md must have a line '{part}…'")
    factors = plain.partition("- Factors: ")[2].partition(" - ")[0]
    terms = "entropy" if "entropy" in declared.loss_terms else declared.loss_terms.split()[0]
    for word in (f"data {declared.data}", "labels from", terms, "unlabelled text", "teacher"):
        require(word in factors, f"README.md, '- Factors: …', must say '{word}' as declared, not '{factors.strip()}'")
    oracle = declared.target_gold == "yes"
    require(
        oracle == ("oracle" in plain.lower()), "README.md must say 'oracle' exactly where gold target labels are seen"
    )


def factors_say_what_needs_imply(suite: Suite, name: str) -> None:
    """Its factors say what its needs imply."""
    plain, kd = registry.make("method", name), registry.make("method", name, {"distil": True})
    factors, needs = plain.factors(), plain.needs
    texts = isinstance(factors, Factors) and all(isinstance(value, str) and value for value in asdict(factors).values())
    require(texts, "factors() gives Factors, each a non-empty string")
    require((factors.target_gold == "yes") == (Need.TARGET_GOLD in needs), "target_gold is as TARGET_GOLD says")
    translates = factors.test_time_translation != "no"
    require(translates == (Need.TEST_TRANSLATION in needs), "test_time_translation is as TEST_TRANSLATION says")
    require(not needs & LINKED or factors.data in ("both", "translations"), "data is 'both' or 'translations'")
    unlabelled = Need.TARGET_UNLABELLED in needs
    require(not unlabelled or factors.unlabelled_text != "no", "unlabelled_text is as TARGET_UNLABELLED says")
    told = kd.factors().unlabelled_text == "yes" and "distillation" in kd.factors().loss_terms
    require(told and kd.factors() != factors, "distilled, its factors say so")


def opens_no_other_file(suite: Suite, name: str) -> None:
    """It opens no file but those that its DataFile parameters name, and writes none."""
    declared = {os.path.realpath(path) for path in registry.make("method", name).files().values()}
    require(suite.records, "the matrix ran")
    own = {path for module, path in suite.opened if module == registry.module_of("method", name)}
    require(own <= declared, f"read it through ask.file: {', '.join(sorted(own - declared))}")


def predictions_are_well_formed(suite: Suite, name: str) -> None:
    """Predictions are well formed, repeatable and independent of order: of one word, hundreds, and unknown words."""
    ready = suite.ready(name)
    test, types, needs = ready.trainer.data.test(), ready.trainer.data.types, ready.method.needs
    odd = [
        Sentence("one", TARGET, ("Anna",)),
        Sentence("long", TARGET, tuple(word for s in test for word in s.words) * 3),
        Sentence("strange", TARGET, ("\u200d", "Жαñ", "x" * 300, "🙂")),
    ]
    sentences = [*test[:3], *odd]
    found = checked(ready.predicted(sentences, needs), sentences)
    for spans, probabilities in zip(found.spans, found.probabilities, strict=True):
        require({span.type for span in spans} <= set(types), "spans have the corpus's types")
        require(probabilities.shape[1:] == (len(tag_set(types)),), "probabilities are (words, tags)")
        require(np.isfinite(probabilities).all(), "probabilities are finite")
        require(np.allclose(probabilities.sum(-1), 1, atol=1e-3), "probabilities of a word add up to 1")
    require(ready.predicted(sentences, needs).spans == found.spans, "predicting is repeatable")
    require(ready.predicted(sentences[::-1], needs).spans == found.spans[::-1], "predictions do not depend on order")


def trains_the_same_elsewhere(suite: Suite, name: str) -> None:
    """Another process trains and predicts the same, to the byte, from the same seed."""
    require(suite.records[name].status == "ok", why(suite.records[name]))
    one, other = suite.records[name], Records(suite.elsewhere.out).get(suite.cells[name].key)
    require(
        other is not None and one.scores == other.scores and one.diagnostics == other.diagnostics, "the same scores"
    )
    assert other is not None
    fits = [{k: v for k, v in r.parents.items() if k.startswith("fit:")} for r in (one, other)]
    require(fits[0] == fits[1], "the same trainings")
    for rule in RULES:
        here, there = (_predictions(s.out, one.key, rule) for s in (suite, suite.elsewhere))
        require(here == there, f"the same predictions ({rule})")


def rounds_are_in_order(suite: Suite, label: str) -> None:
    """Its rounds start from and learn from earlier ones, and need no more than it declares."""
    method, done = method_of(suite.cells[label].cell), list[str]()
    for r in method.rounds():
        require(r.name not in done, f"only one round is called '{r.name}'")
        require(r.start == "fresh" or r.start in done, f"the round '{r.name}' starts from an earlier one")
        require(set(r.teachers) <= set(done), f"the teachers of round '{r.name}' come before it")
        require((r.needs or frozenset()) <= method.needs, f"round '{r.name}' needs no more than the method")
        if isinstance(r.method, str):
            require(r.method in registry.names("method") and r.method != method.name, f"no other method '{r.method}'")
        done.append(r.name)
    require(done and method.rounds() == method.rounds(), "there are rounds, the same each time")


def a_tiny_cell_runs(suite: Suite, label: str) -> None:
    """A tiny cell runs: every word is scored, its predictions are IOB2, its tagger is kept."""
    record = suite.records[label]
    require(record.status == "ok", why(record))
    require(record.key == suite.cells[label].key, "the key is as planned")
    require(record.tokens_scored == record.tokens_gold > 0, "every word of the test is scored")
    kept = str(record.ran["tagger"])
    there = (suite.out / kept / "config.json").is_file() or kept.startswith("not kept: a ")
    require(there, f"the tagger is kept, or the record says why not: {kept}")
    rounds = len([name for name in record.parents if name.startswith("fit:")])
    require(record.cost.steps >= STEPS * rounds and record.cost.batch == BATCH, "each round trains the whole budget")
    for rule in RULES:
        path = suite.root / f"predictions-{rule}.conll"
        path.write_text(_predictions(suite.out, record.key, rule), encoding="utf-8")
        read_conll(path, TARGET, record.corpus["types"])  # refuses ill-formed IOB2 and unknown types


def _predictions(out: Path, key: str, rule: str) -> str:
    return gzip.decompress(Records(out).sidecar(key, predictions_name(rule)).read_bytes()).decode()


def every_round_has_the_budget(suite: Suite, label: str) -> None:
    """Every round has the same steps, and at most `batch` sentences of each stream a step."""
    for name, trained in suite.ready(label).trainer.rounds.items():
        history = trained.history
        require((history.steps, history.eval_steps) == (STEPS, [2, 4]), f"round '{name}' has the matrix's steps")
        streams = round(history.forward_passes / STEPS)
        require(history.forward_passes == STEPS * streams, f"round '{name}': the same passes in each step")
        require(history.sentences <= STEPS * BATCH * streams, f"round '{name}': at most `batch` sentences a stream")


def preparing_is_pure(suite: Suite, label: str) -> None:
    """Preparing gives the same each time and draws from ask.rng only."""
    ready, digests = suite.ready(label), []
    for seed in (1, 2):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
        states = [_generators()]
        digests.append(ready.digests())
        states.append(_generators())
        require(states[0] == states[1], "draw from ask.rng(name), never from a global generator")
    require(digests[0] == digests[1], "prepare gives the same training set each time")


def _generators() -> Any:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]


def prepares_the_same_elsewhere(suite: Suite, label: str) -> None:
    """Another process has the same key and training set."""
    other = suite.told_elsewhere[label]
    require(other["key"] == suite.cells[label].key, "the same key in another process")
    require(other["digests"] == suite.ready(label).digests(untaught=True), "the same training set in another process")


def resumes_to_the_same_weights(suite: Suite, label: str) -> None:
    """A training that was stopped resumes to the same weights: `carried` holds what hooks remember."""
    suite.ready(label)
    models, stopped = suite.root / "stopped", set[tuple[int, int]]()  # a training of several labels is stopped once

    class Stopped(BaseException):
        """The training is stopped here."""

    def stop(done: int, total: int, what: str) -> None:
        finished = len(list(models.glob("fit/[!.]*")))
        if total == STEPS and done in (1, 3) and (finished, done) not in stopped:
            stopped.add((finished, done))
            raise Stopped

    with mock.patch.object(resume, "WORTH", 0.0):
        while True:
            trainer = suite.prepared(label, models, progress=stop).trainer
            try:
                trainer.all()
                break
            except Stopped:
                continue
    require(trainer.rounds, "there are rounds")
    for name, trained in trainer.rounds.items():
        require(trained.history.ran.get("resumed") == 1, f"round '{name}' is stopped, and resumes from step 2")
        undisturbed = suite.out / "models" / "fit" / trained.artefact.key
        for file in trained.artefact.folder.glob("*.safetensors"):
            same = file.read_bytes() == (undisturbed / file.name).read_bytes()
            require(same, f"round '{name}' resumes to other weights: `carried` must hold what its hooks remember")


def needs_are_declared_and_used(suite: Suite, label: str) -> None:
    """Without a declared need something raises, in preparing or predicting; with all of them nothing does."""
    ready = suite.ready(label)
    test = ready.trainer.data.test()[:2]
    ready.digests()
    ready.predicted(test, ready.method.needs)
    for need in ready.method.needs:
        require(_raises_without(ready, need, test), f"{need.name} is declared, but never asked for")


def _raises_without(ready: Ready, need: Need, test: list[Sentence]) -> bool:
    for round_, worker in ready.workers():
        try:
            worker.prepare(round_, ready.trainer.ask(worker, round_, needs_of(worker, round_) - {need}))
        except UndeclaredNeed as error:
            return need.name in str(error)
    named = {round_.method for round_ in ready.method.rounds() if isinstance(round_.method, str)}
    if any(need in registry.make("method", str(name)).needs for name in named):
        return True  # asked for by the method whose training this is
    try:
        ready.predicted(test, ready.method.needs - {need})
    except UndeclaredNeed as error:
        return need.name in str(error)
    return False


def counts_are_right(suite: Suite, _: str = "") -> None:
    """Steps and forward passes are those that were run; a second view of a batch counts as a pass of its own."""
    require(suite.records and suite.fits, "something was trained")
    for fit in suite.fits:
        require(fit.steps == fit.history.steps == STEPS, f"{fit.method}: {STEPS} steps of the optimiser")
        require(fit.forward_passes == fit.history.forward_passes, f"{fit.method}: passes go through tagger.read")


def no_global_generator(suite: Suite, _: str = "") -> None:
    """No training draws from a global generator of Python or NumPy."""
    require(suite.records, "the matrix ran")
    for fit in suite.fits:
        require(not fit.drew, f"{fit.method} draws from {', '.join(fit.drew)}: draw from ask.rng(name)")


Check = Callable[[Suite, str], None]
OF_A_METHOD: tuple[Check, ...] = (
    *(loads, can_be_distilled, readme_says_what_it_is, factors_say_what_needs_imply),
    *(opens_no_other_file, predictions_are_well_formed, trains_the_same_elsewhere),
)
OF_A_LABEL: tuple[Check, ...] = (
    *(rounds_are_in_order, a_tiny_cell_runs, every_round_has_the_budget, preparing_is_pure),
    *(prepares_the_same_elsewhere, resumes_to_the_same_weights, needs_are_declared_and_used),
)
OF_ALL: tuple[Check, ...] = (counts_are_right, no_global_generator)


def kept_rules(name: str, root: Path, encoder: str = "mini") -> Iterator[tuple[str, str]]:
    """Each rule in words and what breaks it, "" where the method keeps it; `root`: an empty folder.

    If the method cannot be loaded, that is reported at once, and nothing else.
    """
    torch.set_num_threads(1)  # as the matrix says: another number may round differently
    suite = Suite(root, encoder, [name])
    checks = [*((check, name) for check in OF_A_METHOD), *((c, label) for label in suite.labels for c in OF_A_LABEL)]
    for check, label in [*checks, *((check, "") for check in OF_ALL)]:
        try:
            check(suite, label)
            broken = ""
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plug-in raises breaks the rule
            broken = str(error) if isinstance(error, Nonconforming | BadInput) else registry.in_one_line(error)
        yield f"{label or name}: {(check.__doc__ or '').partition(chr(10))[0].rstrip('.')}", broken
        if check is loads and broken:
            return


def elsewhere(root: Path, encoder: str, methods: Sequence[str]) -> None:
    """In another process: run the methods, and tell the key and digests of every label."""
    suite = Suite(root, encoder, methods)
    told = {}
    for label in suite.labels:
        ready = suite.prepared(label, root / "nothing-is-trained")
        told[label] = {"key": ready.planned.key, "digests": ready.digests(untaught=True)}
    suite.run(methods)
    (root / "told.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    elsewhere(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
