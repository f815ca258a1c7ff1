"""A data directory of a few made sentences in the published forms of PUD, its tests and NTREX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

ENGLISH = ("Anna  saw Paris .", "Bob left .", "A dog ran .")  # published with two spaces, joined all the same
IDS = ("n01001-0001", "w02001-0002", "w01001-0003")
# by language the words, tags, ids; Chinese in the order of the UD files: third, first, second
TRANSLATIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "de": (
        ("Anna war an dem Meer , in dem Paris", "B-PER O O O O O O O B-LOC", IDS[0]),
        ("In dem Haus Bob", "O O O B-PER", IDS[1]),
        ("Ein Hund", "O O", IDS[2]),
    ),
    "zh": (
        ("狗 跑 了", "O O O", "batch-0000-0001"),
        ("安娜 見 巴黎", "B-PER O B-LOC", "batch-0000-0002"),
        ("鮑勃", "B-PER", "batch-0000-0003"),
    ),
}
SPANISH = (  # of the third, first and second English sentence
    "# sent_id = w01001012\n# text_en = A dog ran .\n1\tUn\n2\tperro\n3\t5 000\n\n",
    "# sent_id = n01001011\n# text_en = Anna saw\u00a0Paris .\n1-2\tdel\n1\tde\n2\tel\n3\tmar\n3.1\tvio\n4-5\tdársela\n"
    "4\tdar\n5\tsela\n\n",
    "# sent_id = w02001012\n# text_en = Bob left .\n1\tBob\n2\tsalió\n\n",
)


def iob2(rows: Sequence[tuple[str, str, str]], texts: Sequence[str] = ()) -> str:
    """UNER's form: id, token, tag, two more columns; `# sent_id` and `# text`."""
    blocks = []
    for number, (words, tags, id_) in enumerate(rows):
        head = f"# sent_id = {id_}\n# text = {texts[number] if texts else words}\n"
        pairs = zip(words.split(), tags.split(), strict=True)
        blocks.append(head + "".join(f"{n}\t{word}\t{tag}\t-\t-\n" for n, (word, tag) in enumerate(pairs, 1)))
    return "\n".join(blocks) + "\n"


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_pud(root: Path) -> None:
    """English, German, Chinese, Spanish, two tests, and NTREX in four languages."""
    rows = [(" ".join(text.split()), "O " * len(text.split()), id_) for text, id_ in zip(ENGLISH, IDS, strict=True)]
    rows[0] = (rows[0][0], "B-PER O B-LOC O", rows[0][2])
    write(root, "uner/en_pud/en_pud-ud-test.iob2", iob2(rows, ENGLISH))
    for language, sentences in TRANSLATIONS.items():
        write(root, f"uner/{language}_pud/{language}_pud-ud-test.iob2", iob2(sentences))
    write(root, "ud_pud/es_pud/es_pud-ud-test.conllu", "".join(SPANISH))
    write(root, "uner/sr_set/sr_set-ud-test.iob2", iob2([("Ana je", "I-PER B-OTH", "batch-0000-0001")]))
    write(root, "uner/zh_gsdsimp/zh_gsdsimp-ud-train.iob2", iob2([("巴黎", "B-LOC", "batch-0000-0001")]))
    write(root, "ntrex/newstest2019-ref.zho-CN.txt", "安娜见过New York的狗。\n\n巴黎\n")
    write(root, "ntrex/newstest2019-ref.por.txt", "Ele foi ao Brasil, do lado da NOS.\n")
    write(root, "ntrex/newstest2019-ref.ita.txt", "L’acqua dell'hotel.\n")
    write(root, "ntrex/newstest2019-ref.deu.txt", "Er war am Meer.\n")
