"""A stand-in for Apertium's programs, written into a folder by tests: it translates nothing, it speaks their stream.

Words come out in capitals and in reverse order, `el` before each capitalised one. Faults on demand, by words of the
text: `dies`, `swallows` (the record and its NUL), `silent` (empty output). Its tagger is as stateful as the real one.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

SCRIPT = r"""
import re, sys
name, *options = sys.argv[1:]
stream = sys.stdin.buffer.read().decode()
UNIT = re.compile(r"\\.|(\[\[[^\[\]]*\]\])?\^((?:\\.|[^\\$])*)\$")
out = []

def change(record, make):
    return UNIT.sub(lambda m: m[0] if m[2] is None else make(m[1] or "", m[2]), record)

def said(blank, unit):
    if unit[0] == "*":  # an unknown word is copied
        return blank + unit[1:]
    return blank + ("" if unit.startswith("silent") else unit.partition("<")[0].upper() + "2" * ("<late>" in unit))

for number, record in enumerate(stream.split("\0")[:-1]):
    if name == "analyse":
        record = re.sub(r"\\.|\[#\d+\]|(\w+)", lambda m: f"^{m[1]}/{m[1]}<n>/{m[1]}<v>$" if m[1] else m[0], record)
    elif name == "tag":
        late = "<late>" * (number > 0)
        record = change(record, lambda blank, unit: f"{blank}^{unit.split('/')[1]}{late}$")
    elif name == "transfer":
        if "^dies" in record:
            sys.stderr.write("segmentation\nfault")
            sys.exit(139)
        if "^swallows" in record:
            continue
        units = [(m[1] or "", m[2]) for m in UNIT.finditer(record) if m[2] is not None]
        turned = [(f"{b}^el<det>$ " if u[:1].isupper() else "") + f"{b}^{u}$" for b, u in units][::-1]
        record = change(record, lambda blank, unit: turned.pop(0))
    elif name == "detach":
        record = change(record, lambda blank, unit: f"{blank}^{unit}$[[/]]" if blank else f"^{unit}$")
    elif name == "generate":
        record = change(record, said)
    out.append(record + "\0")
sys.stdout.buffer.write("".join(out).encode())
"""
STAGES = {
    "lt-proc": 'case "$*" in *automorf*) s=analyse;; *-n*) s=generate;; *) s=post;; esac',
    "apertium-tagger": "s=tag",
    "apertium-transfer": "s=transfer",
    "apertium-wblank-detach": "s=detach",
    "apertium-wblank-attach": "exit 9",  # the driver must not run it
    "apertium": "exit 9",
}


def install(folder: Path, *modes: str) -> Path:
    """Put the programs into `folder`/bin, modes into `folder`/share; returns the folder for PATH."""
    bin_, modes_folder = folder / "bin", folder / "share" / "apertium" / "modes"
    bin_.mkdir(parents=True)
    modes_folder.mkdir(parents=True)
    (folder / "stand_in.py").write_text(SCRIPT, encoding="utf-8")
    for name, choice in STAGES.items():
        _program(bin_ / name, f'{choice}\nexec "{sys.executable}" -S -E "{folder}/stand_in.py" $s "$@"')
    _program(bin_ / "apertium-wblank-mode", 'cat "$2"')
    for mode in modes:
        data = folder / f"{mode}.automorf.bin"
        data.write_text(mode, encoding="utf-8")
        pipe = (
            f"lt-proc -z '{data}' | apertium-wblank-attach | apertium-tagger -z -g $2 | apertium-transfer -z"
            " | apertium-wblank-detach | lt-proc -z $1 | lt-proc -z -p"
        )
        (modes_folder / f"{mode}.mode").write_text(pipe, encoding="utf-8")
    return bin_


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
