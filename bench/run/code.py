"""A copy of the code, so that what is queued runs what was submitted, whatever is edited meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

import bench
from bench.core.files import canonical_json, published_folder, sha256_of, sha256_of_file
from bench.plan.commit import COMMIT_FILE, commit
from bench.plan.fingerprint import OWN

_LEFT_OUT = ("__pycache__",)


def snapshot(root: Path) -> Path:
    """A folder below `root` with the harness, the methods and the recipes as they are now, made if it is not there.

    It is named by the content of its files. Plug-ins of other distributions are not in it: where they change, the keys
    of their cells do, and an element refuses.
    """
    home = Path(bench.__file__).resolve().parent.parent
    files = {
        path.relative_to(home).as_posix(): sha256_of_file(path)
        for package in OWN
        for path in sorted((home / package).rglob("*"))
        if path.is_file() and not set(_LEFT_OUT) & set(path.parts)
    }
    folder = root / sha256_of(canonical_json(files))[:16]
    if not folder.exists():
        with published_folder(folder) as temporary:
            for name in files:
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(home / name, temporary / name)
            (temporary / COMMIT_FILE).write_text(commit() + "\n", encoding="utf-8")
    return folder
