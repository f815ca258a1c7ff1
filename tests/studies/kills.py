"""Random `kill -9` over a small matrix that several processes run: `python -m tests.studies kills --kills 100`.

Each process is `xner run --jobs 1` on the same results folder; a killed one is started again at once. When a matrix is
finished before the kills are, the next round begins on a fresh folder. Not lost, not torn, not duplicated: a record
that was seen stays as it is to the byte, can always be read, and is written once; at the end every record and sidecar
equals that of an undisturbed run but for times.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import write_tiny
from tests.support.e2e_tools import Place, matrix_text, records, sidecars

LABELS = ("zero_shot", "zero_shot+kd", "en_trans")
TIMES = {"attempts"}  # of a record; and cost.seconds, cost.inference, ran.peak_rss_mb


@dataclass
class Tally:
    """What was seen over all rounds."""

    kills: int = 0
    rounds: int = 0
    cells: int = 0
    in_training: int = 0  # kills that left a half-made training
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return len(self.lost) + len(self.torn) + len(self.duplicated) + len(self.different)


@dataclass
class Plan:
    """How much is killed, and how fast."""

    kills: int
    processes: int
    seeds: int
    pause: float
    draw: random.Random


@dataclass
class Watch:
    """The records of a folder as they were first seen."""

    out: Path
    tally: Tally
    seen: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def look(self) -> None:
        """Compare what is there with what was there."""
        found = {path.name: path for path in (self.out / "records").glob("[!.]*.json")}
        self.tally.lost += [name for name in self.seen if name not in found]
        for name, path in found.items():
            now = (path.stat().st_ino, path.read_bytes())
            try:
                json.loads(now[1])
            except ValueError:
                self.tally.torn.append(name)
            if self.seen.setdefault(name, now) != now:
                self.tally.duplicated.append(name)
                self.seen[name] = now


def start(place: Place, matrix: Path, out: Path, *more: str) -> int:
    """The process id of a run; forked, so that it need not load torch again."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.setsid()
        os.environ.update(place.environment())
        os.chdir(place.root)
        log = os.open(place.root / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        from unittest import mock

        from bench.cli.main import main

        with mock.patch("bench.report.plots.write_plots", return_value=[]):
            code = main(["run", str(matrix), "--out", str(out), "--jobs", "1", *more])
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as its parent
        traceback.print_exc(file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int) -> int | None:
    """The exit code of a process, None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def disturbed(place: Place, matrix: Path, out: Path, tally: Tally, plan: Plan) -> None:
    """One round: processes run the matrix, and are killed at random moments, until it is finished."""
    watch = Watch(out, tally)
    running = [start(place, matrix, out) for _ in range(plan.processes)]
    next_kill = time.monotonic() + plan.draw.uniform(0, plan.pause)
    while running:
        time.sleep(0.01)
        watch.look()
        for pid in list(running):
            code = ended(pid)
            if code is not None:
                running.remove(pid)
                if code != 0:
                    tally.different.append(f"a run ended with exit code {code}: see {place.root / 'log.txt'}")
        if running and tally.kills < plan.kills and time.monotonic() > next_kill:
            victim = plan.draw.choice(running)
            half_made = sum(1 for path in out.glob("models/fit/.*") if path.is_dir())
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            tally.kills += 1
            tally.in_training += half_made > 0
            running[running.index(victim)] = start(place, matrix, out)
            next_kill = time.monotonic() + plan.draw.uniform(0, plan.pause)
    watch.look()


def compared(calm: Path, out: Path, tally: Tally) -> None:
    """Every record and sidecar against the undisturbed run's; cells twice or not at all."""
    wanted, found = ({record["key"]: record for record in records(folder)} for folder in (calm, out))
    names = [json.dumps([r["cell"][n] for n in ("label", "target", "seed")]) for r in found.values()]
    tally.duplicated += [name for name in set(names) if names.count(name) > 1]
    tally.lost += [key for key in wanted if key not in found]
    tally.cells += len(found)
    for key in wanted.keys() & found.keys():
        if _timeless(wanted[key]) != _timeless(found[key]):
            tally.different.append(f"record {key}")
        if found[key]["attempts"] != 1:
            tally.duplicated.append(f"record {key}: attempt {found[key]['attempts']}")
    one, two = sidecars(calm), sidecars(out)
    tally.different += sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in record.items() if name not in TIMES}
    kept["cost"] = {name: value for name, value in record["cost"].items() if name not in ("seconds", "inference")}
    kept["ran"] = {name: value for name, value in record["ran"].items() if name != "peak_rss_mb"}
    return kept


def trial(root: Path, plan: Plan) -> Tally:
    """Kill until all kills are spent; the figures."""
    write_tiny(root / "tiny-for-tests")
    place, tally = Place(root, root / "tiny-for-tests"), Tally()
    matrix = place.matrix(matrix_text(place.encoder, LABELS, ("de", "zh"), range(1, plan.seeds + 1)))
    code = os.waitstatus_to_exitcode(os.waitpid(start(place, matrix, root / "calm"), 0)[1])
    assert code == 0, (root / "log.txt").read_text()
    while tally.kills < plan.kills and not tally.faults:
        shutil.rmtree(place.cache, ignore_errors=True)
        out = root / f"round-{tally.rounds}"
        disturbed(place, matrix, out, tally, plan)
        compared(root / "calm", out, tally)
        tally.rounds += 1
        if not tally.faults:
            shutil.rmtree(out)
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; 1 where anything was lost, torn, duplicated or different."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2, help="of the matrix: 6 cells each")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two kills at most")
    parser.add_argument("--random", type=int, default=0, help="seed of the moments and victims")
    args = parser.parse_args(arguments)
    import torch
    import transformers  # noqa: F401 - loaded once, before the processes are forked

    torch.set_num_threads(1)
    plan = Plan(args.kills, args.processes, args.seeds, args.pause, random.Random(args.random))
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-many-") as folder:
        tally = trial(Path(folder), plan)
        for what in (tally.lost, tally.torn, tally.duplicated, tally.different):
            print("".join(f"  {one}\n" for one in what[:20]), end="")
        if tally.faults:
            print((Path(folder) / "log.txt").read_text()[-3000:])
    print(
        f"{tally.kills} kills ({tally.in_training} while a training was half-made), {plan.processes} processes, "
        f"{tally.rounds} rounds, {tally.cells} records: {len(tally.lost)} lost, {len(tally.torn)} torn, "
        f"{len(tally.duplicated)} duplicated, {len(tally.different)} different ({time.monotonic() - begin:.0f} s)"
    )
    return 1 if tally.faults else 0
