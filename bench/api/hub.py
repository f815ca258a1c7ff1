"""All access to the Hugging Face hub: names to commits, the files of a commit, and its errors in one line each.

`huggingface_hub` is imported when it is needed, so that names, help and plans without a hub name stay light.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache, partial
from pathlib import Path
from time import sleep
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from bench.core.errors import BadInput
from bench.core.files import cache_root, write_json

Kind = Literal["model", "dataset"]
T = TypeVar("T")

ID = re.compile(r"[\w.-]+/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")
CONVERTER, CONVERSION = "SFconvertbot", "Adding `safetensors` variant"  # the hub's bot and the titles that it gives
TOKENIZERS = ("tokenizer.json", "vocab*", "*.model", "*.spm")  # one of these holds a tokenizer's pieces
NESTED = ["*/*"]  # files in folders, such as onnx/model.onnx
TRIES = 4
LONGEST_WAIT = 60.0  # seconds that a Retry-After may ask for; beyond that the user decides
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})  # what huggingface_hub reads as set


@dataclass(frozen=True)
class HubName:
    """A repository as a user names it; `patterns` are the files to read.

    In cells whose sources are resolved `revision` is a list `OWNER/NAME@COMMIT …`, see `commit`. `safetensors`: if the
    revision has only pickled weights, look for the hub's own conversion.
    """

    kind: Kind
    id: str
    revision: str = ""
    patterns: tuple[str, ...] = ()
    safetensors: bool = False

    @property
    def commit(self) -> str:
        """The commit of this repository in such a list; "" if `revision` is no list or lacks it."""
        entries = [entry.rpartition("@") for entry in self.revision.split() if "/" in entry.rpartition("@")[0]]
        return next((commit for repository, _, commit in entries if repository == self.id), "")


@dataclass(frozen=True)
class Pinned:
    """A repository at a commit, as lock files and records hold it."""

    kind: Kind
    id: str
    asked: str  # the revision as named; "" is the default branch
    commit: str
    conversion: str = ""  # the pull request whose safetensors are read in place of pickled weights
    licence: str = ""
    bytes: int = 0  # of the files that are read
    patterns: tuple[str, ...] = ()  # of those files
    when: str = ""  # time of resolution: UTC, ISO 8601


def offline() -> bool:
    """Whether the hub is switched off by HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE, as huggingface_hub reads them."""
    return (os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or "").upper() in _TRUE


def resolve(name: HubName) -> Pinned:
    """The commit that a name stands for now, its licence and the size of its files; offline what it stood for last.

    Raises:
        BadInput: it is not available (with the status and the remedy); or it has only pickled weights and no
            conversion; or a data set has no file of a pattern (a language that it lacks).
    """
    if offline():
        return _remembered(name)
    info = _info(name, name.revision or None)
    reference = ""
    if name.safetensors and not any(fnmatch(file, "*.safetensors") for file in _read(name, info)):
        reference = _conversion(name)
        info = _info(name, reference)
    files = _read(name, info)
    for pattern in name.patterns if name.kind == "dataset" else ():
        if not any(fnmatch(file, pattern) for file in files):
            raise BadInput(f"data set {name.id} has no {pattern} at revision '{name.revision or 'main'}'")
    licence = str(getattr(info.card_data, "license", "") or "") if getattr(info, "card_data", None) else ""
    size = sum(size or 0 for size in files.values())
    pinned = Pinned(name.kind, name.id, name.revision, str(info.sha), reference, licence, size, name.patterns)
    if pinned.commit != name.revision:
        write_json(_note(name), {"commit": pinned.commit, "conversion": reference})
    return pinned


def _note(name: HubName) -> Path:
    """Where `resolve` notes the commit: files are fetched by commit, so the client's cache cannot tell a branch's."""
    parts = (name.kind, name.id, name.revision or "main")
    return cache_root() / "revisions" / f"{'@'.join(quote(part, safe='') for part in parts)}.json"


def _remembered(name: HubName) -> Pinned:
    """The name at the commit that it was last resolved to here or, without a note, that the client's cache has."""
    commit, conversion = name.revision, ""
    try:
        note = json.loads(_note(name).read_bytes())
        commit, conversion = str(note["commit"]), str(note["conversion"])
    except (OSError, ValueError, KeyError, TypeError):  # never resolved here, or a note that was cut short
        if not COMMIT.fullmatch(commit):
            some = name if name.kind == "dataset" else replace(name, patterns=("config.json",))
            commit = fetch(some, name.revision or "main", local=True).name
    return Pinned(name.kind, name.id, name.revision, commit, conversion, patterns=name.patterns)


def here(name: HubName) -> Path | None:
    """The folder with all of the name's files if they are in the cache; None otherwise. Never asks the hub."""
    try:
        return cached(name, name.commit or _remembered(name).commit)
    except BadInput:
        return None


def _read(name: HubName, info: Any) -> dict[str, int | None]:
    """The files that are read, with their sizes: of a model those at the top, where transformers looks for them."""
    every = {file.rfilename: file.size for file in info.siblings}
    some = every if name.kind == "dataset" else {file: size for file, size in every.items() if "/" not in file}
    return {f: size for f, size in some.items() if not name.patterns or any(fnmatch(f, p) for p in name.patterns)}


@lru_cache(maxsize=256)
def commit_of(name: HubName) -> str:
    """The commit to read: from a list of commits, else what the revision stands for, which is printed once a process.

    BadInput as `resolve`, but that a language which a data set lacks is found when it is read.
    """
    if name.commit:
        return name.commit
    if name.kind == "dataset" and name.patterns and not offline():
        return commit_of(replace(name, patterns=()))  # one commit, asked for once, for all languages
    if COMMIT.fullmatch(name.revision) and (not name.safetensors or cached(name, name.revision)):
        return name.revision
    if "@" in name.revision:
        name = replace(name, revision="")
    commit = resolve(name).commit
    if commit != name.revision:
        told = f"revision {name.revision or 'main'} is read at commit {commit}; pin it to make the run repeatable"
        print(f"{name.id}: {told}", file=sys.stderr)
    return commit


def fetch(name: HubName, commit: str, *, local: bool = False, bars: bool = False) -> Path:
    """The folder with the files of a commit that match the name's patterns, downloaded if they are not cached.

    Interrupted downloads resume. `local` looks only into the cache, `bars` shows the client's. BadInput as `resolve`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    (enable_progress_bars if bars else disable_progress_bars)()
    patterns, left = list(name.patterns) or None, None if name.kind == "dataset" else NESTED
    download = partial(snapshot_download, name.id, repo_type=name.kind, revision=commit, ignore_patterns=left)
    return Path(retried(name, lambda: download(allow_patterns=patterns, local_files_only=local or offline())))


def cached(name: HubName, commit: str) -> Path | None:
    """The folder of a commit if the cache has all of its files, else None."""
    try:
        folder = fetch(name, commit, local=True)
    except BadInput:
        return None
    if name.kind == "dataset":  # some clients take a folder for the whole of it
        return folder if all(any(folder.glob(pattern)) for pattern in name.patterns) else None
    return None if _lacking(folder, name.safetensors) else folder


def _lacking(folder: Path, weights: bool) -> str:
    """What a model's folder lacks, "" if nothing: another tool may have cached a part, which the client cannot tell."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not any(any(folder.glob(pattern)) for pattern in TOKENIZERS):
        return "its tokenizer"
    if not weights:
        return ""
    if not any(folder.glob("*.safetensors")):
        return "*.safetensors"
    for index in folder.glob("*.safetensors.index.json"):
        try:
            shards = sorted({str(shard) for shard in json.loads(index.read_bytes())["weight_map"].values()})
        except (ValueError, TypeError, KeyError, AttributeError):  # no index of transformers
            return index.name
        if (missing := next((shard for shard in shards if not (folder / shard).is_file()), None)) is not None:
            return missing
    return ""


def fetch_shown(name: HubName, commit: str, size: int = 0, which: str = "") -> Path:
    """As `fetch`; a download of about `size` bytes prints a line, and on a terminal shows bars."""
    if (folder := cached(name, commit)) is not None:
        return folder
    if offline():
        lacking = _lacking(fetch(name, commit), name.safetensors)
        raise BadInput(f"{name.kind} {name.id}: {lacking} is not in the hub's cache: run once without --offline")
    facts = ", ".join(filter(None, (which, f"{size / 1e6:.1f} MB" if size else "")))
    print(f"fetching {name.kind} {name.id}{f' ({facts})' if facts else ''}", file=sys.stderr, flush=True)
    return fetch(name, commit, bars=sys.stderr.isatty())


def verified(name: HubName, commit: str) -> tuple[Path, int]:
    """As `fetch`, with each file hashed; damaged files are fetched again, and counted."""
    bad = 0
    for path in sorted(fetch(name, commit).rglob("*")):
        blob = path.parent / path.readlink() if path.is_symlink() else path  # named by the hash of its content
        if path.is_file() and blob.parent.name == "blobs":
            data = hashlib.sha256() if len(blob.name) == 64 else hashlib.sha1(b"blob %d\0" % blob.stat().st_size)
            with blob.open("rb") as opened:
                while part := opened.read(1 << 20):
                    data.update(part)
            if data.hexdigest() != blob.name:
                blob.resolve().unlink()  # newer clients keep it elsewhere, behind another link
                blob.unlink(missing_ok=True)
                bad += 1
    return fetch(name, commit), bad


def _info(name: HubName, revision: str | None) -> Any:
    from huggingface_hub import HfApi

    ask = partial(HfApi().repo_info, name.id, repo_type=name.kind, revision=revision)
    return retried(name, lambda: ask(files_metadata=True))


def _conversion(name: HubName) -> str:
    """The pull request in which the hub's bot stored the same weights as safetensors."""
    from huggingface_hub import HfApi

    opened = partial(HfApi().get_repo_discussions, name.id, author=CONVERTER, discussion_type="pull_request")
    for discussion in retried(name, lambda: list(opened())):
        if discussion.title.startswith(CONVERSION) and discussion.author == CONVERTER and discussion.git_reference:
            return str(discussion.git_reference)
    raise BadInput(
        f"{name.id} has no safetensors at revision '{name.revision or 'main'}', and pickled weights are not loaded; "
        "name a revision that has them (refs/pr/<number> of the hub's conversion bot), or a local folder"
    )


def retried(name: HubName, call: Callable[[], T]) -> T:
    """The value of `call`, tried again with longer and longer pauses if the hub or the network may recover.

    The client's own retries and log lines are off: it would wait minutes for a rate limit, again and again.
    """
    from huggingface_hub import get_session
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import logging

    client_error: Any = HfHubHTTPError.__bases__[0]  # of the HTTP client that is installed
    logging.set_verbosity_error()
    for attempt in range(1, TRIES + 1):
        try:
            hooks = getattr(get_session(), "event_hooks", {"response": [_raise_at_once]})  # older clients never wait
            if _raise_at_once not in hooks["response"]:
                hooks["response"].append(_raise_at_once)
            return call()
        except (client_error, OSError, ValueError, RuntimeError) as error:
            status, asked, pause = _status(error), _retry_after(error), float(2 ** (attempt - 1))
            passes = asked <= LONGEST_WAIT if status == 429 else status >= 500 if status else _is_network(error)
            if not passes or attempt == TRIES:
                raise BadInput(_in_words(name, error) + _no_folder(name)) from error
        sleep(max(asked, pause) if status == 429 else pause)
    raise AssertionError("unreachable")


def _raise_at_once(response: Any) -> None:
    if response.status_code == 429 or response.status_code >= 500:
        response.raise_for_status()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes: the client wraps the hub's answer in an error that says "not in the cache"."""
    for _ in range(20):
        if error is not None:
            yield error
            error = error.__cause__ or error.__context__


def _responses(error: BaseException) -> list[Any]:
    return [response for cause in _chain(error) if (response := getattr(cause, "response", None)) is not None]


def _status(error: BaseException) -> int | None:
    return next((int(response.status_code) for response in _responses(error)), None)


def _retry_after(error: BaseException) -> float:
    values = [response.headers.get("Retry-After", "") for response in _responses(error)]
    return next((float(value) for value in values if value.isdigit()), 0.0)


def _is_network(error: BaseException) -> bool:
    """Whether the connection failed: none, cut, too slow. By the names of classes, as HTTP clients differ.

    A bare RuntimeError is what hf_xet, which fetches large files, raises for all of these.
    """
    names = {cls.__name__ for cause in _chain(error) for cls in type(cause).__mro__}
    return type(error) is RuntimeError or bool(names & {"TransportError", "ConnectionError", "TimeoutError"})


def _no_folder(name: HubName) -> str:
    """For a model's id that looks like the path of a folder, since a misspelt path is taken for an id."""
    looks_so = name.kind == "model" and "/" in name.id and Path(name.id).parent.is_dir()
    return f"; nor is there a folder {name.id} here" if looks_so else ""


def _in_words(name: HubName, error: BaseException) -> str:
    """One line: what is not available, the answer, and what to do."""
    from huggingface_hub import constants, errors

    kind = {"model": "model", "dataset": "data set"}[name.kind]
    page = f"{constants.ENDPOINT}/{'datasets/' if name.kind == 'dataset' else ''}{name.id}"
    repository, chain, status = f"{kind} {name.id}", list(_chain(error)), _status(error)

    def is_a(kind: type[BaseException]) -> bool:
        return any(isinstance(cause, kind) for cause in chain)

    told = " ".join(str(response.headers.get("X-Error-Message", "")) for response in _responses(error))
    if is_a(errors.HFValidationError):
        return f"'{name.id}' is not a hub id: expected OWNER/NAME"
    if "Invalid credentials" in told or (status == 401 and not is_a(errors.RepositoryNotFoundError)):
        return f"{repository}: the hub refuses the token (401): log in again (`hf auth login`), or unset HF_TOKEN"
    if is_a(errors.GatedRepoError):
        if status == 403:
            return f"{repository} is gated, and this account has no access (403): ask for it at {page}"
        return f"{repository} is gated (401): accept its licence at {page}, then log in (`hf auth login`)"
    if is_a(errors.RevisionNotFoundError):
        return f"{repository} has no revision '{name.revision or 'main'}' (404): see {page}/commits/main"
    if is_a(errors.RepositoryNotFoundError):
        return f"{repository}: the hub has no such {kind}, or it is private ({status}): check the name, or log in"
    if is_a(errors.DisabledRepoError):
        return f"{repository} is disabled ({status}): see {page}"
    if status == 429:
        advice = f"wait {wait:.0f} s and run again" if (wait := _retry_after(error)) else "log in, or wait"
        return f"{repository}: too many requests (429): {advice}"
    if status is not None:
        return f"{repository}: the hub answered {status}: run again later; what is cached is read with --offline"
    if offline() or is_a(errors.OfflineModeIsEnabled):
        return f"{repository}: {', '.join(name.patterns) or 'it'} is not in the hub's cache: run once without --offline"
    if _is_network(error):
        cause = [link for link in chain if _is_network(link)][-1]
        why = next(iter(str(cause).splitlines()), "") if type(cause) is RuntimeError else type(cause).__name__
        advice = "check the network; what is cached is read with --offline"
        return f"{repository}: the hub cannot be reached ({why}): {advice}"
    if is_a(errors.LocalEntryNotFoundError):
        return f"{repository}: {', '.join(name.patterns) or 'it'} is not in the hub's cache"
    return f"{repository}: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
