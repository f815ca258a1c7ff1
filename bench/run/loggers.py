"""Curves and scores of finished cells for TensorBoard or Weights & Biases, under the names that the records have."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from bench.core.errors import BadInput
from bench.store.record import Record, Records, row_name

Scalars = Callable[[Mapping[str, float], int], None]  # takes the numbers of one cell at a step; steps only grow


@contextmanager
def tensorboard(out: Path, record: Record, name: str) -> Iterator[Scalars]:
    """Event files in OUT/logs, a folder a cell. BadInput where TensorBoard is not installed."""
    folder = out / "logs" / f"{name.replace('/', '-')}-{record.key[:8]}"
    writer = _client("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder))

    def scalars(values: Mapping[str, float], step: int) -> None:
        for scalar, value in values.items():
            writer.add_scalar(scalar, value, step)

    try:
        yield scalars
    finally:
        writer.close()


@contextmanager
def wandb(out: Path, record: Record, name: str, online: bool = False) -> Iterator[Scalars]:
    """A run in OUT/wandb, which stays on this machine unless `online`. BadInput where wandb is not installed."""
    mode, config = "online" if online else "offline", {**record.cell, "factors": record.factors}
    run = _client("wandb", "wandb").init(project=record.matrix, name=name, config=config, dir=str(out), mode=mode)
    try:
        yield lambda values, step: run.log(dict(values), step=step)
    finally:
        run.finish()


def _client(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadInput(f"the extra `{extra}` is not installed: pip install 'xner-bench[{extra}]'") from error


def log(out: Path, logger: Callable[[Path, Record, str], AbstractContextManager[Scalars]]) -> int:
    """Hand over the loss terms, dev F1 and test scores of every finished cell; returns how many cells there were."""
    records = [record for record in Records(out).all() if record.status == "ok"]
    for record in records:
        cell, numbers = record.cell, dict[int, dict[str, float]]()
        row = row_name(str(cell["label"]), cell.get("axes") or {})
        for term, step, value in _numbers(record, Records(out).sidecar(record.key, "curves.json")):
            numbers.setdefault(step, {})[term] = value
        with logger(out, record, f"{row}/{cell['target']}/seed {cell.get('seed', 0)}") as scalars:
            for step, values in sorted(numbers.items()):
                scalars(values, step)
    return len(records)


def _numbers(record: Record, curves_file: Path) -> Iterator[tuple[str, int, float]]:
    try:
        curves = json.loads(curves_file.read_bytes()) if curves_file.is_file() else {}
    except ValueError as error:
        raise BadInput(f"{curves_file}: not JSON: {error}") from error
    rules = {f"dev_f1/{rule}": curves[rule] for rule in curves.keys() - {"loss", "step", "eval_step"}}
    for name, values in rules.items():
        yield from ((name, step, value) for step, value in zip(curves["eval_step"], values, strict=False))
    for term, values in curves.get("loss", {}).items():
        yield from ((f"loss/{term}", step, value) for step, value in zip(curves["step"], values, strict=False))
    for rule, scores in record.scores.items():
        yield f"test_f1/{rule}", scores.step, scores.f1
