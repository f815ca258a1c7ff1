"""`xner new method`: a method that already runs, to be changed: a folder of a checkout, or a package elsewhere.

`xner check method`: whether a method keeps the rules of the conformance suite.
"""

from __future__ import annotations

import argparse
import keyword
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.core.errors import BadInput
from bench.plan import registry

METHOD = '''"""{title}: what it does, in one line. For now: zero_shot {about}."""

from __future__ import annotations

from bench.api.method import {names}


class {title}(Method):
    """Source sentences {about}."""

    name = "{name}"
{declared}
{body}'''

README = """# {name}

What it does, in two sentences. For now it learns from source sentences {about}.
The factors below are those of `declared` in method.py: `xner check method {name}` compares the two.

- Paper: none yet.
- Factors: data {data}, labels from {labels}, {terms}, {unlabelled} unlabelled text, no teacher, no test-time
  translation.
- Ours: all of it.
- Parameters: the common ones (`distil`, …).
- Licence: Apache-2.0, as the project.
"""

TEST = '''"""The method {name} keeps the rules that every method keeps."""

from __future__ import annotations

from pathlib import Path

from bench.run.conformance import kept_rules


def test_it_keeps_the_rules(tmp_path: Path) -> None:
    """In one tiny cell, with and without distillation."""
    assert {{rule: broken for rule, broken in kept_rules("{name}", tmp_path) if broken}} == {{}}
'''


@dataclass(frozen=True)
class Skeleton:
    """What a new method begins as: `zero_shot` with one thing changed."""

    about: str
    names: str  # that it imports
    body: str
    needs: str = ""
    data: str = "en"
    labels: str = "source gold"
    terms: str = "cross-entropy"
    unlabelled: str = "no"

    def filled(self, text: str, name: str) -> str:
        """A template filled in with this skeleton and the method's name."""
        title = "".join(part.capitalize() for part in name.split("_"))
        factors = {"data": self.data, "labels_from": self.labels, "loss_terms": self.terms}
        factors |= {"unlabelled_text": self.unlabelled}
        told = ", ".join(
            f'{k}="{v}"' for k, v in factors.items() if v not in ("en", "source gold", "cross-entropy", "no")
        )
        declared = f"    needs = frozenset({{Need.{self.needs}}})\n" * bool(self.needs)
        return text.format(
            **asdict(self), name=name, title=title, declared=f"{declared}    declared = Factors({told})\n"
        )


KINDS = {
    "data": Skeleton(
        "and their translations with projected labels",
        "Ask, Factors, Method, Need, Round, TrainingSet, singles",
        """    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        translated = [pair.target for pair in ask.labelled_translations()]
        return TrainingSet(labelled=singles([*ask.source(), *translated]))
""",
        needs="LABELLED_TRANSLATION",
        data="both",
        labels="projection",
    ),
    "loss": Skeleton(
        "with a term that keeps the labelled words' logits small",
        "Factors, Losses, Method, Step, Tagger, Term",
        """    def loss(self, tagger: Tagger, step: Step) -> Losses:
        assert step.labelled is not None
        logits = step.labelled.logits[step.labelled.inputs.labels != -100].float()
        return (*super().loss(tagger, step), Term("small", logits.square().mean(), 0.01))
""",
        terms="cross-entropy + small logits",
    ),
    "head": Skeleton(
        "with a hidden layer before the tags",
        "Ask, Factors, Method, Round, Tagger",
        """    def tagger(self, round: Round, ask: Ask) -> Tagger:
        from torch import nn

        tagger = ask.new_tagger()
        last = tagger.classifier
        tagger.classifier = nn.Sequential(nn.Linear(last.in_features, last.in_features), nn.GELU(), last)
        return tagger
""",
        terms="cross-entropy (head of two layers)",
    ),
    "stream": Skeleton(
        "with a second stream: unlabelled target text, on which it is to be sure of its tags",
        "Ask, Factors, Losses, Method, Need, Round, Step, Tagger, Term, TrainingSet, singles",
        """    def prepare(self, round: Round, ask: Ask) -> TrainingSet:
        return TrainingSet(labelled=singles(ask.source()), unlabelled=singles(ask.unlabelled()))

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        assert step.unlabelled is not None
        words = step.unlabelled.inputs.word_mask
        logs = step.unlabelled.logits[words].float().log_softmax(-1)
        return (*super().loss(tagger, step), Term("entropy", -(logs.exp() * logs).sum(-1).mean(), 0.1))
""",
        needs="TARGET_UNLABELLED",
        terms="cross-entropy + entropy",
        unlabelled="yes",
    ),
}

PACKAGE = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "xner-{name}"
version = "0.1.0"
dependencies = ["xner-bench"]

[project.entry-points."xner.methods"]
{name} = "xner_{name}.method"

[tool.setuptools]
packages = ["xner_{name}"]
package-dir = {{ "xner_{name}" = "." }}
package-data = {{ "xner_{name}" = ["README.md"] }}
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("new", help="write a method that already runs, to start from")
    verbs = parser.add_subparsers(metavar="method", required=True)
    method = verbs.add_parser(
        "method",
        help="method.py and README.md of a method that passes the conformance suite",
        description="In a checkout: a folder in methods/, found where it is. Elsewhere: a small package, found "
        "once it is installed.",
    )
    method.add_argument("name", metavar="NAME", help="lower-case letters, digits and _: what a matrix will say")
    method.add_argument(
        "--out", type=Path, metavar="DIR", help="make the folder NAME in here (default: methods/ of a checkout, else .)"
    )
    about = "what it changes (default: loss); stream: text beside the labelled sentences"
    method.add_argument("--kind", choices=tuple(KINDS), default="loss", help=about)
    method.set_defaults(run=new_method)
    parser = commands.add_parser("check", help="whether a method keeps the rules that every method keeps")
    verbs = parser.add_subparsers(metavar="method", required=True)
    about = (check_method.__doc__ or "").partition("\n\n")[0]
    method = verbs.add_parser("method", help="the conformance suite for one method", description=about)
    method.add_argument("name", metavar="NAME", help="of a method that `xner methods` lists")
    method.add_argument("--encoder", default="mini", metavar="ID", help="of the tiny cell: our own or a folder")
    method.set_defaults(run=check_method)


def new_method(args: argparse.Namespace) -> int:
    """Write the folder; existing files are never touched."""
    name: str = args.name
    check_name(name)
    checkout = Path("methods")
    parent: Path = args.out or (checkout if _holds_methods(checkout) else Path())
    folder, tests = parent / name, parent.parent / "tests" / "methods"
    packaged = not _holds_methods(parent)  # not found by its folder: a package has to name it
    files = {folder / "method.py": METHOD, folder / "README.md": README}
    files[folder / "test_method.py" if packaged or not tests.is_dir() else tests / f"test_{name}.py"] = TEST
    if packaged:
        files |= {folder / "__init__.py": "", folder / "pyproject.toml": PACKAGE}
    for path in (folder, *files):
        if path.exists():
            raise BadInput(f"{path} already exists; nothing was written")
    try:
        folder.mkdir(parents=True)
        for path, text in files.items():
            path.write_text(KINDS[args.kind].filled(text, name), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--out {parent}: cannot be written to: {error.strerror}") from error
    print("\n".join(f"wrote    {path}" for path in files))
    print(f"next     {f'pip install -e {folder} && ' * packaged}xner check method {name}")
    return 0


def check_method(args: argparse.Namespace) -> int:
    """Run the conformance suite for a method, with and without distillation, in one tiny cell: a line a rule.

    Raises:
        BadInput: there is no such method, or it trains nothing.
    """
    if registry.load("method", args.name).intrinsic:
        raise BadInput(f"'{args.name}' scores projected labels and trains nothing: the suite is for taggers")
    from bench.run.conformance import kept_rules

    broken = 0
    with tempfile.TemporaryDirectory(prefix="xner-check-") as folder:
        for rule, why in kept_rules(args.name, Path(folder), args.encoder):
            print(f"broken   {rule}\n         {why}" if why else f"ok       {rule}", flush=True)
            broken += bool(why)
    print(f"{args.name}: {f'broken rules: {broken}' if broken else 'keeps every rule'}")
    return int(broken > 0)


def _holds_methods(folder: Path) -> bool:
    return (folder / "zero_shot" / "method.py").is_file()


def check_name(name: str) -> None:
    """Refuse what cannot be a method's name.

    Raises:
        BadInput: not a lower-case identifier, or the name of an existing method; the message suggests one that is free.
    """
    known = registry.names("method")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        better = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")
        if not better[:1].isalpha() or keyword.iskeyword(better):
            better = f"my_{better or 'method'}"
        raise BadInput(
            f"'{name}' cannot be a method's name: lower-case letters, digits and _; did you mean '{better}'?"
        )
    if name in known:
        free = next(f"{name}_{n}" for n in range(2, len(known) + 3) if f"{name}_{n}" not in known)
        raise BadInput(f"a method '{name}' already exists; did you mean '{free}'?")
