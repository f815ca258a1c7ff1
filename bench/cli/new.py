"""`xner new method`: a folder that already runs and passes the conformance suite, to be changed into a method."""

from __future__ import annotations

import argparse
import keyword
import re
from pathlib import Path

from bench.core.errors import BadInput

METHOD = '''"""{title}: what it does, in one line. For now: zero_shot with a term that keeps its logits small."""

from __future__ import annotations

from bench.api.method import Factors, Losses, Method, Step, Tagger, Term


class {title}(Method):
    """Source sentences; cross-entropy, and the mean square of the labelled words' logits."""

    name = "{name}"
    declared = Factors(loss_terms="cross-entropy + small logits")

    def loss(self, tagger: Tagger, step: Step) -> Losses:
        assert step.labelled is not None
        logits = step.labelled.logits[step.labelled.inputs.labels != -100].float()
        return (*super().loss(tagger, step), Term("small", logits.square().mean(), 0.01))
'''

README = """# {name}

What it does, in two sentences. For now: `zero_shot` whose loss has a second term, the mean square of the labelled
words' logits, with a weight of 0.01.

- Paper: none yet.
- Factors: data en, labels from source gold, cross-entropy + small logits, no unlabelled text, no teacher, no test-time
  translation.
- Ours: all of it.
- Parameters: the common ones (`distil`, …).
- Licence: Apache-2.0, as the project.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `new` with its one verb."""
    parser = commands.add_parser("new", help="write a method's folder that already runs, to start from")
    verbs = parser.add_subparsers(metavar="method", required=True)
    method = verbs.add_parser("method", help="method.py and README.md of a method that passes the conformance suite")
    method.add_argument("name", metavar="NAME", help="lower-case letters, digits and _: what a matrix will say")
    method.add_argument(
        "--out", type=Path, metavar="DIR", help="make the folder NAME in here (default: methods/ of this checkout)"
    )
    method.set_defaults(run=new_method)


def new_method(args: argparse.Namespace) -> int:
    """Write the folder; nothing that is there already is touched."""
    name: str = args.name
    check_name(name)
    parent: Path = args.out or Path("methods")
    if args.out is None and not (parent / "zero_shot" / "method.py").is_file():
        raise BadInput("no methods/ of a checkout here: go to its top folder, or say --out DIR")
    folder = parent / name
    if folder.exists():
        raise BadInput(f"{folder} is there already; nothing was written")
    try:
        folder.mkdir(parents=True)
        for file, text in (("method.py", METHOD), ("README.md", README)):
            filled = text.format(name=name, title="".join(part.capitalize() for part in name.split("_")))
            (folder / file).write_text(filled, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--out {parent}: cannot be written to: {error.strerror}") from error
    print(f"wrote    {folder / 'method.py'}\n         {folder / 'README.md'}")
    if args.out is None:
        print(f"next     python -m pytest tests/methods/test_conformance.py -k {name}")
    else:  # not found by its folder, unless that is the checkout's: a package has to name it
        print(f'next     in your package\'s pyproject.toml: [project.entry-points."xner.methods"] {name} = "MODULE"')
    return 0


def check_name(name: str) -> None:
    """Refuse what cannot be a method's name.

    Raises:
        BadInput: no lower-case identifier, or the name of a method that is there; with one that would do.
    """
    from bench.plan import registry

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
        raise BadInput(f"there is a method '{name}' already; did you mean '{free}'?")
