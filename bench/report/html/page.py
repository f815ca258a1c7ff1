"""report.html: one self-contained page, made from the records alone and byte-identical each time."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from bench.core.files import canonical_json, write_bytes
from bench.report.contrasts import contrasts_of
from bench.report.errors import KINDS, browsable, samples
from bench.report.folder import problem_of, status_of
from bench.report.frame import Group, Row, Stored, chosen, groups, read_all
from bench.report.notes import ORACLE, corpus_notes, is_synthetic, setting_notes, title_of, visible
from bench.report.plots import figures_across, figures_of
from bench.report.plots.canvas import saved, settings, without_words
from bench.report.scores import LEVEL, ranking, scores_of
from bench.report.tables import all_tables
from bench.report.verdicts import HEADS, cells, conclusions, exploratory_note, family_note, line_notes, sentence
from bench.store.record import Cost, Record, Resources

NAME = "report.html"
Facts = Mapping[str, str]  # of a record: every field by its dotted name
_TOLD = frozenset({"scores", "error", "reason", "status", "schema", "key", "cell.seed", "cell.label", "cell.target"})
_SENTENCES, _FEWEST = 100_000, 20  # sentences of the browser: over all methods and languages, and of a language
_MOST_VALUES = 8  # of one field that are listed


def write_report(out: Path) -> Path:
    """Write out/report.html from the records of the folder.

    Raises:
        BadInput: as `bench.report.frame.read`.
    """
    path = out / NAME
    write_bytes(path, report_html(out).encode())
    return path


def report_html(out: Path) -> str:
    """The page. It loads nothing from outside; its Content-Security-Policy forbids that."""
    stored = read_all([out])
    all_groups, status = groups(chosen(stored)), status_of(out, (run.record for run in stored))
    facts = {run.record.key: flat(run.record) for group in all_groups for run in group.stored}
    most = max(_FEWEST, _SENTENCES // max(sum(len(group.cells) for group in all_groups), 1))
    style, script = (files("bench.report.html").joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    with settings():
        across = [_drawn(figure, f"across-{name}") for name, figure in figures_across(all_groups)]
    page = {
        "chapters": [_chapter(group, f"g{place}", facts, most) for place, group in enumerate(all_groups)],
        "matrices": ", ".join(dict.fromkeys(run.record.matrix for group in all_groups for run in group.stored)),
        "across": across,
        "records": len(facts),
        "environment": environment(list(facts.values())),
        "status": status,
        "synthetic": any(map(is_synthetic, all_groups)),
        "style": Markup(style),
        "script": Markup(script),
        "policy": f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}",
    }
    return _templates().get_template("page.html").render(page)


def _templates() -> Environment:
    """Templates that escape all text and make hidden characters visible."""
    options: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    made = Environment(loader=PackageLoader("bench.report.html"), autoescape=True, finalize=visible, **options)
    for function in (cells, conclusions, line_notes, problem_of, sentence):
        made.globals[function.__name__] = function
    made.globals |= {"level": LEVEL, "line_heads": HEADS, "kinds": KINDS, "newline": Markup("\n")}
    return made


def _hash(text: str) -> str:
    """A Content-Security-Policy source that allows exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# --- a table's records ------------------------------------------------------------------------------------------------


def _chapter(group: Group, prefix: str, facts: Mapping[str, Facts], most: int) -> dict[str, Any]:
    """The template's values for one group of records."""

    def place(row: Row, target: str = "") -> str:  # anchor of a method's section, or of a language in it
        return f"{prefix}-m{group.rows.index(row)}" + (f"-{group.targets.index(target) + 1}" if target else "")

    errors = samples(group)
    parts = (f"source {group.source or 'n/a'}", f"encoder {group.encoder}", group.axes)
    everywhere = shared([facts[run.record.key] for run in group.stored])
    common = {row: shared([facts[run.record.key] for run in group.stored if run.row == row]) for row in group.rows}
    with settings():
        figures = {name: _drawn(figure, f"{prefix}-{name}") for name, figure in figures_of(group)}
    caveats = _caveats(group)  # which hold for the tables, too, and are shown once
    main, *tables = (
        replace(table, notes=tuple(note for note in table.notes if note not in caveats))
        for table in all_tables([group])
    )
    comparisons = contrasts_of(group)
    return {
        "group": group,
        "prefix": prefix,
        "title": f"{title_of(group, 'Results')}; {', '.join(filter(None, parts))}",
        "caveats": caveats,
        "scores": scores_of(group, group.main_rule),
        "main": main,
        "tables": tables,
        "forest": figures.pop("forest", None),
        "figures": list(figures.values()),
        "errors": errors,
        "browser": _packed(browsable(group, errors, most)),
        "everywhere": everywhere,
        "common": {row: {k: v for k, v in facts_.items() if k not in everywhere} for row, facts_ in common.items()},
        "by_seed": lambda stored, row: by_seed(stored, facts, {**everywhere, **common[row]}),
        "place": place,
        "ranking": ranking(group),
        "contrasts": comparisons,
        "family": family_note(comparisons),
        "exploratory": exploratory_note(group),
    }


def _packed(value: dict[str, Any]) -> str:
    """Compressed JSON in base64, which the page's script unpacks; "" if there is nothing to browse."""
    if not value["tests"]:
        return ""
    return base64.b64encode(zlib.compress(canonical_json(value).encode(), 9)).decode()


def _caveats(group: Group) -> list[str]:
    """The notes that hold for every number of the chapter."""
    return [
        *corpus_notes(group),
        *setting_notes(group),
        "F1: entities, strict IOB2, micro-averaged, percent, mean over seeds.",
        "A difference that is not significant may be chance; one that is holds for these tests, this encoder and this "
        "budget.",
        *([ORACLE] if group.oracles else []),
    ]


# --- figures ----------------------------------------------------------------------------------------------------------


_EXTRA = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->|<!DOCTYPE.*?>|(?<=<g) id=\"[^\"]*\"", re.DOTALL)
_PATH = re.compile(r'(?<= d=")[^"]*(?=")|(?<= [xy]=")[^"]*(?=")')
_FRACTION = re.compile(r"(\.\d\d)\d+")
_UNSAFE = str.maketrans({"%": "%25", "#": "%23", '"': "%22", "<": "%3C", ">": "%3E", "&": "%26"})


def _drawn(figure: Figure, anchor: str) -> dict[str, Any]:
    """The figure as inline SVG data, with its title and note."""
    title, note = (" ".join(text.split()) for text in (figure.get_suptitle(), figure.get_supxlabel()))
    width, height = (round(96 * float(inches)) for inches in without_words(figure).get_size_inches())
    data = Markup(compact(saved(figure, "svg").decode()).translate(_UNSAFE))
    return {"anchor": anchor, "title": title, "note": note, "width": width, "height": height, "data": data}


def compact(svg: str) -> str:
    """A smaller SVG: positions to a hundredth of a point, without metadata, comments and group ids."""
    svg = _PATH.sub(lambda match: _FRACTION.sub(r"\1", match[0]), _EXTRA.sub("", svg))
    return re.sub(r"\s+", " ", svg).replace("> <", "><").strip()


# --- facts of records beside their scores -----------------------------------------------------------------------------


def flat(record: Record) -> dict[str, str]:
    """The record's fields by dotted name, without those shown elsewhere (scores, key, seed, label, target)."""
    return dict(_flat("", vars(record)))


def _flat(where: str, value: Any) -> Iterator[tuple[str, str]]:
    if where in _TOLD:
        return
    if isinstance(value, Resources | Cost):
        value = vars(value)
    if isinstance(value, dict) and value:
        for part, inner in value.items():
            yield from _flat(f"{where}.{part}" if where else str(part), inner)
    elif type(value) is int:  # most values, and a tenth of canonical_json's time
        yield where, str(value)
    elif value not in (None, {}, [], (), ""):
        yield where, value if isinstance(value, str) else canonical_json(value)


def shared(facts: Sequence[Facts]) -> dict[str, str]:
    """The fields that have the same value in all records."""
    return dict(set.intersection(*(set(fields.items()) for fields in facts))) if facts else {}


def by_seed(stored: Sequence[Stored], facts: Mapping[str, Facts], known: Facts) -> list[tuple[str, list[str]]]:
    """Fields of a cell's records that are not in `known`: one value for each seed, or a single one if all agree."""
    fields = [facts[run.record.key] for run in stored]
    names = sorted({where for record in fields for where in record if where not in known})
    values = {where: [record.get(where, "–") for record in fields] for where in names}
    return [(where, texts[:1] if len(set(texts)) == 1 else texts) for where, texts in values.items()]


def environment(facts: Sequence[Facts]) -> list[tuple[str, list[tuple[str, int]], int]]:
    """Versions, devices and code: each field, its most frequent values with record counts, and how many are not listed.

    If there are too many values to list and all are numbers, their range is given instead.
    """
    counts: dict[str, Counter[str]] = {}
    for where, text in (item for record in facts for item in record.items()):
        if where.startswith(("sources.", "versions.", "ran.", "code", "commit", "matrix")):
            counts.setdefault(where, Counter())[text] += 1
    rows = []
    for where, values in sorted(counts.items()):
        listed = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
        if len(listed) > _MOST_VALUES and all(text.isdigit() for text in values):
            numbers = sorted(map(int, values))
            listed = [(f"{numbers[0]} to {numbers[-1]} ({len(numbers)} values)", values.total())]
        rows.append((where, listed[:_MOST_VALUES], max(0, len(listed) - _MOST_VALUES)))
    return rows
