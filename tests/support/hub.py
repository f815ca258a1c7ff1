"""A small hub on this machine: folders as repositories, spoken to by the real client; faults on demand.

It speaks what the project asks for: repository infos with sizes, trees with paging, small files, LFS files (on another
origin, where no token may arrive), discussions, gated repositories.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

LFS = (".safetensors", ".bin", ".parquet", ".model")
GOOD, BAD = "hf_good", "hf_bad"  # tokens: one with access, one that is none
REVISION = r"(refs/pr/\d+|refs/convert/[^/]+|[^/]+)"


@dataclass
class Fault:
    """What the first request whose `METHOD path` matches gets instead, `times` times."""

    match: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # close the connection after so many bytes of a file
    sleep: float = 0.0
    times: int = 10**9


@dataclass
class Hub:
    """Repositories by kind and id: `folders[kind, id][revision]` is a folder of files."""

    folders: dict[tuple[str, str], dict[str, Path]] = field(default_factory=dict)
    discussions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    licences: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)  # repositories that were asked for
    sent: dict[str, dict[str, bytes]] = field(default_factory=dict)  # by repository the files of its last commit
    requests: list[str] = field(default_factory=list)  # `METHOD path`, in order
    page: int = 3  # entries of a tree's page
    url: str = ""
    files_url: str = ""

    def put(self, kind: str, name: str, folder: Path, revision: str = "main") -> None:
        """Serve a folder as a repository's revision; serving another one there changes the commit."""
        self.folders.setdefault((kind, name), {})[revision] = folder

    def commit(self, kind: str, name: str, revision: str = "main") -> str:
        """The commit of a revision: it changes with any file."""
        return _commit(revision, self.folders[kind, name][revision])

    def asked(self, pattern: str) -> int:
        """How many requests matched."""
        return sum(re.search(pattern, request) is not None for request in self.requests)


def conversion(name: str, number: int) -> dict[str, Any]:
    """The discussion in which the hub's bot offers a model's weights as safetensors."""
    author = {"name": "SFconvertbot", "type": "user"}
    row = {"num": number, "title": "Adding `safetensors` variant of this model", "author": author}
    row |= {"isPullRequest": True, "status": "open", "createdAt": "2023-03-31T15:38:38.000Z"}
    row |= {"repo": {"name": name, "type": "model"}, "numComments": 1, "topReactions": [], "numReactionUsers": 0}
    return row | {"pinned": False}


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _sha(path: Path) -> str:
    data = path.read_bytes()
    if path.name.endswith(LFS):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def _commit(revision: str, folder: Path) -> str:
    text = "\n".join([revision, *(f"{name} {_sha(folder / name)}" for name in files(folder))])
    return hashlib.sha1(text.encode()).hexdigest()


class _Quiet(ThreadingHTTPServer):
    """Whoever hangs up is no news."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing on standard error."""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub, answering on this machine until the block ends."""
    servers = [_Quiet(("127.0.0.1", 0), _handler(hub, of_files)) for of_files in (False, True)]
    hub.url, hub.files_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _handler(hub: Hub, of_files: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            """Nothing on standard error."""

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            """Make a repository, and commit files into it: all of them in the commit itself, whatever their size."""
            path, data = unquote(urlsplit(self.path).path), self.rfile.read(int(self.headers["Content-Length"]))
            hub.requests.append(f"POST {path}")
            if self.headers.get("Authorization") != f"Bearer {GOOD}":
                return self.error(401, "", "Invalid credentials in Authorization header")
            if path == "/api/repos/create":
                body = json.loads(data)
                made = f"{body['organization']}/{body['name']}"
                hub.made[made] = body
                return self.reply(200, json.dumps({"url": f"{hub.url}/{made}"}).encode())
            if path == "/api/validate-yaml":
                return self.reply(200, b'{"errors": [], "warnings": []}')
            name, what = re.fullmatch(r"/api/models/(.+)/(preupload|commit)/main", path).groups()  # type: ignore[union-attr]
            if what == "preupload":
                asked = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in json.loads(data)["files"]
                ]
                return self.reply(200, json.dumps({"files": asked}).encode())
            rows = [json.loads(line) for line in data.decode().splitlines()]
            sent = {row["value"]["path"]: row["value"]["content"] for row in rows if row["key"] == "file"}
            hub.sent[name] = {path: base64.b64decode(content) for path, content in sent.items()}
            self.reply(200, json.dumps({"commitUrl": f"{hub.url}/{name}/commit/1", "commitOid": "1" * 40}).encode())

        def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def error(self, status: int, code: str, message: str, **headers: str) -> None:
            named = {"X_Error_Code": code, "X_Error_Message": message} if code or message else {}
            self.reply(status, json.dumps({"error": message}).encode(), **named, **headers)

        def answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            request = f"{self.command} {'/files' if of_files else ''}{path}"
            hub.requests.append(request)
            fault = next((f for f in hub.faults if f.times > 0 and re.search(f.match, request)), None)
            if fault is not None:
                fault.times -= 1
                threading.Event().wait(fault.sleep)  # time.sleep is what tests take away
                if fault.status:
                    return self.error(fault.status, "", "", **fault.headers)
            self.cut = fault.cut if fault is not None else None
            if of_files:
                return self.of_files(path)
            api = re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(revision|tree|discussions)(?:/(.+))?)?", path)
            if api is None:
                stored = re.fullmatch(rf"/(datasets/)?([^/]+/[^/]+)/resolve/{REVISION}/(.+)", path)
                if stored is None:
                    return self.error(404, "", "no such page")
                return self.file("dataset" if stored[1] else "model", stored[2], stored[3], stored[4])
            kind, name, what, rest = api.groups()
            if (kind, name) not in hub.folders:
                status = 404 if self.headers.get("Authorization") else 401
                return self.error(status, "RepoNotFound", "Repository not found")
            if what == "discussions":
                rows = hub.discussions.get(name, [])
                body = {"discussions": rows, "count": len(rows), "start": 0}
                return self.reply(200, json.dumps(body).encode())
            return self.tree(kind, name, rest) if what == "tree" else self.info(kind, name, rest or "main")

        def at(self, kind: str, name: str, revision: str) -> tuple[Path, str] | None:
            for branch, folder in hub.folders.get((kind, name), {}).items():
                commit = _commit(branch, folder)
                if revision in (branch, commit):
                    return folder, commit
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None

        def info(self, kind: str, name: str, revision: str) -> None:
            if (found := self.at(kind, name, revision)) is None:
                return
            folder, commit = found
            rows = [{"rfilename": file, "size": (folder / file).stat().st_size} for file in files(folder)]
            body = {"id": name, "sha": commit, "private": False, "gated": name in hub.gated, "siblings": rows}
            body |= {"tags": [], "downloads": 0, "likes": 0, "cardData": {"license": hub.licences.get(name, "mit")}}
            self.reply(200, json.dumps(body).encode())

        def tree(self, kind: str, name: str, revision: str) -> None:
            if (found := self.at(kind, name, revision)) is None:
                return
            folder = found[0]
            rows = []
            for file in files(folder):
                size, sha = (folder / file).stat().st_size, _sha(folder / file)
                row: dict[str, Any] = {"type": "file", "path": file, "size": size, "oid": sha[:40]}
                rows.append(
                    row | ({"lfs": {"oid": sha, "size": size, "pointerSize": 134}} if file.endswith(LFS) else {})
                )
            start = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
            headers = {}
            if start + hub.page < len(rows):
                more = f"{hub.url}{urlsplit(self.path).path}?recursive=true&cursor={start + hub.page}"
                headers["Link"] = f'<{more}>; rel="next"'
            self.reply(200, json.dumps(rows[start : start + hub.page]).encode(), **headers)

        def file(self, kind: str, name: str, revision: str, file: str) -> None:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if token == BAD:
                return self.error(401, "", "Invalid credentials in Authorization header")
            if name in hub.gated and token != GOOD:
                return self.error(403 if token else 401, "GatedRepo", f"Access to {kind} {name} is restricted")
            if (found := self.at(kind, name, revision)) is None:
                return
            folder, commit = found
            path = folder / file
            if not path.is_file():
                return self.error(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit)
            sha = _sha(path)
            if file.endswith(LFS):
                size = str(path.stat().st_size)
                linked = {"X_Linked_Etag": f'"{sha}"', "X_Linked_Size": size, "X_Repo_Commit": commit}
                return self.reply(302, b"", Location=f"{hub.files_url}{quote(str(path))}", **linked)
            self.content(path, X_Repo_Commit=commit, ETag=f'"{sha}"')

        def of_files(self, path: str) -> None:
            if self.headers.get("Authorization"):
                return self.error(400, "", "a token must not arrive here")
            self.content(Path(path), ETag=f'"{_sha(Path(path))}"')

        def content(self, path: Path, **headers: str) -> None:
            data, start = path.read_bytes(), 0
            if part := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
                start = int(part[1])
                headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            body = data[start:]
            self.send_response(206 if start else 200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body if self.cut is None else body[: self.cut])
                self.close_connection = self.cut is not None

    return Handler
