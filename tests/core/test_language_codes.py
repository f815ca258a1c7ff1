"""Language codes: every language of the suites has a row, and langcodes and transformers confirm NLLB's names."""

from __future__ import annotations

import langcodes
import pytest

from bench.core.errors import Unavailable
from bench.core.languages import NLLB, OPUS, from_english, nllb_code, opus_code, opus_tokens

PANX = """af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur
vi yo zh"""
MASAKHANER = "bam bbj ewe fon hau ibo kin lug luo mos nya pcm sna swa tsn twi wol xho yor zul"
OTHERS = "ca gl is mk da sk sr hr sv ro uk pl cs lt ceb"
COVERED = sorted(code for code, name in NLLB.items() if name)
NOT_COVERED = {"bbj", "pcm"}
OTHER_SCRIPT = {"ko": "Hang"}  # langcodes: Kore, Hangul and Han together


def test_every_language_of_the_suites_has_a_row() -> None:
    assert len(PANX.split()) == 40 and len(MASAKHANER.split()) == 20
    assert set(NLLB) == {*PANX.split(), *MASAKHANER.split(), *OTHERS.split()}
    assert set(NLLB) - set(COVERED) == NOT_COVERED


@pytest.mark.parametrize("code", COVERED)
def test_langcodes_says_that_it_is_the_same_language(code: str) -> None:
    iso, _, script = nllb_code(code).partition("_")
    ours = langcodes.standardize_tag(code, macro=True)
    assert langcodes.standardize_tag(iso, macro=True).partition("-")[0] == ours.partition("-")[0]
    likely = langcodes.Language.get(code).maximize().script
    assert script == OTHER_SCRIPT.get(code, likely)


@pytest.mark.parametrize("code", COVERED)
def test_nllb_has_the_code(code: str) -> None:
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    assert nllb_code(code) in FAIRSEQ_LANGUAGE_CODES


@pytest.mark.parametrize("code", sorted(NOT_COVERED))
def test_what_nllb_does_not_cover_is_a_skip_with_the_reason(code: str) -> None:
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    assert not [name for name in FAIRSEQ_LANGUAGE_CODES if name.startswith(code)]
    with pytest.raises(Unavailable, match=f"NLLB-200 does not cover '{code}'"):
        nllb_code(code)


def test_an_unknown_language_names_the_nearest() -> None:
    with pytest.raises(Unavailable, match="did you mean 'sw'"):
        nllb_code("swh")


@pytest.mark.parametrize("code", [code for code in OPUS if code != "en"])
def test_opus_names_are_the_same_language(code: str) -> None:
    tags = [langcodes.standardize_tag(one, macro=True) for one in (code, opus_code(code))]
    assert tags[0] == tags[1] and from_english(code)


def test_opus_target_tokens() -> None:
    assert opus_tokens("de") == (">>deu_Latn<<", ">>deu<<", ">>de_Latn<<", ">>de<<")
    assert ">>cmn_Hans<<" in opus_tokens("zh")
    assert opus_code("tr") == "tr" and not from_english("tr")
