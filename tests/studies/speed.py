"""Our speed beside the tool that does the same, side by side: training, prediction, alignment, scores."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Pair, Sentence
from bench.plan.spec import add_settings, parsed
from tests.studies import speed_small, speed_table

if TYPE_CHECKING:
    from bench.data.embed import EncoderEmbedder
    from tests.studies.speed_align import Speed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a comparison; 1 where both sides should agree and do not."""
    parser = argparse.ArgumentParser(prog="speed", description=__doc__)
    verbs = parser.add_subparsers(metavar="align|train|predict|score|report|startup", required=True)
    speed_table.register(verbs)
    speed_small.register(verbs)
    align = verbs.add_parser(
        "align",
        help="the aligner simalign against the package's own loop",
        description="Pairs a second of simalign's SentenceAligner, pair by pair, and of our aligner, on the same "
        "pairs, encoder, layer and threads; embedding and matching included, loading left out, medians of alternating "
        "rounds. Every link that differs is listed. Exit code 1 if one differs that is no tie.",
    )
    align.add_argument("--encoder", required=True, metavar="E", help="a folder, a hub id or one of our own")
    align.add_argument("--source", type=Path, metavar="F", help="source text: one tokenised sentence per line")
    align.add_argument("--target", type=Path, metavar="F", help="their translations (default: NTREX)")
    align.add_argument(
        "--to",
        metavar="L",
        help="languages of NTREX by commas (default: de); of several, the English side is the same",
    )
    align.add_argument("--pairs", type=int, default=200, metavar="N", help="how many, of each language (default: 200)")
    align.add_argument("--rounds", type=int, default=2, metavar="N", help="of each side, at least 2 (default: 2)")
    align.add_argument("--threads", type=int, metavar="N", help="CPU threads of both sides (default: torch's)")
    align.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of both sides (default: cpu)")
    align.add_argument("--json", action="store_true", help="print JSON")
    add_settings(align, "aligner, such as layer=8, level=word or matching=itermax (default: all three matchings)")
    align.set_defaults(run=run_align)
    args = parser.parse_args(arguments)
    code: int = args.run(args)
    return code


def run_align(args: argparse.Namespace) -> int:
    """Print both sides and their ratio a matching; 1 when links differ that are no ties.

    Raises:
        BadInput: no such encoder or setting, unreadable files, or no pair that fits the encoder.
    """
    from bench.plan import registry
    from bench.plan.schema import Place

    for name, least in (("pairs", 1), ("rounds", 2), ("threads", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise BadInput(f"--{name} {value}: at least {least}")
    settings = parsed(args.settings)
    registry.make("aligner", "simalign", settings, Place("--set"))  # before anything is loaded
    sets = _pairs(args)

    import torch

    from bench.train.memory import resolve_device
    from tests.studies.speed_align import MATCHINGS, compare, fitting

    device = resolve_device(args.device, ())
    if args.threads:
        torch.set_num_threads(args.threads)
    label, where, embedder = _embedder(args.encoder, device)
    fits = [fitting(embedder, pairs) for pairs in sets]
    left_out = sum(map(len, sets)) - sum(map(len, fits))
    fit = [pair for pairs in fits for pair in pairs[: args.pairs]]
    if not fit:
        raise BadInput(f"none of {sum(map(len, sets))} pairs fits the encoder's {embedder.room} sub-words")
    facts: dict[str, Any] = {
        "encoder": label,
        "pairs": len(fit),
        "left_out": left_out,
        "threads": torch.get_num_threads(),
        "device": device,
        "rounds": args.rounds,
        "level": settings.get("level", "subword"),
    }
    chosen = [settings["matching"]] if "matching" in settings else list(MATCHINGS)
    speeds = []
    for number, matching in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {matching} …", file=sys.stderr, flush=True)
        speeds.append(compare(where, embedder, fit, {**settings, "matching": matching}, args.rounds))
    facts |= {"layer": speeds[0].layer, "layers": embedder.layers}
    print(_as_json(facts, speeds) if args.json else _as_table(facts, speeds))
    return 0 if all(speed.same for speed in speeds) else 1


def _pairs(args: argparse.Namespace) -> list[list[Pair]]:
    """The pairs of the files, else by language a few more than asked for of NTREX: long ones are left out."""
    from bench.core.files import read_parallel
    from data_recipes.parallel_text import lines_of, splitter

    if (args.source is None) != (args.target is None):
        raise BadInput("--source and --target go together")
    if args.source is not None and args.to is not None:
        raise BadInput(f"--to {args.to}: languages of NTREX, which --source replaces")
    if args.source is not None:
        return [[pair for pair in read_parallel(args.source, args.target) if pair.source.words]]
    sets, english = [], splitter("en", ())
    for language in dict.fromkeys((args.to or "de").split(",")):
        try:
            lines = lines_of("ntrex", "en", language)[: args.pairs + args.pairs // 10 + 10]
        except Unavailable as error:
            raise BadInput(
                f"give --source F --target F (parallel text, words by spaces); or, for NTREX: {error}"
            ) from error
        split = splitter(language, ())
        sets.append(
            [
                Pair(Sentence(str(n), "en", tuple(english(one))), Sentence(str(n), language, tuple(split(two))))
                for n, (one, two) in enumerate(lines, 1)
            ]
        )
    return sets


def _embedder(name: str, device: str) -> tuple[str, str, EncoderEmbedder]:
    """What to call the encoder, the folder that both sides load, and our side."""
    from bench.data.aligning import WHOLE
    from bench.data.embed import embedder_of
    from bench.data.encoders import find_encoder
    from bench.plan.sections import EncoderSpec
    from bench.store.artefacts import Artefacts, cache_root

    spec = EncoderSpec(max_length=WHOLE)
    source = find_encoder(name, spec)
    cache = Artefacts(cache_root())
    where, _ = source.ensure(cache, lambda done, total, what: None)
    embedder, _ = embedder_of(source, spec, cache, device, lambda done, total, what: None)
    return source.label, where, embedder


def _as_json(facts: dict[str, Any], speeds: list[Speed]) -> str:
    from dataclasses import asdict

    rows = [asdict(speed) | {"ratio": speed.ratio, "same": speed.same} for speed in speeds]
    return json.dumps({**facts, "matchings": rows}, indent=1, sort_keys=True, ensure_ascii=False)


def _as_table(facts: dict[str, Any], speeds: list[Speed]) -> str:
    lines = [
        "{pairs} pairs, {level} level; {encoder}, layer {layer} of {layers}; {device}, {threads} threads; "
        "median of {rounds} rounds; {left_out} pairs read but left out: longer than the encoder takes".format(**facts),
        f"{'':12}  {'simalign':>10}  {'xner':>10}  {'ratio':>7}  {'links':>7}  {'differing':>9}",
    ]
    for s in speeds:
        lines.append(
            f"{s.matching:12}  {s.theirs:8.1f}/s  {s.ours:8.1f}/s  {s.ratio:6.2f}×  {s.links:7d}  {s.differing:9d}"
        )
    for s in speeds:
        for one in s.differences:
            ours, theirs = (" ".join(f"{a}-{b}" for a, b in side) for side in (one.only_ours, one.only_theirs))
            kind = "a tie" if one.tie else "NOT a tie"
            lines.append(
                f"{s.matching}, pair {one.pair + 1}: only ours {ours or 'none'}; only simalign's {theirs or 'none'}; "
                f"similarities differ by at most {one.gap:.1e}: {kind}"
            )
    return "\n".join(lines)
