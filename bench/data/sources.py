"""A matrix's repositories on the hub: resolved once, kept in OUT/sources.lock.json, fetched before the first cell."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.api.hub import HubName, Pinned, cached, fetch_shown, offline, resolve
from bench.api.method import LINKED, Need
from bench.api.recipes import Corpus, Translator
from bench.core.errors import BadInput
from bench.core.files import write_json
from bench.data.encoders import check_config, configuration, hub_name, is_hub_id
from bench.plan import registry
from bench.plan.matrix import Cell, every_target, needs_of_method, reads_links
from bench.plan.sections import EncoderSpec
from bench.plan.units import method_of, trains

FILE = "sources.lock.json"
Roles = Mapping[str, tuple[HubName, ...]]  # corpus, encoder, aligner_encoder, translator


def names_of(cell: Cell) -> Roles:
    """By role the repositories that a cell reads from the hub."""
    roles: dict[str, list[HubName]] = {}
    if trains(cell) and is_hub_id(cell.encoder):
        roles["encoder"] = [hub_name(cell.encoder, cell.recipe)]
    if cell.broken:
        return {role: tuple(names) for role, names in roles.items()}
    method = method_of(cell)
    needs = needs_of_method(method)
    targets = [other.target for other in (every_target(cell) if Need.ALL_TARGETS in needs else [cell])]
    corpus: Corpus = registry.make("corpus", cell.data.corpus, cell.corpus_params)
    roles["corpus"] = list(corpus.hub_names(list(dict.fromkeys([cell.source, *targets]))))
    pairs = [(cell.source, target) for target in targets if needs & (LINKED | {Need.SECOND_TRANSLATION})]
    pairs += [(cell.target, cell.source)] * (Need.TEST_TRANSLATION in needs)
    if pairs or Need.PARALLEL_TEXT in needs:
        translator: Translator = registry.make("translator", cell.labels.translator, cell.translator_params)
        roles["translator"] = [name for pair in pairs for name in translator.hub_names(*pair)]
        embeds = registry.load("aligner", cell.labels.aligner).embeds
        linked = reads_links(method, cell.labels) or needs & {Need.TEST_TRANSLATION, Need.PARALLEL_TEXT}
        if embeds and linked and cell.labels.aligner_encoder and is_hub_id(cell.labels.aligner_encoder):
            roles["aligner_encoder"] = [hub_name(cell.labels.aligner_encoder, cell.aligner_recipe)]
    return {role: tuple(dict.fromkeys(names)) for role, names in roles.items() if names}


def with_commits(cells: Sequence[Cell], out: Path, upgrade: bool = False) -> tuple[list[Cell], list[Pinned]]:
    """The cells with the commits that they read, and the new lock of OUT, which is not written yet.

    What the lock holds stays as it is; with `upgrade` everything is resolved anew, and changes are printed.

    Raises:
        BadInput: a source cannot be had, or the lock is damaged.
    """
    roles = [names_of(cell) for cell in cells]
    lock = {_address(pinned): pinned for pinned in read_lock(out)}
    for name in merged(names for role in roles for names in role.values()):
        known = lock.get(_address(name))
        if known is None or upgrade or not set(name.patterns) <= set(known.patterns):
            kept = None if upgrade else known  # a source that is known stays at its commit, with more of its files
            patterns = tuple(dict.fromkeys([*(kept.patterns if kept else ()), *name.patterns]))
            new = resolve(replace(name, revision=kept.commit if kept else name.revision, patterns=patterns))
            new = replace(new, conversion=kept.conversion) if kept else new
            lock[_address(name)] = replace(
                new, asked=name.revision, when=datetime.now(UTC).isoformat(timespec="seconds")
            )
            if known is not None and (commit := lock[_address(name)].commit) != known.commit:
                print(f"{name.id}: commit {known.commit} becomes {commit}", file=sys.stderr)
    return [_pinned(cell, role, lock) for cell, role in zip(cells, roles, strict=True)], list(lock.values())


def _address(source: HubName | Pinned) -> tuple[str, str, str]:
    return source.kind, source.id, source.asked if isinstance(source, Pinned) else source.revision


def merged(names: Iterable[Iterable[HubName]]) -> list[HubName]:
    """Each repository and revision once, with all patterns that are read of it."""
    every: dict[tuple[str, str, str], HubName] = {}
    for name in (name for some in names for name in some):
        before = every.setdefault(_address(name), name)
        if before.patterns != name.patterns:
            patterns = tuple(dict.fromkeys(before.patterns + name.patterns))
            every[_address(name)] = replace(before, patterns=patterns)
    return list(every.values())


def _pinned(cell: Cell, roles: Roles, lock: Mapping[tuple[str, str, str], Pinned]) -> Cell:
    """The cell with a list of commits, `OWNER/NAME@COMMIT …`, as each revision."""
    lists: dict[str, dict[str, Any]] = {
        role: {"revision": " ".join(f"{name.id}@{lock[_address(name)].commit}" for name in names)}
        for role, names in roles.items()
    }
    return replace(
        cell,
        corpus_params={**cell.corpus_params, **lists.get("corpus", {})},
        translator_params={**cell.translator_params, **lists.get("translator", {})},
        recipe=replace(cell.recipe, **lists.get("encoder", {})),
        aligner_recipe=replace(cell.aligner_recipe, **lists.get("aligner_encoder", {})),
    )


def named(cell: Cell) -> dict[str, str]:
    """By role `OWNER/NAME@COMMIT` of what a cell with its commits read from the hub: for its record."""
    roles = {role: " ".join(f"{n.id}@{n.commit}" for n in names if n.commit) for role, names in names_of(cell).items()}
    return {role: text for role, text in roles.items() if text}


def read_lock(out: Path) -> list[Pinned]:
    """The content of OUT/sources.lock.json, [] if there is none; BadInput if it is not what `xner run` writes."""
    try:
        rows = json.loads((out / FILE).read_text(encoding="utf-8"))["sources"]
        return [Pinned(**{**row, "patterns": tuple(row["patterns"])}) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{out / FILE}: not written by xner run: {error}; remove it and run with --upgrade") from error


def write_lock(out: Path, lock: Sequence[Pinned]) -> None:
    """Publish OUT/sources.lock.json if there are any sources."""
    if lock:
        write_json(out / FILE, {"sources": [asdict(pinned) for pinned in lock]})


def not_cached(cells: Iterable[Cell], kind: str = "") -> list[HubName]:
    """The repositories (of a kind: model, dataset) of cells with their commits that the hub's cache lacks."""
    names = [[n for n in some if kind in ("", n.kind)] for cell in cells for some in names_of(cell).values()]
    return [name for name in merged(names) if cached(name, name.commit) is None]


def refuse_unfit_encoders(cells: Iterable[Cell]) -> None:
    """Refuse, before weights are fetched, the hub's encoders of cells with their commits that cannot work.

    Offline, encoders that are not cached are not checked.

    Raises:
        BadInput: as `refuse_unfit`; or one has no fast tokenizer; or the hub does not give its configuration.
    """
    encoders: dict[tuple[HubName, EncoderSpec], None] = {}
    for cell in cells:
        for role, recipe in (("encoder", cell.recipe), ("aligner_encoder", cell.aligner_recipe)):
            encoders |= {(name, recipe): None for name in names_of(cell).get(role, ())}
    for name, recipe in encoders:
        small, label = configuration(name), f"encoder '{name.id}'"
        folder = cached(small, name.commit)
        if folder is None and not offline():
            folder = fetch_shown(small, name.commit, which="configuration and tokenizer")
        if folder is not None:
            check_config(label, folder, recipe)
            if not (folder / "tokenizer.json").is_file():  # transformers may make one of the other files
                from bench.data.loading import fast_tokenizer

                fast_tokenizer(label, folder)


def fetch_all(names: Sequence[HubName], lock: Sequence[Pinned]) -> None:
    """Fetch these, each with a bar of bytes or a line. BadInput as `fetch`."""
    sizes = {(pinned.id, pinned.commit): pinned.bytes for pinned in lock}
    for number, name in enumerate(names, 1):
        fetch_shown(name, name.commit, sizes.get((name.id, name.commit), 0), f"{number} of {len(names)}")
