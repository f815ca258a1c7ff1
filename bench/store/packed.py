"""A finished suite in a few files: records as JSON lines; counts, curves and predictions as Parquet.

A packed folder is read through a copy, unpacked once by content into the user's cache, so that every reading verb takes
it like any other. `unpack` gives back all that `pack` took.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput
from bench.core.files import (
    cache_root,
    canonical_json,
    published_folder,
    sha256_of,
    sha256_of_unchanged,
    write_bytes,
    write_json,
)
from bench.store.artefacts import held_claims, locked
from bench.store.sidecars import BROKEN, GOLD, compressed, damage, npz_of, read_arrays

RECORDS = "records.jsonl"  # written last, removed first: a folder is packed if it is there
COUNTS, CURVES, PREDICTIONS, OTHERS = "counts.parquet", "curves.parquet", "predictions.parquet", "others.parquet"
FILES = (RECORDS, COUNTS, CURVES, PREDICTIONS, OTHERS)
CONLL = ".conll.gz"
SidecarId = tuple[str, str]  # a sidecar's key and name
ELSEWHERE = "move it elsewhere, or run its cell again"


def is_packed(out: Path) -> bool:
    """Whether the folder is a packed suite."""
    return (out / RECORDS).is_file()


def refuse_packed(out: Path) -> None:
    """BadInput where the folder is packed, so that records cannot be written into it."""
    if is_packed(out):
        raise BadInput(f"{out} is packed: `xner unpack {out}` first, or choose another folder with --out")


def pack(out: Path) -> None:
    """Put the records and sidecars of a folder into a few files, and remove them once the files read back the same.

    Raises:
        BadInput: there are no records, a run is at work, or a file is damaged or was not written by a run; or there are
            packed files already, and other records beside them.
    """
    if is_packed(out):
        _remove_unpacked(out)  # an earlier call was interrupted here
        return
    if held_claims(out):
        raise BadInput(f"{out}: a run is at work here; pack it when that has ended")
    records = {path.stem: _record(path) for path in sorted((out / "records").glob("[!.]*"))}
    if not records:
        raise BadInput(f"{out}: no records to pack")
    folders = sorted((out / "sidecars").glob("[!.]*"))
    if strays := [path.name for path in folders if path.name not in records]:
        raise BadInput(f"{out}: sidecars/{strays[0]} has no record; `xner prune {out}` removes what nothing needs")
    sidecars: dict[SidecarId, bytes] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("[!.]*"))):
        place = path.parent.name, path.name
        with _readable(out, place):
            sidecars[place] = path.read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        new = Path(temporary)
        _write(new, sidecars, out)
        read_back = dict(_read(new))
        for place, data in sidecars.items():
            if _content(place[1], read_back.get(place, b"")) != _content(place[1], data):
                raise BadInput(f"{out}/sidecars/{place[0]}/{place[1]}: not what a run writes, so it cannot be packed")
        for path in sorted(new.iterdir()):
            write_bytes(out / path.name, path.read_bytes())
    write_bytes(out / RECORDS, ("\n".join(records.values()) + "\n").encode())
    _remove_unpacked(out)


def _record(path: Path) -> str:
    """The line of a record; BadInput where the file is something else, which must not be removed."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not a record that a run wrote ({damage(error)}); {ELSEWHERE}") from error
    if not isinstance(record, dict) or "schema" not in record or record.get("key") != path.stem:
        raise BadInput(f"{path}: not a record that a run wrote; {ELSEWHERE}")
    return canonical_json(record)


@contextmanager
def _readable(out: Path, place: SidecarId) -> Iterator[None]:
    """BadInput where the sidecar turns out to be damaged."""
    try:
        yield
    except (AttributeError, *BROKEN) as error:
        sidecar = out / "sidecars" / place[0] / place[1]
        raise BadInput(f"{sidecar}: not what a run writes ({damage(error)}), so it cannot be packed") from error


def unpack(out: Path) -> None:
    """Turn a packed folder back into a file per record and sidecar.

    Raises:
        BadInput: the folder is not packed, has other records beside the packed ones, or one of its files is damaged.
    """
    if not is_packed(out):
        raise BadInput(f"{out}: not a packed suite: {RECORDS} is not there")
    _remove_unpacked(out)
    _unpack(out, out)
    for name in FILES:
        (out / name).unlink(missing_ok=True)


def opened(out: Path) -> Path:
    """The folder whose `records` and `sidecars` hold those of `out`: itself, or a packed one's unpacked copy.

    Raises:
        BadInput: a packed file is damaged.
    """
    if not is_packed(out):
        return out
    hashes = [sha256_of_unchanged(out / name) for name in FILES if (out / name).is_file()]
    place = cache_root() / "unpacked" / sha256_of(canonical_json(hashes))[:32]
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with locked(place.with_name(f".{place.name}.lock")):  # another reader may be unpacking it
            if not place.is_dir():
                with published_folder(place) as temporary:
                    _unpack(out, temporary)
    return place


def _unpack(out: Path, to: Path) -> None:
    try:
        for line in (out / RECORDS).read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            write_json(to / "records" / f"{record['key']}.json", record)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{out / RECORDS}: a line is no record: {error}") from error
    for (key, name), data in _read(out):
        write_bytes(to / "sidecars" / key / name, data)


def _remove_unpacked(out: Path) -> None:
    """Remove what an interrupted call left; BadInput where a record is not that of the packed file, and stays."""
    lines = (out / RECORDS).read_text(encoding="utf-8").splitlines()
    for path in sorted((out / "records").glob("[!.]*")):
        if _record(path) not in lines:
            raise BadInput(f"{path}: not in {RECORDS}, which lies beside it: move `records` and `sidecars` elsewhere")
    for name in ("records", "sidecars"):
        if (out / name).exists():
            shutil.rmtree(out / name)


def _content(name: str, data: bytes) -> object:
    """The content to compare, since compressed bytes may differ between libraries."""
    if name.endswith(".gz"):
        return gzip.decompress(data) if data else b""
    if name == "counts.npz" and data:
        return {key: (array.dtype.str, array.tolist()) for key, array in read_arrays(io.BytesIO(data)).items()}
    return data


# --- the Parquet files -----------------------------------------------------------------------------------------------


def _write(folder: Path, sidecars: Mapping[SidecarId, bytes], out: Path) -> None:
    """Counts, curves and tags as columns; sidecars that these would not restore byte by byte, as they are.

    BadInput names a damaged sidecar of `out`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    counts: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    texts: dict[SidecarId, str] = {}
    for (key, name), data in sidecars.items():
        with _readable(out, (key, name)):
            if name.endswith(CONLL):
                texts[key, name] = gzip.decompress(data).decode()
            elif name == "counts.npz":
                arrays = read_arrays(io.BytesIO(data))
                types = arrays.pop("types").tolist()
                for rule, array in arrays.items():
                    row = {"key": key, "rule": rule, "types": types, "sentences": len(array), "counts": array.ravel()}
                    counts.append(row)
            elif name == "curves.json" and dict(_curves(_curve_rows(key, data))) == {(key, name): data}:
                curves += _curve_rows(key, data)
            else:
                others.append({"key": key, "name": name, "data": data})
    tags, metadata = _tag_rows(texts)
    for file, rows in ((COUNTS, counts), (CURVES, curves), (PREDICTIONS, tags), (OTHERS, others)):
        if rows:
            table = pa.Table.from_pylist(rows).replace_schema_metadata(metadata if file == PREDICTIONS else None)
            pq.write_table(table, folder / file, compression="zstd", compression_level=19)


def _read(folder: Path) -> Iterator[tuple[SidecarId, bytes]]:
    """Every sidecar by key and name; BadInput where a file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in (COUNTS, CURVES, PREDICTIONS, OTHERS):
        if not (folder / name).is_file():
            continue
        try:
            table = pq.read_table(folder / name)
            rows = table.to_pylist()
            if name == COUNTS:
                yield from _counts(rows)
            elif name == CURVES:
                yield from _curves(rows)
            elif name == PREDICTIONS:
                yield from _conll(rows, json.loads(table.schema.metadata[b"tags"]))
            else:
                yield from (((row["key"], row["name"]), row["data"]) for row in rows)
        except (OSError, ValueError, KeyError, IndexError, TypeError, pa.ArrowException) as error:
            raise BadInput(f"{folder / name}: truncated or damaged: {error}") from error


def _counts(rows: list[dict[str, Any]]) -> Iterator[tuple[SidecarId, bytes]]:
    import numpy as np

    arrays: dict[str, dict[str, Any]] = {}
    for row in rows:
        by_rule = arrays.setdefault(row["key"], {"types": np.array(row["types"])})
        by_rule[row["rule"]] = np.array(row["counts"], np.int32).reshape(row["sentences"], len(row["types"]), 3)
    for key, by_rule in arrays.items():
        yield (key, "counts.npz"), npz_of(by_rule)


def _curve_rows(key: str, data: bytes) -> list[dict[str, Any]]:
    """A row per curve; `whole`: its values are integers."""
    curves = json.loads(data)
    named = {f"loss/{name}": values for name, values in curves.pop("loss", {}).items()} | curves
    return [
        {"key": key, "curve": name, "values": [*map(float, values)], "whole": all(isinstance(v, int) for v in values)}
        for name, values in named.items()
    ]


def _curves(rows: list[dict[str, Any]]) -> Iterator[tuple[SidecarId, bytes]]:
    by_key: dict[str, dict[str, Any]] = {}
    for row in rows:
        curves = by_key.setdefault(row["key"], {"loss": {}})
        kind, _, term = row["curve"].partition("/")
        values = [int(value) for value in row["values"]] if row["whole"] else row["values"]
        (curves["loss"] if term else curves)[term or kind] = values
    for key, curves in by_key.items():
        yield (key, "curves.json"), canonical_json(curves).encode()


def _tag_rows(texts: Mapping[SidecarId, str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A row per sidecar: its test and its tags as small integers; the words of a test once."""
    import numpy as np

    vocabulary: dict[str, int] = {}
    tests: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for (key, name), text in sorted(texts.items(), key=lambda item: (item[0][1] != GOLD, item[0])):
        head: list[list[str]] = []  # comment lines and words by sentence, and all tags in a row
        words: list[list[str]] = []
        tags: list[str] = []
        for block in text.split("\n\n")[:-1]:
            lines = block.split("\n")
            count = 1 + (len(lines) > 1 and lines[1].startswith("# ") and "\t" not in lines[1])
            pairs = [line.split("\t") for line in lines[count:]]
            head.append(lines[:count])
            words.append([pair[0] for pair in pairs])
            tags += [pair[-1] for pair in pairs]
        test = canonical_json([head, words])
        row: dict[str, Any] = {"key": key, "name": name, "text": None if test in tests else test}
        row["test"] = tests.setdefault(test, len(tests))
        row["tags"] = np.array([vocabulary.setdefault(tag, len(vocabulary)) for tag in tags], np.uint16).tobytes()
        rows.append(row)
    return rows, {"tags": json.dumps(list(vocabulary), ensure_ascii=False)}


def _conll(rows: list[dict[str, Any]], vocabulary: list[str]) -> Iterator[tuple[SidecarId, bytes]]:
    import numpy as np

    tests = {row["test"]: json.loads(row["text"]) for row in rows if row["text"] is not None}

    def content(row: dict[str, Any]) -> tuple[int, bytes]:
        return row["test"], row["tags"]

    for (test, numbers), same in itertools.groupby(sorted(rows, key=content), content):  # as the gold of one test is
        head, words = tests[test]
        tags = iter(np.frombuffer(numbers, np.uint16).tolist())
        blocks = (
            "\n".join([*comments, *(f"{word}\t{vocabulary[next(tags)]}" for word in sentence)]) + "\n\n"
            for comments, sentence in zip(head, words, strict=True)
        )
        data = compressed("".join(blocks))
        yield from (((row["key"], row["name"]), data) for row in same)
