"""Sources of encoders: our own recipes, local folders, or the hub at a pinned revision; and their content keys."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.api import hub
from bench.api.recipes import EncoderRecipe, Progress
from bench.core.errors import BadInput, Unavailable, nearest
from bench.core.files import sha256_of_unchanged
from bench.core.memo import process_memo
from bench.core.sentences import letters_of
from bench.plan import registry
from bench.plan.fingerprint import code_of
from bench.plan.keys import key_of, versions
from bench.plan.sections import EncoderSpec
from bench.store.artefacts import Artefact, Artefacts

DECODER = re.compile(r"ForCausalLM$|^(OpenAI)?GPT.*LMHeadModel$")  # architectures of config.json
WITH_DECODER = ("t5", "mt5", "umt5")  # families whose encoder is loaded without the decoder
CONFIGURATION = ("*.json", "*.txt", "*.model")  # the small files that tell whether an encoder can work
WEIGHTS = (*CONFIGURATION, "*.safetensors")
OWNERS = {  # new owners, on the hub, of models that once had none
    "bert": "google-bert",
    "xlm-roberta": "FacebookAI",
    "roberta": "FacebookAI",
    "distilbert": "distilbert",
    "albert": "albert",
    "camembert": "almanach",
}


@dataclass(frozen=True)
class EncoderSource:
    """An encoder as a matrix names it. `where` is a folder or hub id; "" for a recipe that is not made yet.

    `revision` is the commit of a hub id.
    """

    label: str  # for tables: never a path
    key: str
    where: str = ""
    revision: str | None = None
    recipe: EncoderRecipe | None = None

    def ensure(self, cache: Artefacts, progress: Progress) -> tuple[str, Artefact | None]:
        """The folder to load, and the artefact that it is (of a recipe); made or fetched if need be.

        Raises:
            BadInput: the hub does not give it.
        """
        recipe = self.recipe
        if self.revision:
            return str(hub.fetch_shown(hub_name(self.where, EncoderSpec()), self.revision)), None
        if recipe is None or self.where:
            return self.where, None

        def build(folder: Path) -> dict[str, str]:
            origin = recipe.what or "trained here, which takes minutes"
            message = f"making the encoder '{self.label}' ({origin}), once; it is kept in the cache"
            print(message, file=sys.stderr, flush=True)
            recipe.make(folder, progress)
            return {"encoder": self.label} | ({"what": recipe.what} if recipe.what else {})

        artefact = cache.get_or_make("encoder", self.key, build)
        return str(artefact.folder), artefact

    def configured(self, cache: Artefacts) -> Path | None:
        """The folder with its config.json, None if it is not fetched or made yet; the weights may be missing."""
        if self.revision:
            return hub.cached(configuration(hub_name(self.where, EncoderSpec())), self.revision)
        folder = Path(self.where) if self.where else cache.folder("encoder", self.key)
        return folder if (folder / "config.json").is_file() else None

    def align_layer(self, spec: EncoderSpec) -> int | None:
        """The layer that aligns best, by the matrix's recipe, else by the encoder's own; None: no advice."""
        own = self.recipe.align_layer if self.recipe is not None else None
        return own if spec.align_layer is None else spec.align_layer

    def texts(self) -> Mapping[str, str]:
        """Its known pre-training sentences, by normalised text, for the leakage guard: of our recipes only.

        The process keeps them, as every cell of an encoder compares the same text with its test. {} for a shipped
        encoder whose text is not on this machine: then the tests that its recipe was checked against are missing too.
        """
        if self.recipe is None:
            return {}
        name, memo = ("texts", self.recipe.name), process_memo()
        kept: Mapping[str, str] | None = memo.get(name)
        if kept is None:
            try:
                kept = {letters_of(text): text for text in self.recipe.texts()}
            except Unavailable:
                if self.recipe.shipped is None:
                    raise
                kept = {}
            memo.put(name, kept, sum(200 + 2 * (len(letters) + len(text)) for letters, text in kept.items()))
        return kept

    def facts(self) -> dict[str, str]:
        """For a record: whether its pre-training text was compared with the tests, and the origin of its weights."""
        shipped = self.recipe is not None and self.recipe.shipped is not None
        text = "compared with the tests" if self.texts() else "not here: compared when made" if shipped else "unknown"
        origin = self.recipe.what if self.recipe is not None else ""
        return {"encoder_text": text} | ({"encoder": origin} if origin else {})


def find_encoder(name: str, spec: EncoderSpec) -> EncoderSource:
    """Resolve an encoder's name.

    Raises:
        BadInput: it is no recipe, no transformers folder and no hub id; or a hub id that the hub does not resolve;
            or its config.json says that it cannot work (for hub ids see `sources.refuse_unfit_encoders`); or a
            recipe's files are missing or damaged.
    """
    if name in registry.names("encoder"):
        recipe: EncoderRecipe = registry.make("encoder", name)
        if recipe.shipped is not None and recipe.shipped.is_dir():
            check_config(f"encoder '{name}'", recipe.shipped, spec)
            key = key_of("encoder", files=_hashes(recipe.shipped))
            return EncoderSource(name, key, str(recipe.shipped), None, recipe)
        sources = recipe.sources()
        made_of = {"files": dict(sources)} if sources else {"versions": versions()}
        key = key_of("encoder", code=code_of(type(recipe)), name=name, **made_of)
        return EncoderSource(name, key, recipe=recipe)
    folder = Path(name).expanduser()
    if folder.is_dir():
        hashes = _hashes(folder)
        check_config(f"encoder '{name}'", folder, spec)
        return EncoderSource(folder.resolve().name, key_of("encoder", files=hashes), where=str(folder))
    is_hub_id(name)  # or refused
    commit = hub.commit_of(hub_name(name, spec))
    return EncoderSource(name, key_of("encoder", hub=name, commit=commit), where=name, revision=commit)


def is_hub_id(name: str) -> bool:
    """Whether an encoder's name is a hub id: no recipe and no local folder.

    Raises:
        BadInput: it is none of the three.
    """
    if name in registry.names("encoder") or Path(name).expanduser().is_dir():
        return False
    if name.startswith((".", "/", "~")) or not hub.ID.fullmatch(name):
        owner = next((owner for family, owner in OWNERS.items() if name.startswith(f"{family}-")), "")
        hint = f"; did you mean '{owner}/{name}'?" if owner else nearest(name, registry.names("encoder"))
        raise BadInput(f"encoder '{name}' is neither a folder nor a recipe nor a hub id (OWNER/NAME){hint}")
    return True


def hub_name(name: str, spec: EncoderSpec) -> hub.HubName:
    """The files to read of an encoder on the hub."""
    return hub.HubName("model", name, spec.revision, WEIGHTS, safetensors=True)


def configuration(name: hub.HubName) -> hub.HubName:
    """The part of an encoder on the hub that is read before its weights."""
    return replace(name, patterns=CONFIGURATION, safetensors=False)


def check_config(label: str, folder: Path, spec: EncoderSpec) -> None:
    """`refuse_unfit` by the folder's config.json, before anything is planned; `label` begins its messages."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{label} has no config.json, so transformers cannot load it") from error
    except ValueError as error:
        raise BadInput(f"{label}: config.json is not a JSON object: {error}") from error
    if not isinstance(config, dict):
        raise BadInput(f"{label}: config.json is not a JSON object")
    refuse_unfit(label, config, spec.layers, spec.freeze)


def refuse_unfit(label: str, config: Mapping[str, Any], layers: int | None = None, freeze: int = 0) -> None:
    """Refuse an encoder by its config.json.

    Raises:
        BadInput: it is an encoder-decoder whose encoder cannot be loaded alone, a decoder, a model of a family that
            transformers lacks, an X-MOD without a language, or has fewer layers than are to be kept or frozen.
    """
    kind = str(config.get("model_type", ""))
    if config.get("auto_map"):
        from transformers import CONFIG_MAPPING

        if kind not in CONFIG_MAPPING:
            raise BadInput(f"{label}: '{kind}' needs the code of its repository, which is never run")
    if config.get("is_encoder_decoder") and kind not in WITH_DECODER:
        raise BadInput(f"{label}: {kind} is an encoder-decoder whose encoder transformers cannot load alone")
    decoders = [name for name in config.get("architectures") or () if DECODER.search(name)]
    if decoders or config.get("is_decoder"):
        named = decoders[0] if decoders else f"{kind} with is_decoder"
        raise BadInput(f"{label}: {named} is a decoder, whose words do not see later ones: an encoder is needed")
    if kind == "xmod" and not config.get("default_language"):
        raise BadInput(f"{label}: an X-MOD needs default_language in its config.json, which chooses the adapters")
    if kind == "albert" and freeze:
        raise BadInput(f"{label}: freeze = {freeze}, but the layers of an ALBERT share their weights")
    depth = next((config[name] for name in ("num_hidden_layers", "n_layers", "num_layers") if name in config), None)
    if not isinstance(depth, int):
        return
    if layers is not None and layers > depth:
        raise BadInput(f"{label}: layers = {layers}, but it has {depth}")
    kept = depth if layers is None else layers
    if freeze >= kept:
        raise BadInput(f"{label}: freeze = {freeze}, but it has {kept} layers, the last of which must learn")


def _hashes(folder: Path) -> dict[str, str]:
    """Hashes of the files from which a transformers folder is loaded."""
    files = sorted({path for pattern in WEIGHTS for path in folder.glob(pattern)})
    if not (folder / "config.json").exists() or not any(path.suffix == ".safetensors" for path in files):
        raise BadInput(
            f"encoder folder '{folder}' has no config.json with *.safetensors: not a transformers folder we load"
        )
    return {path.name: sha256_of_unchanged(path) for path in files}
