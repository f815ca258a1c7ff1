"""Which commit the code is at: records say it, keys do not."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

COMMIT_FILE = ".commit"  # of a copy of the code that is no checkout: what it was copied from


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit of the code, with + where the tree was changed; "" outside a checkout."""
    here = Path(__file__).parent
    kept = here.parents[1] / COMMIT_FILE
    try:
        if kept.is_file():
            return kept.read_text(encoding="utf-8").strip()
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10, check=True
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
