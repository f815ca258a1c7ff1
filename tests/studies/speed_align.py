"""Our aligner against simalign's own loop: the same pairs, encoder, layer, machine and threads, in the same run."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.api.recipes import Embedded
from bench.core.sentences import Link, Pair
from bench.data.embed import EncoderEmbedder, pieces_of
from data_recipes.aligners._embedding import units
from data_recipes.aligners.simalign import Simalign, SimalignParams, distorted, match, similarity

MATCHINGS = ("intersection", "itermax", "match")
LETTERS = {"intersection": "a", "itermax": "i", "match": "m"}  # how SentenceAligner is told
NAMES = {"intersection": "inter", "itermax": "itermax", "match": "mwmf"}  # what it calls them
TIE = 1e-5  # similarities that differ by less are equal
WARM_UP = 8  # pairs that both sides align once before the clock runs
Links = tuple[Link, ...]


@dataclass(frozen=True)
class Difference:
    """A pair whose links differ: which are on one side only, and how far the similarities of the two sides are."""

    pair: int
    only_ours: Links
    only_theirs: Links
    gap: float  # largest difference of two similarities of the same cell
    tie: bool  # the gap is below TIE and, given the same similarities, the links are as good


@dataclass(frozen=True)
class Speed:
    """One matching: pairs a second of both sides (medians), and whether the links are the same."""

    matching: str
    layer: int
    theirs: float
    ours: float
    links: int  # of simalign
    differing: int  # links that one side has and the other has not
    differences: tuple[Difference, ...] = field(default=())

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def same(self) -> bool:
        """Whether all that differs is ties."""
        return all(one.tie for one in self.differences)


class Peer:
    """`simalign.SentenceAligner` with the package's own loop over pairs; its weights as float32, like ours."""

    def __init__(self, where: str, params: SimalignParams, layer: int, device: str) -> None:
        from simalign import SentenceAligner

        logging.getLogger("simalign.simalign").setLevel(logging.WARNING)  # it greets on standard error
        level = "bpe" if params.level == "subword" else "word"
        method = LETTERS[params.matching]
        self.aligner = SentenceAligner(where, level, params.distortion, method, device, layer)
        self.aligner.embed_loader.emb_model.float()
        self.name = NAMES[params.matching]

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        aligner = self.aligner
        found = [aligner.get_word_aligns(list(p.source.words), list(p.target.words)) for p in pairs]
        return [tuple(one[self.name]) for one in found]

    def embed(self, pair: Pair) -> tuple[Embedded, Embedded]:
        """Both sides' vectors as its loop makes them."""
        words = [list(pair.source.words), list(pair.target.words)]
        vectors = self.aligner.embed_loader.get_embed_list(words).cpu().numpy()
        tokenize = self.aligner.embed_loader.tokenizer.tokenize
        of_pieces = [[i for i, word in enumerate(side) for _ in tokenize(word)] for side in words]
        source, target = (
            Embedded(vectors[row, : len(own)], np.asarray(own, np.int64)) for row, own in enumerate(of_pieces)
        )
        return source, target


def fitting(embedder: EncoderEmbedder, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs that simalign can align: both sides fit the encoder, and the tokenizer drops none of their words."""
    keep = []
    for pair in pairs:
        sides = [pair.source.words, pair.target.words]
        read = pieces_of(embedder.tokenizer, sides, embedder.room)
        if all(
            0 < len(pieces.ids) <= embedder.room and len(set(words.tolist())) == len(side)
            for (pieces, words), side in zip(read, sides, strict=True)
        ):
            keep.append(pair)
    return keep


def compare(
    where: str, embedder: EncoderEmbedder, pairs: Sequence[Pair], settings: Mapping[str, Any], rounds: int
) -> Speed:
    """Time both sides `rounds` times in turn, embedding and matching included, loading left out.

    Raises:
        BadInput: the encoder has no such layer.
    """
    params = SimalignParams(**settings)
    ours = Simalign(params, embedder=embedder)
    layer = ours.layer(embedder)
    peer = Peer(where, params, layer, embedder.device.type)
    for side in (peer.align, ours.align):
        side(pairs[:WARM_UP])
    times: dict[str, list[float]] = {"theirs": [], "ours": []}
    for _ in range(rounds):
        their_links = _timed(peer.align, pairs, times["theirs"])
        our_links = _timed(ours.align, pairs, times["ours"])
    differences = [
        difference(i, pair, (own, other), (embedder, peer, params, layer))
        for i, (pair, own, other) in enumerate(zip(pairs, our_links, their_links, strict=True))
        if own != other
    ]
    return Speed(
        params.matching,
        layer,
        theirs=len(pairs) / statistics.median(times["theirs"]),
        ours=len(pairs) / statistics.median(times["ours"]),
        links=sum(map(len, their_links)),
        differing=sum(len(one.only_ours) + len(one.only_theirs) for one in differences),
        differences=tuple(differences),
    )


def _timed(align: Callable[[Sequence[Pair]], list[Links]], pairs: Sequence[Pair], times: list[float]) -> list[Links]:
    begin = time.perf_counter()
    links = align(pairs)
    times.append(time.perf_counter() - begin)
    return links


def difference(
    number: int,
    pair: Pair,
    links: tuple[Links, Links],
    sides: tuple[EncoderEmbedder, Peer, SimalignParams, int],
) -> Difference:
    """Whether links differ only because equal similarities were rounded differently."""
    (ours, theirs), (embedder, peer, params, layer) = links, sides
    own, other = embedder.embed([pair.source.words, pair.target.words], layer), peer.embed(pair)
    mine, its = matrix_of(own[0], own[1], params), matrix_of(*other, params)
    gap = float(np.abs(mine - its).max())
    if params.matching == "match":  # several assignments may sum to the same
        chosen = peer.aligner.get_max_weight_match(its)
        as_good = abs(float(its[match(mine)].sum()) - float((its * chosen).sum())) < TIE
    else:
        aligner = Simalign(params)
        as_good = aligner.links_of(*other) == theirs and aligner.links_of(own[0], own[1]) == ours
    only_ours, only_theirs = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
    return Difference(number, tuple(only_ours), tuple(only_theirs), gap, gap < TIE and as_good)


def matrix_of(source: Embedded, target: Embedded, params: SimalignParams) -> np.ndarray[Any, Any]:
    """The similarities that are matched: (m, n)."""
    x, y = (units(side, params.level)[0] for side in (source, target))
    return distorted(similarity(x, y), params.distortion)
