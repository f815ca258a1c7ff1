"""The translator `pivot`: two translators in a row, through a third language, their links composed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.api.recipes import Consumed, Corpus, Translated, Translator
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Link, Sentence
from bench.plan import registry
from bench.plan.fingerprint import code_of
from bench.plan.schema import Place, to_plain
from data_recipes.translators._texts import language_of


@dataclass(frozen=True)
class PivotParams:
    """By default English to Portuguese by Bergamot's model, and from there by Apertium (ours)."""

    first: str = "bergamot"  # between `source` and `through`, in either direction
    second: str = "apertium"  # between `through` and the other language
    through: str = "pt"
    source: str = "en"
    first_params: dict[str, Any] = field(default_factory=dict)
    second_params: dict[str, Any] = field(default_factory=dict)


class PivotTranslator(Translator):
    """A sentence that the first translator fails on never reaches the second; into `source` the two swap places.

    Words between the two are in UD's tokenisation. Where both translators give links, they are composed.
    """

    name: ClassVar[str] = "pivot"
    version = 1
    Params: ClassVar[type] = PivotParams
    params: PivotParams

    def __init__(self, params: Any = None, *, tokenisation: str = "corpus", device: str = "auto") -> None:
        super().__init__(params, tokenisation=tokenisation, device=device)
        self._known: dict[tuple[str, str], Translator] = {}  # by step and tokenisation

    def legs(self, source: str, target: str) -> list[tuple[str, Translator, str, str]]:
        """The two steps in order: the parameter, its translator, the language from and into which it translates.

        Raises:
            Unavailable: neither language is `source`, or one is `through`.
            BadInput: a translator cannot be made, or only looks translations up.
        """
        own, through = self.params.source, self.params.through
        if own not in (source, target) or source == target or through in (source, target):
            raise Unavailable(
                f"translator pivot: not from {source} into {target}: it goes from {own} through {through} into a third"
                " language, or back"
            )
        steps = [("first", source, through), ("second", through, target)]
        if target == own:
            steps = [("second", source, through), ("first", through, target)]
        return [(key, self._made(key, into == target), of, into) for key, of, into in steps]

    def _made(self, key: str, last: bool) -> Translator:
        """The translator of a step; words that the last one does not see are in UD's tokenisation."""
        scheme = self.tokenisation if last else "ud"
        if (key, scheme) not in self._known:
            name, settings = getattr(self.params, key), getattr(self.params, f"{key}_params")
            place = Place(f"translator pivot: {key}_params")
            made: Translator = registry.make(
                "translator", name, settings, place, tokenisation=scheme, device=self.device
            )
            if not made.marks:
                raise BadInput(f"translator pivot: {key} = '{name}' only looks translations up")
            self._known[key, scheme] = made
        return self._known[key, scheme]

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """For each step its parameters with the translator's identity, and its code, which is loaded by name."""
        return {
            f"{key}_params": {
                "code": str(code_of(type(made))),
                "params": {**to_plain(made.params), **made.identity(*languages)},
            }
            for key, made, *languages in self.legs(source, target)
        }

    def consumed(self, source: str, target: str) -> Consumed:
        """That of both steps."""
        steps = [made.consumed(*languages) for _, made, *languages in self.legs(source, target)]
        return Consumed(sum(step.parallel for step in steps), any(step.dictionary for step in steps))

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations of translations. Counts: translated and failed, which add up, and those of each step.

        Raises:
            Unavailable, BadInput: as the two translators; or the sentences are of several languages.
        """
        if not sentences:
            return Translated((), (), "", {"translated": 0, "failed": 0})
        targets: list[Sentence | None] = list(sentences)
        links: list[list[tuple[Link, ...] | None]] = []  # of each step
        counts: dict[str, int] = {}
        made_by = []
        for key, translator, _, into in self.legs(language_of(sentences), target):
            out = translator.translate([sentence for sentence in targets if sentence is not None], into, corpus)
            made_by.append(out.provenance)
            counts |= {f"{key}_{name}": count for name, count in out.counts.items() if name != "different_texts"}
            steps = iter(zip(out.targets, out.links, strict=True))
            rows = [(None, None) if sentence is None else next(steps) for sentence in targets]
            targets = [sentence for sentence, _ in rows]
            links.append([linked for _, linked in rows])
        done = sum(sentence is not None for sentence in targets)
        return Translated(
            tuple(targets),
            tuple(map(composed, *links)),
            f"{made_by[0]}, then {made_by[1]}",
            {"translated": done, "failed": len(targets) - done, **counts},
        )


def composed(first: Sequence[Link] | None, second: Sequence[Link] | None) -> tuple[Link, ...] | None:
    """Links from source to target through the words between; None where either step has none."""
    if first is None or second is None:
        return None
    onward: dict[int, list[int]] = defaultdict(list)
    for between, target in second:
        onward[between].append(target)
    return tuple(sorted({(source, target) for source, between in first for target in onward[between]}))
