"""Linking the words of anybody's parallel text: an aligner made ready by name, files in, Pharaoh lines out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.api.recipes import Aligner, Progress
from bench.core.errors import BadInput
from bench.core.sentences import Link, Pair
from bench.data.encoders import find_encoder
from bench.plan import registry
from bench.plan.fingerprint import code_running
from bench.plan.schema import to_plain
from bench.plan.sections import EncoderSpec
from bench.plan.where import Where
from bench.store.artefacts import Artefacts, cache_root

WHOLE = 10**6  # a length that no encoder has: windows are as long as it takes


@dataclass(frozen=True)
class AlignerChoice:
    """An aligner as a command line names it."""

    name: str
    settings: Mapping[str, Any]  # of its Params
    encoder: str = ""  # of an aligner that embeds
    device: str = "cpu"


class Aligning:
    """An aligner made ready by name.

    Raises:
        BadInput: no such aligner, setting or encoder, or one that does not go with the other.
    """

    def __init__(self, choice: AlignerChoice) -> None:
        module = registry.module_of("aligner", choice.name)  # an unknown name is no fault of the settings
        self.choice, self.what = choice, choice.name  # what links, in words
        self.aligner: Aligner = registry.make("aligner", choice.name, choice.settings, Where("--set"))
        self.made_of: dict[str, object] = {
            "aligner": choice.name,
            "parameters": to_plain(self.aligner.params),
            "code": code_running(module, "bench.data.embed"),
        }
        if not self.aligner.embeds and choice.encoder:
            raise BadInput(f"--encoder: the aligner '{choice.name}' embeds nothing")
        if self.aligner.embeds and not choice.encoder:
            known = ", ".join(registry.names("encoder"))
            raise BadInput(
                f"the aligner '{choice.name}' embeds sentences and needs --encoder: "
                f"a folder, a hub id or one of our own ({known})"
            )
        self.tick: Callable[[int], None] = lambda sentences: None  # told of finished sentences
        self._spec = EncoderSpec(max_length=WHOLE)
        self._source = find_encoder(choice.encoder, self._spec) if choice.encoder else None
        if self._source:
            self.made_of["encoder"] = self._source.key

    def prepare(self, total: int, progress: Progress) -> None:
        """Give the aligner the encoder that it needs, for `total` sentences.

        Raises:
            BadInput: the encoder cannot be loaded, or has no such layer.
        """
        if self._source is None:
            return
        from bench.data.embed import counting, embedder_of

        embedder, _ = embedder_of(self._source, self._spec, Artefacts(cache_root()), self.choice.device, progress)
        layer = self.aligner.layer(embedder)
        self.aligner.embedder = embedder
        self.tick = embedder.tick = counting(progress, total, "sentences")
        self.what = f"{self.choice.name}, {self._source.label}, layer {layer} of {embedder.layers}"

    def links(self, pairs: Sequence[Pair]) -> list[tuple[Link, ...]]:
        """Links of each pair; a pair of which a side has no words gets none.

        Raises:
            BadInput: the aligner cannot link these pairs.
        """
        full = [i for i, pair in enumerate(pairs) if pair.source.words and pair.target.words]
        links: list[tuple[Link, ...]] = [()] * len(pairs)
        for i, found in zip(full, self.aligner.align([pairs[i] for i in full]) if full else [], strict=True):
            links[i] = found
        return links


def pharaoh(links: Iterable[Sequence[Link]]) -> str:
    """A line a pair, such as `0-0 1-2`: source word, target word, both from 0."""
    return "".join(" ".join(f"{s}-{t}" for s, t in pair) + "\n" for pair in links)
