"""Renews bench/plan/stages.lock and plugins.lock after the code has changed: `python -m tests.relock [--same NAME …]`.

The lock holds of each stage its version, the fingerprint of its code, and the digest of what it gave in the golden
cells: four methods, one target, 24 sentences, 8 steps. Where any of these outputs changed, the version of each stage
whose code changed must be raised, so that no result made by the old code is taken for one of the new.

The outputs are those that machines agree on: sentences, translations, links, labels, counts, predicted tags, losses and
dev F1 to 3 decimals, means of vectors to 3 decimals; no weights, no times. The last digit of a float may still differ
on a machine of another type: there renew the lock of a clean checkout first, which is always allowed.

plugins.lock holds of each shipped plug-in that declares a version the version and the fingerprint of its code. Not all
of them run in the golden cells. So where code changed and the version did not, whoever changed it says that results
stay the same: `--same concner`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.files import canonical_json, sha256_of
from bench.plan.fingerprint import fingerprint, stage_fingerprints
from bench.plan.registry import KINDS, REGISTRY
from bench.plan.stages import VERSIONS
from tests.support.e2e_tools import REPO, Place, matrix_text, name_of, records, unpacked

LOCK = REPO / "bench" / "plan" / "stages.lock"
PLUGINS = LOCK.with_name("plugins.lock")
Lock = Mapping[str, Mapping[str, Any]]  # by stage: version, fingerprint, golden
ADDED = ("parallel",)  # resources that records of before do not name: they count where they are used
METHODS = ("zero_shot", "label_projection", "concner+kd", "translate_test")


def main() -> int:
    """Write the locks, or say what forbids it."""
    parser = argparse.ArgumentParser(prog="python -m tests.relock")
    parser.add_argument("--same", nargs="+", default=[], metavar="NAME", help="plug-ins whose results stay the same")
    same = parser.parse_args().same
    if code := _renew_plugins({*same}):
        return code
    old: Lock = json.loads(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        golden = golden_outputs(Path(folder))
    new = {
        stage: {"version": VERSIONS[stage], "fingerprint": fingerprint, "golden": golden[stage]}
        for stage, fingerprint in stage_fingerprints(REPO).items()
    }
    if stages := refused(old, new):
        outputs = [stage for stage in new if stage in old and new[stage]["golden"] != old[stage]["golden"]]
        print(f"what {', '.join(outputs)} gave in the golden cells is no longer the same", file=sys.stderr)
        print(f"raise in bench/plan/stages.py, where the code changed: {', '.join(stages)}", file=sys.stderr)
        return 1
    LOCK.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    changed = [stage for stage in new if old.get(stage) != new[stage]]
    print(f"renewed: {', '.join(changed)}" if changed else "nothing has changed")
    return 0


def plugin_lock() -> Lock:
    """By kind and name of each shipped plug-in with a declared version: version and fingerprint."""
    lock = {}
    for kind in KINDS:
        for name in REGISTRY.names(kind.name):
            module = REGISTRY.module_of(kind.name, name)
            version = vars(REGISTRY.load(kind.name, name)).get("version")
            if version is not None and module.startswith(f"{kind.package}."):
                lock[f"{kind.name} {name}"] = {"version": version, "fingerprint": fingerprint(module)[:16]}
    return lock


def forgotten_plugins(old: Lock, new: Lock) -> list[str]:
    """The plug-ins whose code is not what the lock knows under this version; also those that it does not know."""
    return [name for name, entry in new.items() if old.get(name) != entry]


def _renew_plugins(same: set[str]) -> int:
    old: Lock = json.loads(PLUGINS.read_text(encoding="utf-8")) if PLUGINS.exists() else {}
    new = plugin_lock()
    if unknown := sorted(same - {name.split()[1] for name in new}):
        print(f"--same: there is no plug-in {', '.join(unknown)} with a declared version", file=sys.stderr)
        return 2
    changed = forgotten_plugins(old, new)
    unsaid = [
        name
        for name in changed
        if name in old and new[name]["version"] == old[name]["version"] and name.split()[1] not in same
    ]
    if unsaid:
        print(f"changed without a new version: {', '.join(unsaid)}", file=sys.stderr)
        print("raise `version` where results change; where none does, name the plug-in: --same NAME", file=sys.stderr)
        return 1
    PLUGINS.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"plug-ins renewed: {', '.join(changed)}" if changed else "no plug-in has changed")
    return 0


def refused(old: Lock, new: Lock) -> list[str]:
    """The stages whose code changed and whose version was not raised, where any golden output changed.

    Of any stage: what one gives wrongly may show only in what the next makes of it.
    """
    both = [stage for stage in new if stage in old]
    if all(new[stage]["golden"] == old[stage]["golden"] for stage in both):
        return []
    changed = [stage for stage in both if new[stage]["fingerprint"] != old[stage]["fingerprint"]]
    return [stage for stage in changed if new[stage]["version"] <= old[stage]["version"]]


def forgotten(lock: Lock, versions: Mapping[str, int], home: Path) -> dict[str, str]:
    """By stage what is to be done where the code in `home` is not what the lock knows."""
    found = {}
    for stage, code in stage_fingerprints(home).items():
        known = lock.get(stage, {})
        if known.get("fingerprint") != code or known.get("version") != versions[stage]:
            found[stage] = "changed: raise its version if its output changes; then python -m tests.relock"
    return found


def golden_outputs(folder: Path) -> dict[str, str]:
    """By stage the digest of what it gives in the golden cells (about 20 seconds)."""
    from tests.conftest import write_tiny

    encoder = folder / "tiny-for-tests"
    write_tiny(encoder)
    place = Place(folder, encoder)
    labels = f'translator = "frames"\nfilters = ["length-ratio"]\naligner = "softmax"\naligner_encoder = "{encoder}"'
    text = matrix_text(encoder, METHODS, labels=labels).replace("steps = 4\n", "steps = 8\n")
    ran = place.xner("run", place.matrix(text.replace("[data]", '"labels.transfer" = ["align", "marker"]\n[data]', 1)))
    assert ran.code == 0, ran.err
    out = place.root / "results" / "small"
    cells = sorted((canonical_json([name_of(cell), cell["cell"]["axes"]]), cell) for cell in records(out))
    found: dict[str, list[Any]] = {stage: [] for stage in VERSIONS}
    for stage, file in (("translate", "translations"), ("transfer", "marked"), ("links", "links")):
        found[stage] = sorted(path.read_text("utf-8") for path in place.cache.glob(f"{stage}/*/{file}.jsonl"))
    found["embed"] = sorted(_vectors(path) for path in place.cache.glob("embed/*/vectors.safetensors"))
    for name, cell in cells:
        sidecars = out / "sidecars" / cell["key"]
        curves = json.loads((sidecars / "curves.json").read_text("utf-8"))
        found["corpus"].append([name, json.loads((sidecars / "key.json").read_text("utf-8"))["components"]["data"]])
        found["encoder"].append([name, cell["cell"]["encoder"], cell["ran"]["parameters"]])
        of_training = {k: v for k, v in cell["projection"].items() if not k.startswith("test_")}
        found["project"].append([name, of_training])  # those of the test depend on what was predicted
        found["fit"].append([name, _rounded(curves)])
        found["predict"].append([name, [unpacked(out, cell["key"], f"predictions-{rule}") for rule in cell["scores"]]])
        found["score"].append([name, _rounded(cell["scores"])])
        cost = {key: cell["cost"][key] for key in ("steps", "sentences", "tokens", "forward_passes")}
        resources = {key: value for key, value in cell["resources"].items() if value or key not in ADDED}
        found["cell"].append([name, cell["status"], cell["factors"], cell["overlap"], resources, cost])
    assert all(found.values()), [stage for stage, outputs in found.items() if not outputs]
    return {stage: sha256_of(canonical_json(outputs))[:16] for stage, outputs in found.items()}


def _vectors(path: Path) -> list[Any]:
    from safetensors.numpy import load_file

    arrays = load_file(path)
    vectors = arrays["vectors"].astype("float64")
    return [*vectors.shape, round(float(abs(vectors).mean()), 3), arrays["words"].tolist(), arrays["ends"].tolist()]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
