"""`xner new method`: a method that already runs, to be changed: a folder of a checkout, or a package elsewhere."""

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
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `new` with its one verb."""
    parser = commands.add_parser("new", help="write a method that already runs, to start from")
    verbs = parser.add_subparsers(metavar="method", required=True)
    method = verbs.add_parser(
        "method",
        help="method.py and README.md of a method that passes the conformance suite",
        description="In a checkout: a folder in methods/, found as it lies there. Elsewhere: a small package, found "
        "once it is installed.",
    )
    method.add_argument("name", metavar="NAME", help="lower-case letters, digits and _: what a matrix will say")
    method.add_argument(
        "--out", type=Path, metavar="DIR", help="make the folder NAME in here (default: methods/ of a checkout, else .)"
    )
    method.set_defaults(run=new_method)


def new_method(args: argparse.Namespace) -> int:
    """Write the folder; nothing that is there already is touched."""
    name: str = args.name
    check_name(name)
    checkout = Path("methods")
    parent: Path = args.out or (checkout if _holds_methods(checkout) else Path())
    folder, files = parent / name, {"method.py": METHOD, "README.md": README}
    if packaged := not _holds_methods(parent):  # not found by its folder: a package has to name it
        files |= {"__init__.py": "", "pyproject.toml": PACKAGE}
    if folder.exists():
        raise BadInput(f"{folder} is there already; nothing was written")
    try:
        folder.mkdir(parents=True)
        for file, text in files.items():
            filled = text.format(name=name, title="".join(part.capitalize() for part in name.split("_")))
            (folder / file).write_text(filled, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--out {parent}: cannot be written to: {error.strerror}") from error
    print("\n".join(f"wrote    {folder / file}" for file in files))
    print(
        f"next     pip install -e {folder}"
        if packaged
        else f"next     pytest tests/methods/test_conformance.py -k {name}"
    )
    return 0


def _holds_methods(folder: Path) -> bool:
    return (folder / "zero_shot" / "method.py").is_file()


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
