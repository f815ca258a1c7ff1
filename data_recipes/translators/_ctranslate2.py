"""A translation model run by CTranslate2 (optional extra ct2): converted once, then used like `_engine.Engine`."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.core.errors import BadInput, Unavailable
from bench.core.files import cache_root, canonical_json, published_folder, sha256_of
from data_recipes.translators._engine import Engine, ModelSource, Request, limit_of

PACKAGE = "ctranslate2"
PATIENCE = 2.0  # ours: finished beams wanted, in beam sizes; 1, its default, ends far earlier than transformers does


def ctranslate2_version() -> str:
    """The installed version; Unavailable where there is none."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError as error:
        raise Unavailable("engine ctranslate2 is not installed: pip install 'xner-bench[ct2]'") from error


class CTranslate2Engine(Engine):
    """The same tokenizer, batches and limits; greedy search writes the same tokens as transformers in float32.

    Beam search has a stopping rule of its own and now and then finds another translation.
    """

    def _load(self, source: ModelSource, folder: Path) -> None:
        import ctranslate2
        import torch
        from transformers import GenerationConfig

        self.runtime = f"{PACKAGE} {ctranslate2_version()} {self.params.quantisation}"
        place = converted(source, self.params.quantisation, self.tokenizer)
        try:
            self.model = ctranslate2.Translator(
                str(place), device=self.device.type, compute_type="default", intra_threads=torch.get_num_threads()
            )
        except RuntimeError as error:
            raise BadInput(f"ctranslate2 cannot load {place}: {error} (remove the folder to convert again)") from error
        self.bytes = sum(file.stat().st_size for file in place.iterdir())
        generation = GenerationConfig()
        if (folder / "generation_config.json").is_file():
            generation = GenerationConfig.from_pretrained(folder)
        neutral = {"length_penalty": 1.0, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
        asked = {name: getattr(generation, name, None) for name in neutral}
        self.penalties = {name: neutral[name] if value is None else value for name, value in asked.items()}

    def _generated(self, ids: list[list[int]], request: Request) -> list[list[int]]:
        import torch

        names = self.tokenizer.convert_ids_to_tokens
        forced = None if request.forced is None else [[names(request.forced)]] * len(ids)
        try:
            results = self.model.translate_batch(
                [names(row) for row in ids],
                target_prefix=forced,
                batch_type="tokens",  # do not split the batch, which is filled by tokens already
                beam_size=self.params.beams,
                patience=PATIENCE if self.params.beams > 1 else 1.0,
                max_input_length=0,
                min_decoding_length=0,  # an empty answer is an answer, and counted
                return_end_token=True,  # so that the end counts for the length penalty, as in transformers
                max_decoding_length=limit_of(len(ids[0]), self.positions),
                **self.penalties,
            )
        except RuntimeError as error:
            if "out of memory" not in str(error).lower():
                raise
            raise torch.OutOfMemoryError(str(error)) from error
        end = self.tokenizer.eos_token
        rows = [result.hypotheses[0] for result in results]
        return [self.tokenizer.convert_tokens_to_ids(row[:-1] if row[-1:] == [end] else row) for row in rows]


def converted(source: ModelSource, quantisation: str, tokenizer: Any) -> Path:
    """The model in CTranslate2's format, made once: `ctranslate2/<key of weights, quantisation, version>` in the cache.

    Raises:
        BadInput: CTranslate2 cannot run this model, or not as transformers does.
    """
    key = canonical_json([source.version, quantisation, ctranslate2_version()])
    folder = cache_root() / PACKAGE / sha256_of(key)[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if not folder.is_dir():
            with published_folder(folder) as to:
                _convert(source, to, quantisation, tokenizer)
    return folder


def _convert(source: ModelSource, to: Path, quantisation: str, tokenizer: Any) -> None:
    import torch
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):  # type: ignore[misc]
        """Safetensors only, in float32, and only models that translate as they do in transformers."""

        def load_model(self, model_class: Any, model_name_or_path: str, **more: Any) -> Any:
            model = model_class.from_pretrained(model_name_or_path, use_safetensors=True, trust_remote_code=False)
            _check(model, source.label)
            return model.to(torch.float32)

        def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **more: Any) -> Any:
            return tokenizer

    try:
        Converter(str(source.ensure())).convert(str(to), quantization=quantisation, force=True)
    except BadInput:
        raise
    except (ValueError, NotImplementedError, KeyError, AttributeError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise BadInput(f"ctranslate2 cannot convert '{source.label}': {type(error).__name__}: {first}") from error
    names: list[str] = json.loads((to / "shared_vocabulary.json").read_text(encoding="utf-8"))
    known = names[: len(tokenizer)]  # the names after these only pad the embeddings
    if tokenizer.convert_ids_to_tokens(list(range(len(known)))) != known:
        raise BadInput(f"ctranslate2 cannot convert '{source.label}': its vocabulary is not the tokenizer's")


def _check(model: Any, label: str) -> None:
    """CTranslate2 starts Marian's decoder with zeros and has one vocabulary for both sides."""
    config = model.config
    if config.model_type != "marian":
        return
    if not getattr(config, "share_encoder_decoder_embeddings", True):
        raise BadInput(f"ctranslate2 cannot convert '{label}': the two sides have vocabularies of their own")
    start = config.decoder_start_token_id
    if model.get_input_embeddings().weight[start].any() or start != config.vocab_size - 1:
        raise BadInput(
            f"ctranslate2 would not start '{label}' as transformers does: the embedding of its start token is not zero,"
            " or not the last; keep engine transformers"
        )
