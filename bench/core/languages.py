"""Language codes: ours, NLLB's (FLORES-200), and those in the names of OPUS-MT models."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.errors import Unavailable, nearest


def _parsed(text: str) -> Mapping[str, str]:
    """By our code what others call the language: what follows the colon, or the same code."""
    entries = (entry.partition(":") for entry in text.split())
    return {code: name if colon else code for code, colon, name in entries}


# NLLB: the FLORES-200 codes that transformers' tokenizer knows (a test compares them, and langcodes confirms the
# languages); nothing after the colon: not covered
NLLB = _parsed("""
en:eng_Latn af:afr_Latn ar:arb_Arab bg:bul_Cyrl bn:ben_Beng ca:cat_Latn ceb:ceb_Latn cs:ces_Latn da:dan_Latn
de:deu_Latn el:ell_Grek es:spa_Latn et:est_Latn eu:eus_Latn fa:pes_Arab fi:fin_Latn fr:fra_Latn gl:glg_Latn
he:heb_Hebr hi:hin_Deva hr:hrv_Latn hu:hun_Latn id:ind_Latn is:isl_Latn it:ita_Latn ja:jpn_Jpan jv:jav_Latn
ka:kat_Geor kk:kaz_Cyrl ko:kor_Hang lt:lit_Latn mk:mkd_Cyrl ml:mal_Mlym mr:mar_Deva ms:zsm_Latn my:mya_Mymr
nl:nld_Latn pl:pol_Latn pt:por_Latn ro:ron_Latn ru:rus_Cyrl sk:slk_Latn sr:srp_Cyrl sv:swe_Latn sw:swh_Latn
ta:tam_Taml te:tel_Telu th:tha_Thai tl:tgl_Latn tr:tur_Latn uk:ukr_Cyrl ur:urd_Arab vi:vie_Latn yo:yor_Latn
zh:zho_Hans bam:bam_Latn bbj: ewe:ewe_Latn fon:fon_Latn hau:hau_Latn ibo:ibo_Latn kin:kin_Latn lug:lug_Latn
luo:luo_Latn mos:mos_Latn nya:nya_Latn pcm: sna:sna_Latn swa:swh_Latn tsn:tsn_Latn twi:twi_Latn wol:wol_Latn
xho:xho_Latn yor:yor_Latn zul:zul_Latn
""")
# OPUS-MT: the languages for which public listings of the hub name a model opus-mt-en-<code>, with our code or the one
# after the colon; the hub itself could not be asked
OPUS = _parsed("""
en af ar bg ca ceb cs da de el es et eu fi fr gl he hi hu id is it mk ml mr nl ro ru sk sv sw tl uk ur vi zh ewe:ee
hau:ha ibo:ig kin:rw lug:lg luo mos nya:ny sna:sn swa:sw tsn:tn twi:tw xho:xh
""")
# other ISO 639-3 codes under which a multilingual OPUS-MT model may list a language in its target tokens
_ALSO = {"ar": "ara", "et": "ekk", "fa": "fas", "ms": "msa", "sw": "swa", "swa": "swa", "zh": "cmn"}


def nllb_code(code: str) -> str:
    """For example "deu_Latn"; Unavailable if NLLB-200 does not cover the language, or the code is unknown."""
    if not (name := NLLB[_known(code)]):
        raise Unavailable(f"NLLB-200 does not cover '{code}' (not in FLORES-200); choose another labels.translator")
    return name


def opus_code(code: str) -> str:
    """The code in names of OPUS-MT models; our own if the table has none (of a model into English, say)."""
    return OPUS.get(code, code)


def from_english(code: str) -> bool:
    """Whether public listings name a model opus-mt-en-<code>; the hub is not asked."""
    return _known(code) in OPUS


def _known(code: str) -> str:
    if code not in NLLB:
        raise Unavailable(f"no translator knows the language '{code}'{nearest(code, NLLB)}")
    return code


def opus_tokens(code: str) -> tuple[str, ...]:
    """The tokens by which a multilingual OPUS-MT model may be told the target, the most exact first."""
    iso, _, script = NLLB.get(code, "").partition("_")
    isos = [part for part in (iso, _ALSO.get(code, ""), code) if part]
    spelled = [form for part in isos for form in ((f"{part}_{script}", part) if script else (part,))]
    return tuple(f">>{form}<<" for form in dict.fromkeys(spelled))
