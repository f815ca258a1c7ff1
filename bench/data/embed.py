"""Sub-word vectors for aligners: each sentence once, batched by length, long ones in windows; shared ones are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn

from bench.api.recipes import Embedded, Progress
from bench.core.files import canonical_json, sha256_of
from bench.core.subwords import Ints, Pieces, Specials, bare_marks, layout, windows_of
from bench.data.encoders import EncoderSource
from bench.data.loading import PLAIN, layer_stack, load_encoder
from bench.plan.keys import key_of, versions
from bench.plan.sections import EncoderSpec
from bench.store.artefacts import Artefact, Artefacts

EMBED = "embed"
VECTORS = "vectors.safetensors"
ROOM = {"cpu": 1024, "cuda": 32768}  # padded sub-words a batch; never part of a key
Words = tuple[str, ...]


class EncoderEmbedder:
    """`bench.api.recipes.Embedder` over a loaded encoder, float32, without dropout or gradients.

    For a sentence that fits into `max_length` the vectors are those of the whole encoder on that sentence alone, but
    for rounding; the layers above the requested one are not run if the encoder can be cut (ours).
    """

    def __init__(
        self, where: str, align_layer: int | None = None, max_length: int | None = None, device: str = "cpu"
    ) -> None:
        loaded = load_encoder(where)
        self.device = torch.device(device)
        self.model: Any = loaded.model.to(self.device).eval()
        self.tokenizer = loaded.tokenizer
        self.specials = Specials.of(loaded.tokenizer)
        self._bare = np.asarray(sorted(bare_marks(loaded.tokenizer)), np.int64)
        self.max_length = min(max_length or loaded.longest, loaded.longest)
        self.align_layer = align_layer
        self.tick: Callable[[int], None] = lambda sentences: None  # called with numbers of finished sentences
        self.layers = int(loaded.model.config.num_hidden_layers)
        self._stack = layer_stack(loaded.model)
        self._plain = loaded.model.config.model_type in PLAIN
        self._above: list[nn.Module] = []  # layers cut off it
        self._top: int | None = None  # the layer for which the encoder was cut last
        self._kept: dict[int, KeptVectors] = {}

    @property
    def room(self) -> int:
        """Pieces of a window, special tokens left out."""
        return self.max_length - len(self.specials.prefix) - len(self.specials.suffix)

    def embed(self, sentences: Sequence[Words], layer: int) -> list[Embedded]:
        """Vectors of a hidden layer, 0 (the input embeddings) to `layers`; equal sentences are embedded once.

        The encoder reads all pieces; those that cover no character of their word (`bare_marks`) get no vector.

        Raises:
            ValueError: there is no such layer.
        """
        if not 0 <= layer <= self.layers:
            raise ValueError(f"layer {layer} of an encoder of {self.layers} layers")
        kept = self._kept.get(layer)
        unique = dict.fromkeys(sentences)
        known = {words: embedded for words in unique if kept and (embedded := kept.get(words)) is not None}
        fresh = [words for words in unique if words not in known]
        hidden = int(self.model.config.hidden_size)
        known |= {words: Embedded(np.zeros((0, hidden), np.float32), np.zeros(0, np.int64)) for words in fresh}
        cut = pieces_of(self.tokenizer, fresh, self.room)
        texts = [(words, pieces, of_pieces) for words, (pieces, of_pieces) in zip(fresh, cut, strict=True)]
        texts = sorted((text for text in texts if len(text[1].ids)), key=lambda text: len(text[1].ids))
        self.tick(len(sentences) - len(texts))
        for batch in self._batches([pieces for _, pieces, _ in texts]):
            vectors = self._run([texts[i][1] for i in batch], layer)
            for i, own in zip(batch, vectors, strict=True):
                words, pieces, of_pieces = texts[i]
                telling = np.isin(pieces.ids, self._bare, invert=True)
                known[words] = Embedded(own[telling], of_pieces[telling])
            self.tick(len(batch))
        return [known[words] for words in sentences]

    def keep(
        self, cache: Artefacts, sentences: Sequence[Words], layer: int, parent: tuple[str, Artefact | None]
    ) -> KeptVectors:
        """Take the vectors of these sentences at this layer from an artefact, which is made if need be.

        `parent` is the encoder's key, and its artefact if a recipe made it.
        """
        key, made = parent
        unique = sorted(set(sentences))
        address = key_of(
            EMBED,
            encoder=key,
            layer=layer,
            max_length=self.max_length,
            sentences=sha256_of(canonical_json(unique)),
            versions=versions(),
        )

        def build(folder: Path) -> dict[str, Any]:
            embedded = self.embed(unique, layer)
            arrays = {
                "ends": np.cumsum([len(words) for _, words in embedded], dtype=np.int64),
                "vectors": np.concatenate([vectors for vectors, _ in embedded]),
                "words": np.concatenate([words for _, words in embedded]),
            }
            save_file(arrays, folder / VECTORS)
            return {"layer": layer, "layers": self.layers, "max_length": self.max_length, "sentences": len(unique)}

        artefact = cache.get_or_make(EMBED, address, build, parents=(made.address,) if made else ())
        self._kept[layer] = KeptVectors(artefact, unique)
        return self._kept[layer]

    def _batches(self, pieces: Sequence[Pieces]) -> Iterator[range]:
        """Consecutive texts (sorted by length) whose padded windows fill the room of a batch."""
        room, start, rows = ROOM.get(self.device.type, ROOM["cpu"]), 0, 0
        for i, text in enumerate(pieces):
            own = len(windows_of(text, self.room))
            width = min(len(text.ids), self.room) + self.max_length - self.room
            if rows and (rows + own) * width > room:
                yield range(start, i)
                start, rows = i, 0
            rows += own
        if rows:
            yield range(start, len(pieces))

    @torch.inference_mode()
    def _run(self, batch: Sequence[Pieces], layer: int) -> list[Any]:
        """The vectors (pieces, H) of each text of a batch; a piece in two windows has that of the answering one."""
        if self._top != layer and self._plain and self._stack is not None:
            self._stack.extend(self._above)  # the layers above are left out if that changes nothing below
            self._above = list(self._stack[max(layer, 1) :])
            del self._stack[max(layer, 1) :]
        self._top, last = layer, bool(layer) and self._plain
        plan = layout(batch, self.specials, self.max_length)
        ids, mask = (torch.from_numpy(array).to(self.device) for array in (plan.ids, plan.mask))
        out = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=not last)
        hidden = out.last_hidden_state if last else out.hidden_states[layer]
        flat = hidden[torch.from_numpy(plan.real).to(self.device)].float().cpu().numpy()
        return np.split(flat, np.cumsum([len(text.ids) for text in batch])[:-1])


def counting(progress: Progress, total: int, label: str) -> Callable[[int], None]:
    """A `tick` that reports the sum of its calls as progress."""
    done = 0

    def tick(sentences: int) -> None:
        nonlocal done
        done += sentences
        progress(done, total, label)

    return tick


class KeptVectors:
    """The vectors of an artefact, read a sentence at a time: `vectors` (pieces, H), `words` (pieces,), `ends`
    (sentences,) the end of each sentence's pieces."""

    def __init__(self, artefact: Artefact, sentences: Sequence[Words]) -> None:
        self.artefact = artefact
        self._numbers = {words: number for number, words in enumerate(sentences)}
        file: Any = safe_open(artefact.folder / VECTORS, "np")
        self._vectors = file.get_slice("vectors")  # read in parts
        self._words, self._ends = file.get_tensor("words"), file.get_tensor("ends")

    def get(self, words: Words) -> Embedded | None:
        """The sentence's vectors, None if the artefact does not hold it."""
        number = self._numbers.get(words)
        if number is None:
            return None
        start, end = int(self._ends[number - 1]) if number else 0, int(self._ends[number])
        return Embedded(self._vectors[start:end], self._words[start:end])


def pieces_of(tokenizer: Any, sentences: Sequence[Words], room: int) -> list[tuple[Pieces, Ints]]:
    """Each sentence's pieces, and the word of each piece; a word that the tokenizer drops has none, as in simalign.

    A word longer than a window is cut into several, so that no piece is lost.
    """
    filled = [list(words) for words in sentences if words]
    options = {"is_split_into_words": True, "add_special_tokens": False, "verbose": False}
    encoded: Any = tokenizer(filled, **options) if filled else None
    rows = iter(range(len(filled)))
    out = []
    for words in sentences:
        row = next(rows) if words else None
        ids = np.asarray([] if row is None else encoded["input_ids"][row], np.int64)
        of_pieces = np.asarray([] if row is None else encoded.word_ids(row), np.int64)
        starts = np.flatnonzero(np.diff(of_pieces, prepend=-1))
        ends = np.append(starts[1:], len(ids))
        if len(ids) and int((ends - starts).max()) > room:
            pairs = zip(starts.tolist(), ends.tolist(), strict=True)
            starts = np.asarray([cut for start, end in pairs for cut in range(start, end, room)], np.int64)
        out.append((Pieces(ids, starts.astype(np.int64)), of_pieces))
    return out


def embedder_of(
    source: EncoderSource, spec: EncoderSpec, cache: Artefacts, device: str, progress: Progress
) -> tuple[EncoderEmbedder, Artefact | None]:
    """The embedder of an encoder as a matrix names it, and the encoder's artefact if a recipe made it.

    BadInput if it cannot be loaded.
    """
    where, made = source.ensure(cache, progress)
    return EncoderEmbedder(where, source.align_layer(spec), spec.max_length, device), made
