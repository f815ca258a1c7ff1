"""The profile of a cluster: what a job asks Slurm for. Machine facts, so none of it is part of a key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import BadInput
from bench.plan.schema import build
from bench.plan.spec import parsed_toml
from bench.plan.where import Where

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>[0-5]\d)(?::[0-5]\d)?")


@dataclass(frozen=True)
class Profile:
    """What each element of an array gets; "" and 0 are the cluster's own defaults unless said otherwise."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    time: int | str = 60  # of one unit: minutes, or "HH:MM", "HH:MM:SS", "D-HH:MM:SS"
    gpus: int = 0  # of one unit; more than one is never used
    cpus: int = 0  # of one unit; 0: as many as the matrix's threads
    memory: float = 0.0  # of one unit, in GB
    parallel: int = 16  # elements of an array that run at once
    timeouts: int = 3  # how often a unit that ran out of time starts again
    warning: int = 90  # seconds before the end at which a unit is told to requeue
    array: int = 1000  # elements of one array at most; Slurm's MaxArraySize is 1001 unless it was changed
    setup: tuple[str, ...] = ()  # shell lines before the program: module load …, export …

    def __post_init__(self) -> None:
        for name in ("parallel", "array"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("gpus", "cpus", "memory", "timeouts", "warning"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.gpus > 1:
            raise ValueError("gpus must be 0 or 1: a training uses one device, and a second would be idle")
        for name in ("partition", "account", "qos", "constraint"):
            if not getattr(self, name).isprintable():  # it becomes a line of the script
                raise ValueError(f"{name} must be one line")
        if self.minutes < 1:
            raise ValueError("time must be at least 1 minute")

    @property
    def minutes(self) -> int:
        """The time limit; seconds are rounded up to a minute. ValueError where it is none of the forms."""
        if isinstance(self.time, int):
            return self.time
        found = _TIME.fullmatch(self.time)
        if not found:
            raise ValueError(f'time must be minutes, "HH:MM", "HH:MM:SS" or "D-HH:MM:SS", not \'{self.time}\'')
        seconds = self.time.count(":") == 2 and not self.time.endswith(":00")
        return (int(found["days"] or 0) * 24 + int(found["hours"])) * 60 + int(found["minutes"]) + seconds


def load_profile(file: Path | None) -> Profile:
    """The profile of a TOML file; the defaults without one.

    Raises:
        BadInput: the file cannot be read; an unknown key (with the nearest right one), a wrong type or value.
    """
    if file is None:
        return Profile()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--profile {file}: cannot be read: {error}") from error
    return build(Profile, parsed_toml(str(file), text), Where(str(file), text))
