"""`xner data list | fetch | check`: which corpora there are, bringing their files here, and reading everything once."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.plan.spec import add_settings, parsed

if TYPE_CHECKING:
    from bench.api.recipes import Corpus
    from bench.api.source_files import SourceFile


@dataclass
class Checked:
    """What reading one corpus, or one folder of source files, found."""

    name: str
    findings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `data` with its three verbs."""
    parser = commands.add_parser("data", help="list, fetch and check corpora and their source files")
    verbs = parser.add_subparsers(metavar="list|fetch|check", required=True)

    listing = verbs.add_parser("list", help="corpora, source files, translators: licences, and what is here")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=run_list)

    fetching = verbs.add_parser(
        "fetch", help="bring a corpus's files here from pinned addresses and check their hashes"
    )
    fetching.add_argument(
        "name", metavar="NAME", help="a corpus, or a folder of source files such as uner or uner/en_pud"
    )
    fetching.add_argument("--languages", nargs="+", default=[], metavar="LANG", help="for a corpus on the hub")
    add_settings(fetching, "corpus")
    fetching.set_defaults(run=run_fetch)

    checking = verbs.add_parser("check", help="read everything, compare hashes, report overlaps and other findings")
    checking.add_argument("name", nargs="?", metavar="NAME", help="a corpus or a folder of source files (default: all)")
    checking.add_argument("--json", action="store_true", help="print JSON")
    add_settings(checking, "corpus")
    checking.set_defaults(run=run_check)


# --- list -------------------------------------------------------------------------------------------------------------


def run_list(args: argparse.Namespace) -> int:
    """Print corpora (languages, licence, state), folders of source files (files here of files listed), translators."""
    from bench.api.source_files import data_dir, files_of, folders
    from bench.plan import registry

    corpora = [_described(name) for name in registry.names("corpus")]
    translators = {name: _licence(name) for name in registry.names("translator")}
    sources = {folder: _presence(files_of(folder)) for folder in folders()}
    if args.json:
        print(
            json.dumps(
                {"corpora": corpora, "data_dir": str(data_dir()), "sources": sources, "translators": translators},
                indent=1,
                sort_keys=True,
            )
        )
        return 0
    for corpus in corpora:
        if error := corpus.get("error"):
            print(f"{corpus['name']}: {error}")
            continue
        languages = corpus["languages"]
        shown = " ".join(languages[:12]) + (f" … ({len(languages)})" if len(languages) > 12 else "")
        print(
            f"{corpus['name']}: {corpus['title']}\n  languages: {shown or 'none found'}\n  licence: {corpus['licence']}"
        )
        here = [f"{name} {counts['here']} of {counts['files']}" for name, counts in corpus["sources"].items()]
        print(f"  from: {corpus['url']}\n" * bool(corpus["url"]), end="")
        print(f"  files here: {', '.join(here)}\n" * bool(here), end="")
    print(f"source files in {data_dir()}:")
    for folder, counts in sources.items():
        print(f"  {folder}: {counts['here']} of {counts['files']} files here; {counts['licence']}")
    print("translators under a licence of their own:")
    for name, licence in translators.items():
        print(f"  {name}: {licence}\n" * bool(licence), end="")
    return 0


def _described(name: str) -> dict[str, Any]:
    from bench.api.source_files import files_of
    from bench.core.errors import BadInput
    from bench.plan import registry

    try:
        corpus = registry.make("corpus", name)
        languages = list(corpus.languages())
        sources = {folder: _presence(files_of(folder)) for folder in _sources(corpus)}
    except BadInput as error:  # one broken corpus must not hide the others
        return {"name": name, "error": str(error)}
    return {"name": name, "languages": languages, "sources": sources, **asdict(corpus.facts)}


def _licence(translator: str) -> str:
    from bench.core.errors import BadInput
    from bench.plan import registry

    try:
        return str(registry.load("translator", translator).licence)
    except BadInput as error:  # as for a broken corpus
        return str(error)


def _sources(corpus: Corpus) -> tuple[str, ...]:
    """The folders of source files that a corpus declares to read."""
    return tuple(getattr(corpus, "sources", ()))


def _presence(files: tuple[SourceFile, ...]) -> dict[str, Any]:
    licences = sorted({source.licence for source in files})
    return {
        "files": len(files),
        "here": sum(source.local.is_file() for source in files),
        "licence": ", ".join(licences),
    }


# --- fetch ------------------------------------------------------------------------------------------------------------


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch the listed files of a corpus or folder; of a corpus on the hub its languages: verified, and read.

    Raises:
        BadInput: unknown name, a file that cannot be fetched or is not as published, or nothing to fetch.
    """
    from bench.api.hub import commit_of, verified
    from bench.api.source_files import fetch, files_of, folders
    from bench.core.errors import BadInput, nearest
    from bench.plan import registry

    corpora = registry.names("corpus")
    corpus = registry.make("corpus", args.name, parsed(args.settings)) if args.name in corpora else None
    if corpus is None and args.name.split("/")[0] not in folders():
        raise BadInput(f"no corpus or source folder '{args.name}'{nearest(args.name, [*corpora, *folders()])}")
    if args.languages and corpus is None:
        raise BadInput("--languages is for corpora, not for folders of source files")
    names = (args.name,) if corpus is None else () if corpus.hub_names(args.languages) else _sources(corpus)
    files = tuple(source for name in names for source in files_of(name))
    if licences := sorted({source.licence for source in files}):
        print(f"licence: {', '.join(licences)}")
    elif corpus:
        print(f"licence: {corpus.facts.licence}")
    counts = {"present": 0, "fetched": 0}
    for number, (source, outcome) in enumerate(fetch(files), 1):
        counts[outcome] += 1
        if outcome == "fetched":
            print(f"[{number}/{len(files)}] {source.path}", file=sys.stderr)
    if files:
        print(f"{args.name}: {counts['fetched']} files fetched, {counts['present']} were here")
    elif corpus is None or not args.languages:
        raise BadInput(f"corpus '{args.name}' lists no source files; name the --languages to download, if it has a hub")
    if corpus is None:
        return 0
    for name in corpus.hub_names(args.languages or corpus.languages()):
        _, again = verified(name, commit_of(name))
        if again:
            print(f"{name.id}: {again} files fetched again: not as published", file=sys.stderr)
    for language in args.languages:
        sizes = [f"{split} {len(corpus.read(language, split))}" for split in ("train", "dev", "test")]
        print(f"{args.name} {language}: {', '.join(sizes)} sentences")
    return 0


# --- check ------------------------------------------------------------------------------------------------------------


def run_check(args: argparse.Namespace) -> int:
    """Hash the source files and read the corpora; 1 when a file is damaged or a corpus cannot be read.

    Raises:
        BadInput: no corpus or folder has this name, or a setting is wrong.
    """
    from bench.api.source_files import folders
    from bench.core.errors import BadInput, nearest
    from bench.plan import registry

    corpora = registry.names("corpus")
    if args.name is not None and args.name not in corpora and args.name.split("/")[0] not in folders():
        raise BadInput(f"no corpus or source folder '{args.name}'{nearest(args.name, [*corpora, *folders()])}")
    if args.name is None and args.settings:
        raise BadInput("--set needs the NAME of the corpus that it is for")
    names = corpora if args.name is None else [args.name] if args.name in corpora else []
    results = [_checked_corpus(name, parsed(args.settings)) for name in names]
    plain = folders() if args.name is None else () if args.name in corpora else (args.name,)
    results.extend(_checked_files(folder) for folder in plain)
    if args.json:
        print(json.dumps([asdict(result) for result in results], indent=1, sort_keys=True, ensure_ascii=False))
    else:
        for result in results:
            for line in result.findings or ([] if result.errors else ["nothing to report"]):
                print(f"{result.name}: {line}")
            for line in result.errors:
                print(f"{result.name}: error: {line}")
    return 1 if any(result.errors for result in results) else 0


def _checked_corpus(name: str, settings: dict[str, Any]) -> Checked:
    from bench.core.errors import BadInput
    from bench.plan import registry

    result = Checked(name)
    try:
        corpus = registry.make("corpus", name, settings)
        folders = [_checked_files(folder) for folder in _sources(corpus)]
        for folder in folders:
            result.findings.extend(f"{folder.name}: {line}" for line in folder.findings)
            result.errors.extend(f"{folder.name}: {line}" for line in folder.errors)
        result.findings.extend(corpus.check())
    except BadInput as error:  # the other corpora are still worth reading
        result.errors.append(str(error))
    return result


def _checked_files(folder: str) -> Checked:
    from bench.api.source_files import files_of

    states = [(source, source.state()) for source in files_of(folder)]
    result = Checked(folder)
    result.errors.extend(
        f"{source.path} is not as published (another sha256); 'xner data fetch {folder}' replaces it"
        for source, state in states
        if state == "damaged"
    )
    present = sum(state == "present" for _, state in states)
    absent = sum(state == "absent" for _, state in states)
    result.findings.append(
        f"{present} of {len(states)} files as published" + (f", {absent} not here" if absent else "")
    )
    return result
