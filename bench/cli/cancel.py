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
    from bench.run.journal import Journal, slurm

    out: Path = resolve(args.out)
    standing = Journal(out).standing()
    if standing.unknown:
        raise BadInput(standing.unknown)
    jobs = sorted({job.job.partition("_")[0] for job in standing.jobs}, key=int)
    if jobs:
        slurm("scancel", *jobs)
    print(f"{out}: {len(standing.jobs)} elements cancelled" + (f" (jobs {', '.join(jobs)})" if jobs else ""))
    return 0
