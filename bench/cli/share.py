"""What leaves a results folder, each only when asked: a tagger to a hub (`xner push`), curves to a logger."""

from __future__ import annotations

import argparse
from functools import partial

from bench.api.hub import HubName, offline, retried
from bench.core.errors import BadInput
from bench.report.folder import resolve
from bench.run import loggers


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    push = commands.add_parser("push", help="upload a kept tagger to the hub", description=push_verb.__doc__)
    log = commands.add_parser("log", help="curves for TensorBoard or Weights & Biases", description=log_verb.__doc__)
    for verb in (push, log):
        verb.add_argument("out", metavar="OUT", help="results folder, or the name of a matrix (results/NAME)")
    push.add_argument("cell", metavar="CELL", help="its key, or ROW/TARGET/SEED, such as concner/de/1")
    push.add_argument("repo", metavar="REPO", help="OWNER/NAME on the hub; created if it does not exist")
    push.add_argument("--public", action="store_true", help="make a new repository public (default: private)")
    push.set_defaults(run=push_verb)
    log.add_argument("--to", choices=("tensorboard", "wandb"), default="tensorboard", help="(default: tensorboard)")
    log.add_argument("--online", action="store_true", help="with wandb: upload the curves (default: keep in OUT/wandb)")
    log.set_defaults(run=log_verb)


def push_verb(args: argparse.Namespace) -> int:
    """Upload a tagger that a run with --keep-models kept, with its model card, to a repository of the hub."""
    from huggingface_hub import HfApi

    from bench.report.cards import chosen, write_cards
    from bench.report.frame import groups, read

    if offline():
        raise BadInput("the hub is switched off (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE): nothing is sent")
    found = groups(read([resolve(args.out)]))
    run = chosen(found, args.cell)
    folder = write_cards(found).get(run.record.key)
    if folder is None:
        kept = run.record.ran.get("tagger") or "not kept: `xner run --keep-models --mode force` keeps it"
        raise BadInput(f"{args.cell}: its tagger is not here ({kept})")

    def upload() -> str:
        api = HfApi()
        api.create_repo(args.repo, private=not args.public, exist_ok=True)
        what = f"{run.label}, {run.target}, seed {run.seed} of {run.record.matrix}"
        return str(api.upload_folder(repo_id=args.repo, folder_path=folder, commit_message=what).commit_url)

    print(f"{folder}: uploaded, {retried(HubName('model', args.repo), upload)}")
    return 0


def log_verb(args: argparse.Namespace) -> int:
    """Hand the loss terms, dev F1 and scores of finished cells to a logger; nothing leaves this machine unless
    --online says so."""
    if args.online and args.to != "wandb":
        raise BadInput("--online goes with --to wandb")
    out = resolve(args.out)
    wandb = partial(loggers.wandb, online=args.online)
    count = loggers.log(out, loggers.tensorboard if args.to == "tensorboard" else wandb)
    print(f"{out}: {count} cells in {out / ('logs' if args.to == 'tensorboard' else 'wandb')}")
    return 0
