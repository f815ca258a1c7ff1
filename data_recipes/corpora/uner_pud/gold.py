"""The gold corpora from which `uner_pud` takes its source dev, its tests and its target training text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.api.source_files import files_of, here
from bench.core.conll import Format, read_conll
from bench.core.sentences import Scheme, Sentence, Split
from data_recipes.corpora.europarl_ner.corpus import read_side

TYPES = ("PER", "LOC", "ORG")
UNER = Format(token=1, tag=2)
OTH = {"OTH": "O"}


@dataclass(frozen=True)
class Gold:
    """One corpus as published: its folder, its files by split (a folder of them ends with /), how to read them."""

    folder: str
    files: Mapping[Split, str]
    format: Format = UNER

    def read(self, language: str, split: Split) -> list[Sentence]:
        """The sentences of a split with ids `<corpus>/<id as published>`, [] where the corpus has none.

        Europarl: the 799 sentences without MISC as test, with groups, since its sides translate each other.

        Raises:
            Unavailable: a file is not here.
            BadInput: as `bench.core.conll.read_conll`, of Europarl as `read_side`.
        """
        if self is EUROPARL:
            return read_side(language) if split == "test" else []
        if (name := self.files.get(split)) is None:
            return []
        path, corpus = f"{self.folder}/{name}", self.folder.rpartition("/")[2]
        many = name.endswith("/")  # one of many files may have no entity
        return [
            replace(sentence, id=f"{corpus}/{sentence.id}", group="")
            for each in (sorted(source.path for source in files_of(path)) if many else [path])
            for sentence in read_conll(
                here(each), language, TYPES, self.format, require_entities=split == "test" and not many
            )
        ]


def _uner(name: str, *splits: Split, scheme: Scheme = "IOB2", label_map: Mapping[str, str] | None = None) -> Gold:
    files: dict[Split, str] = {split: f"{name}-ud-{split}.iob2" for split in splits or ("train", "dev", "test")}
    return Gold(f"uner/{name}", files, replace(UNER, scheme=scheme, label_map=label_map or {}))


EUROPARL = Gold("europarl_ner", {})

# By language. IOB1 where published tags have entities that start with I-: da_ddt (train, test), sr_set (train, dev),
# NerKor (train, devel), and, to be safe, the two that could not be read when this was written (hr_set, sv_talbanken).
GOLD: Mapping[str, Gold] = {
    "en": _uner("en_ewt", "dev", "test"),
    "de": EUROPARL,
    "es": EUROPARL,
    "it": EUROPARL,
    "pt": _uner("pt_bosque"),
    "zh": _uner("zh_gsdsimp"),
    "fi": Gold(
        "turku_ner",
        {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"},
        Format(label_map={"PRO": "O", "EVENT": "O", "DATE": "O"}),
    ),
    "sv": _uner("sv_talbanken", scheme="IOB1"),
    "hu": Gold(
        "nerkor",
        {"train": "data/train/", "dev": "data/devel/", "test": "data/test/"},
        Format(tag=5, scheme="IOB1", label_map={"MISC": "O"}),
    ),
    "da": _uner("da_ddt", scheme="IOB1"),
    "sk": _uner("sk_snk"),
    "sr": _uner("sr_set", scheme="IOB1", label_map=OTH),
    "hr": _uner("hr_set", scheme="IOB1", label_map=OTH),
    "ceb": _uner("ceb_gja", "test"),
    "tl": _uner("tl_trg", "test"),
}
