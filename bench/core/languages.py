"""Our language codes and what others call them: FLORES-200 codes of NLLB, names in OPUS-MT models."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from bench.core.errors import Unavailable, nearest

# code, NLLB's code, the code in names of OPUS-MT models from English; - where there is none.
# NLLB: the FLORES-200 codes that transformers' tokenizer knows (a test compares them, and langcodes confirms the
# languages). OPUS-MT: models opus-mt-en-<code> that public listings of the hub name; the hub itself could not be asked.
_TABLE = """
en   eng_Latn en
af   afr_Latn af
ar   arb_Arab ar
bg   bul_Cyrl bg
bn   ben_Beng -
ceb  ceb_Latn ceb
cs   ces_Latn cs
da   dan_Latn da
de   deu_Latn de
el   ell_Grek el
es   spa_Latn es
et   est_Latn et
eu   eus_Latn eu
fa   pes_Arab -
fi   fin_Latn fi
fr   fra_Latn fr
he   heb_Hebr he
hi   hin_Deva hi
hr   hrv_Latn -
hu   hun_Latn hu
id   ind_Latn id
it   ita_Latn it
ja   jpn_Jpan -
jv   jav_Latn -
ka   kat_Geor -
kk   kaz_Cyrl -
ko   kor_Hang -
lt   lit_Latn -
ml   mal_Mlym ml
mr   mar_Deva mr
ms   zsm_Latn -
my   mya_Mymr -
nl   nld_Latn nl
pl   pol_Latn -
pt   por_Latn -
ro   ron_Latn ro
ru   rus_Cyrl ru
sk   slk_Latn sk
sr   srp_Cyrl -
sv   swe_Latn sv
sw   swh_Latn sw
ta   tam_Taml -
te   tel_Telu -
th   tha_Thai -
tl   tgl_Latn tl
tr   tur_Latn -
uk   ukr_Cyrl uk
ur   urd_Arab ur
vi   vie_Latn vi
yo   yor_Latn -
zh   zho_Hans zh
bam  bam_Latn -
bbj  -        -
ewe  ewe_Latn ee
fon  fon_Latn -
hau  hau_Latn ha
ibo  ibo_Latn ig
kin  kin_Latn rw
lug  lug_Latn lg
luo  luo_Latn luo
mos  mos_Latn mos
nya  nya_Latn ny
pcm  -        -
sna  sna_Latn sn
swa  swh_Latn sw
tsn  tsn_Latn tn
twi  twi_Latn tw
wol  wol_Latn -
xho  xho_Latn xh
yor  yor_Latn -
zul  zul_Latn -
"""

# other ISO 639-3 codes under which a multilingual OPUS-MT model may list a language in its target tokens
_ALSO = {
    "ar": ("ara",),
    "et": ("ekk",),
    "fa": ("fas",),
    "ms": ("msa",),
    "sw": ("swa",),
    "swa": ("swa",),
    "zh": ("cmn",),
}


class Names(NamedTuple):
    """What others call a language; "" where they do not have it."""

    nllb: str
    opus: str


@lru_cache(maxsize=1)
def table() -> dict[str, Names]:
    """Every language that we know the names of, by our code."""
    rows = [line.split() for line in _TABLE.split("\n") if line]
    return {code: Names(nllb.strip("-"), opus.strip("-")) for code, nllb, opus in rows}


def _names(code: str) -> Names:
    if code not in table():
        raise Unavailable(f"no translator knows a language '{code}'{nearest(code, table())}")
    return table()[code]


def nllb_code(code: str) -> str:
    """For example "deu_Latn".

    Raises:
        Unavailable: NLLB-200 does not cover the language, or we do not know the code.
    """
    if not (found := _names(code).nllb):
        raise Unavailable(
            f"NLLB-200 does not cover '{code}' (it is not in FLORES-200); choose another labels.translator"
        )
    return found


def opus_code(code: str) -> str:
    """The code in names of OPUS-MT models; our own where the table has none (of a model into English, say)."""
    names = table().get(code)
    return names.opus if names and names.opus else code


def from_english(code: str) -> bool:
    """Whether public listings name a model opus-mt-en-<code> (not asked of the hub)."""
    return bool(_names(code).opus)


def opus_tokens(code: str) -> tuple[str, ...]:
    """The tokens by which a multilingual OPUS-MT model may be told the target, the most exact first."""
    nllb = table()[code].nllb if code in table() else ""
    iso, _, script = nllb.partition("_")
    isos = [part for part in (iso, *_ALSO.get(code, ()), code) if part]
    spelled = [form for part in isos for form in ((f"{part}_{script}", part) if script else (part,))]
    return tuple(f">>{form}<<" for form in dict.fromkeys(spelled))
