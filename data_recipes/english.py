"""Base forms of English words, enough to look them up in a dictionary (ours: a table and suffix rules, no parser)."""

from __future__ import annotations

# base form: its irregular forms
_IRREGULAR = """
be: am is are was were been being 'm 're ’m ’re; have: has had 've ’ve; do: does did done doing;
will: 'll ’ll wo would 'd ’d; shall: should; may: might; not: n't n’t; can: ca could; begin: began begun;
become: became; break: broke broken; bring: brought; build: built; buy: bought; catch: caught;
choose: chose chosen; come: came; deal: dealt; die: dying; draw: drew drawn; drive: drove driven; eat: ate eaten;
fall: fell fallen; feel: felt; fight: fought; find: found; fly: flew flown; forget: forgot forgotten;
get: got gotten; give: gave given; go: goes went gone; grow: grew grown; hear: heard; hide: hid hidden; hold: held;
keep: kept; know: knew known; lead: led; learn: learnt; leave: left; lend: lent; lie: lying; lose: lost;
make: made; mean: meant; meet: met; pay: paid; rise: rose risen; run: ran; say: said saying; see: saw seen;
seek: sought; sell: sold; send: sent; shoot: shot; show: shown; sing: sang sung; sit: sat; sleep: slept;
speak: spoke spoken; spend: spent; stand: stood; steal: stole stolen; strike: struck; swim: swam; take: took taken;
teach: taught; tell: told; think: thought; throw: threw thrown; understand: understood; wake: woke woken;
wear: wore worn; win: won; write: wrote written; child: children; foot: feet; life: lives; man: men; mouse: mice;
person: people; tooth: teeth; wife: wives; woman: women; good: better best; he: him; they: them; we: us;
bad: worse worst; far: further furthest
"""

_FUNCTION = """
a an the of to 's ’s ' ’ in on at by for with from as into onto upon than that which who whom whose there would could
should might may must will shall can do does did be is am are was were been being have has had it its they them their he
him his she her we us our i my me you your this these those some any such more most not n't n’t
"""
# where a dictionary lacks one of these, it is better left out than left in English
FUNCTION_WORDS = frozenset(_FUNCTION.split())

_VOWELS = frozenset("aeiou")
# suffix: its replacements in a base form, - for none
_SUFFIXES = "ies: y ie; ied: y; es: e -; s: -; ed: e -; ing: e -; iest: y; ier: y; est: - e; er: - e; ly: -"
_ENDINGS = {row.split(":")[0]: row.replace("-", "").split(" ")[1:] for row in _SUFFIXES.split("; ")}
IRREGULAR_BASES = {  # by form, in lower case
    form: base.strip()
    for base, _, forms in (row.partition(":") for row in _IRREGULAR.split(";"))
    for form in forms.split()
}


def bases(word: str) -> list[str]:
    """Possible base forms of a word in lower case, the likeliest first; not all of them are words."""
    forms = []
    for suffix, endings in _ENDINGS.items():
        stem = word.removesuffix(suffix)
        if stem != word and len(stem) >= 2:
            doubled = len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in _VOWELS
            forms += [stem[:-1]] * (doubled and "" in endings and suffix != "s") + [stem + ending for ending in endings]
    return list(dict.fromkeys(forms))
