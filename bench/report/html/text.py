"""Text that becomes HTML: everything that comes from outside is escaped here, and what would be invisible is shown."""

from __future__ import annotations

import html
import re

# Controls, marks that turn the direction of text, blanks without width, halves of surrogate pairs, characters that HTML
# forbids. The joiners U+200C and U+200D are letters' business (Persian, Hindi, emoji) and stay.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    return " " if match[0] in "\t\n\r" else chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"


def esc(text: object) -> str:
    """The text as content or as a quoted attribute; hidden characters as their picture or ⟨code⟩."""
    return html.escape(_HIDDEN.sub(_shown, str(text)))


def name(text: object) -> str:
    """A name from outside: escaped, and its direction kept from what stands around it."""
    return f"<bdi>{esc(text)}</bdi>"


def language(code: str) -> str:
    """A lang attribute with a leading blank, '' where the code is none."""
    return f' lang="{code}"' if _LANGUAGE.fullmatch(code) else ""


def items(lines: list[str], kind: str = "ul") -> str:
    """A list of HTML items, '' where there is none."""
    return f"<{kind}>{''.join(f'<li>{line}' for line in lines)}</{kind}>" if lines else ""


def fold(summary: str, inner: str, attributes: str = "") -> str:
    """What opens at a click or the Enter key, without a script; arguments are HTML."""
    return f"<details{attributes}><summary>{summary}</summary>{inner}</details>"
