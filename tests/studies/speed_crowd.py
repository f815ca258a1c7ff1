"""Several trainings of ours at once on one device: what they do in all, against one alone."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import torch

from tests.studies.speed_train import Setting, alone

WAIT = 600.0  # seconds that the slowest may take to its first step


@dataclass(frozen=True)
class Crowd:
    """So many trainings at once: steps a second, all of them together, while all were at work."""

    trainings: int
    steps_per_second: float


def crowd(setting: Setting, trainings: int) -> Crowd:
    """Start them together, each in a process of its own, and count the steps between the last start and the first end.

    Raises:
        RuntimeError: one of them failed; its traceback is on standard error.
    """
    context = multiprocessing.get_context("spawn")  # a forked torch may deadlock
    barrier = context.Barrier(trainings)
    ends, processes = [], []
    for _ in range(trainings):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_one, args=(setting, torch.get_num_threads(), barrier, sender))
        process.start()
        sender.close()
        ends.append(receiver)
        processes.append(process)
    try:
        found: list[list[float]] = [end.recv() for end in ends]
    except EOFError as error:
        raise RuntimeError(f"one of {trainings} trainings at once failed") from error
    finally:
        for process in processes:
            process.join()
    return Crowd(trainings, together(found))


def together(ticks: Sequence[Sequence[float]]) -> float:
    """Steps a second of all, from when each had begun to when the first was done; its last step may evaluate."""
    begin, end = max(one[0] for one in ticks), min(one[-2] for one in ticks)
    return sum(sum(begin < tick <= end for tick in one) for one in ticks) / (end - begin)


def _one(setting: Setting, threads: int, barrier: Barrier, end: Connection) -> None:
    torch.set_num_threads(threads)
    try:
        end.send(alone(setting, lambda: barrier.wait(WAIT)))
    except BaseException:
        barrier.abort()  # or the others would wait
        raise
    finally:
        end.close()
