"""`xner data list | fetch | check`: list corpora, fetch their files, and check them by reading everything once."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from bench.api.hub import commit_of, verified
from bench.api.recipes import Corpus
from bench.api.source_files import SourceFile, data_dir, fetch, files_of, folders
from bench.core.errors import BadInput, nearest
from bench.plan import registry
from bench.plan.schema import to_plain
from bench.plan.spec import add_settings, parsed


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("data", help="list, fetch and check corpora and their source files")
    verbs = parser.add_subparsers(metavar="list|fetch|check", required=True)
    about = "list corpora, source files and translators, their licences, and which files are on this machine"
    listing = verbs.add_parser("list", help=about)
    about = "download a corpus's files from pinned addresses and check their hashes"
    fetching = verbs.add_parser("fetch", help=about)
    about = "a corpus, or a folder of source files such as uner or uner/en_pud"
    fetching.add_argument("name", metavar="NAME", help=about)
    fetching.add_argument("--languages", nargs="+", default=[], metavar="LANG", help="for a corpus on the hub")
    about = "read everything, compare hashes, report overlaps and other findings"
    checking = verbs.add_parser("check", help=about)
    checking.add_argument("name", nargs="?", metavar="NAME", help="a corpus or a folder of source files (default: all)")
    for verb in (listing, checking):
        verb.add_argument("--json", action="store_true", help="print JSON")
    for verb in (fetching, checking):
        add_settings(verb, "corpus")
    for verb, run in ((listing, run_list), (fetching, run_fetch), (checking, run_check)):
        verb.set_defaults(run=run)


def _is_corpus(name: str) -> bool:
    """Whether the name is that of a corpus, not of a folder; BadInput where it is neither."""
    corpora = registry.names("corpus")
    if name not in corpora and name.split("/")[0] not in folders():
        raise BadInput(f"no corpus or source folder '{name}'{nearest(name, [*corpora, *folders()])}")
    return name in corpora


def _sources(corpus: Corpus) -> tuple[str, ...]:
    """The folders of source files that a corpus reads."""
    return tuple(getattr(corpus, "sources", ()))


def run_list(args: argparse.Namespace) -> int:
    """Print corpora (languages, licence, state), folders of source files (how many are here), translators."""
    corpora: list[dict[str, Any]] = []
    for name in registry.names("corpus"):
        try:
            corpus: Corpus = registry.make("corpus", name)
            presence = {folder: _presence(files_of(folder)) for folder in _sources(corpus)}
            corpora.append({"name": name, "languages": list(corpus.languages()), "sources": presence})
            corpora[-1] |= to_plain(corpus.facts)
        except BadInput as error:  # one broken corpus must not hide the others
            corpora.append({"name": name, "error": str(error)})
    translators: dict[str, str] = {}
    for name in registry.names("translator"):
        try:
            translators[name] = str(registry.load("translator", name).licence)
        except BadInput as error:
            translators[name] = str(error)
    sources = {folder: _presence(files_of(folder)) for folder in folders()}
    if args.json:
        whole = {"corpora": corpora, "data_dir": str(data_dir()), "sources": sources, "translators": translators}
        print(json.dumps(whole, indent=1, sort_keys=True))
        return 0
    for described in corpora:
        if "error" in described:
            print(f"{described['name']}: {described['error']}")
            continue
        languages = described["languages"]
        shown = " ".join(languages[:12]) + (f" … ({len(languages)})" if len(languages) > 12 else "")
        print(f"{described['name']}: {described['title']}\n  languages: {shown or 'none found'}")
        print(f"  licence: {described['licence']}")
        files = [f"{name} {counts['here']} of {counts['files']}" for name, counts in described["sources"].items()]
        print(f"  from: {described['url']}\n" * bool(described["url"]), end="")
        print(f"  files here: {', '.join(files)}\n" * bool(files), end="")
    print(f"source files in {data_dir()}:")
    for folder, counts in sources.items():
        print(f"  {folder}: {counts['here']} of {counts['files']} files here; {counts['licence']}")
    print("translators under a licence of their own:")
    for name, licence in translators.items():
        print(f"  {name}: {licence}\n" * bool(licence), end="")
    return 0


def _presence(files: tuple[SourceFile, ...]) -> dict[str, Any]:
    licence = ", ".join(sorted({source.licence for source in files}))
    return {"files": len(files), "here": sum(source.local.is_file() for source in files), "licence": licence}


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch and verify the listed files of a corpus or folder, or the languages of a corpus on the hub.

    Raises:
        BadInput: unknown name, a file that cannot be fetched or is not as published, or nothing to fetch.
    """
    corpus: Corpus | None = registry.make("corpus", args.name, parsed(args.settings)) if _is_corpus(args.name) else None
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
        raise BadInput(f"corpus '{args.name}' lists no source files; if it is on the hub, name the --languages")
    if corpus is None:
        return 0
    for repository in corpus.hub_names(args.languages or corpus.languages()):
        _, again = verified(repository, commit_of(repository))
        if again:
            print(f"{repository.id}: {again} files fetched again: not as published", file=sys.stderr)
    for language in args.languages:
        sizes = [f"{split} {len(corpus.read(language, split))}" for split in ("train", "dev", "test")]
        print(f"{args.name} {language}: {', '.join(sizes)} sentences")
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Hash the source files and read the corpora; 1 when a file is damaged or a corpus cannot be read.

    Raises:
        BadInput: no corpus or folder has this name, or a setting is wrong.
    """
    if args.name is None and args.settings:
        raise BadInput("--set needs the NAME of the corpus that it is for")
    settings = parsed(args.settings)
    if settings and _is_corpus(args.name):
        registry.make("corpus", args.name, settings).languages()
    results: list[tuple[str, list[str], list[str]]] = []
    for name in registry.names("corpus") if args.name is None else [args.name] if _is_corpus(args.name) else []:
        findings, errors = list[str](), list[str]()
        results.append((name, findings, errors))
        try:
            corpus: Corpus = registry.make("corpus", name, settings)
            for folder in _sources(corpus):
                for lines, more in zip((findings, errors), _checked_files(folder), strict=True):
                    lines += [f"{folder}: {line}" for line in more]
            findings += corpus.check()
        except BadInput as error:  # the other corpora are still worth reading
            errors.append(str(error))
    for folder in folders() if args.name is None else () if results else (args.name,):
        results.append((folder, *_checked_files(folder)))
    if args.json:
        rows = [dict(zip(("name", "findings", "errors"), result, strict=True)) for result in results]
        print(json.dumps(rows, indent=1, sort_keys=True, ensure_ascii=False))
    for name, findings, errors in () if args.json else results:
        for line in findings or ([] if errors else ["nothing to report"]):
            print(f"{name}: {line}")
        for line in errors:
            print(f"{name}: error: {line}")
    return 1 if any(errors for _, _, errors in results) else 0


def _checked_files(folder: str) -> tuple[list[str], list[str]]:
    """Findings and errors."""
    states = [(source, source.state()) for source in files_of(folder)]
    damaged = [source for source, state in states if state == "damaged"]
    present, absent = (sum(state == wanted for _, state in states) for wanted in ("present", "absent"))
    way_out = f"is not as published (another sha256); 'xner data fetch {folder}' replaces it"
    finding = f"{present} of {len(states)} files as published" + (f", {absent} not here" if absent else "")
    return [finding], [f"{source.path} {way_out}" for source in damaged]
