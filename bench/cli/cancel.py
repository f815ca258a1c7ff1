"""`xner cancel`: take what is queued or running of a results folder out of Slurm."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # not subscriptable when run
    """Register the verb."""
    cancel = commands.add_parser("cancel", help="cancel what a matrix has in Slurm", description=cancel_verb.__doc__)
    cancel.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
    cancel.set_defaults(run=cancel_verb)


def cancel_verb(args: argparse.Namespace) -> int:
    """Cancel the queued and running elements; records are kept, and the same `xner run` submits the rest again."""
    from bench.core.errors import BadInput
    from bench.report.folder import resolve
    from bench.run.slurm import queue_state, slurm

    out: Path = resolve(args.out)
    state = queue_state(out)
    if state.unknown:
        raise BadInput(state.unknown)
    jobs = sorted({element.job.partition("_")[0] for element in state.elements}, key=int)
    if jobs:
        slurm("scancel", *jobs)
    print(f"{out}: {len(state.elements)} elements cancelled" + (f" (jobs {', '.join(jobs)})" if jobs else ""))
    return 0
