"""The translator `pivot`: two translators in a row, through a third language, with links put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.plan.where import Where

from bench.api.recipes import Corpus, Translated, Translator
from bench.core.errors import BadInput, Unavailable
from bench.core.sentences import Link, Sentence
from bench.plan import registry
from bench.plan.fingerprint import code_running
from bench.plan.schema import to_plain


@dataclass(frozen=True)
class PivotParams:
    """English to Portuguese by Bergamot's model, and from there by Apertium, unless told otherwise (ours)."""

    first: str = "bergamot"  # between `source` and `through`, in either direction
    second: str = "apertium"  # between `through` and the other language
    through: str = "pt"
    source: str = "en"
    first_params: dict[str, Any] = field(default_factory=dict)
    second_params: dict[str, Any] = field(default_factory=dict)


class PivotTranslator(Translator):
    """What the first translator fails on never reaches the second. Into `source` the two change places.

    Words between the two are in UD's tokenisation. Links where both translators give them: of each word that the first
    links, the links of the second.
    """

    name: ClassVar[str] = "pivot"
    Params: ClassVar[type] = PivotParams
    params: PivotParams
    _made: tuple[Translator, Translator] | None = None

    def legs(self, source: str, target: str) -> list[tuple[str, Translator, str, str]]:
        """The two steps in their order: which parameter, its translator, from and into which language.

        Raises:
            Unavailable: neither language is `source`, or one is `through`.
            BadInput: a translator cannot be made, or only looks translations up.
        """
        own, through = self.params.source, self.params.through
        if own not in (source, target) or source == target or through in (source, target):
            raise Unavailable(
                f"translator pivot: from {source} into {target}, but it goes from {own} through {through} into a third"
                " language, or back"
            )
        first, second = self._translators()
        if source == own:
            return [("first", first, source, through), ("second", second, through, target)]
        return [("second", second, source, through), ("first", first, through, target)]

    def _translators(self) -> tuple[Translator, Translator]:
        if self._made is None:
            p = self.params
            chosen = (("first", p.first, p.first_params), ("second", p.second, p.second_params))
            made: list[Translator] = []
            for key, name, settings in chosen:
                where = Where(f"translator pivot: {key}_params")
                made.append(registry.make("translator", name, settings, where))
                if not made[-1].marks:
                    raise BadInput(f"translator pivot: {key} = '{name}' only looks translations up")
            self._made = (made[0], made[1])
        return self._made

    def identity(self, source: str, target: str) -> Mapping[str, object]:
        """In place of the parameters of each: these with its identity, and its code, which is loaded by name."""
        return {
            f"{key}_params": {
                "code": str(code_running(type(made).__module__)),
                "params": {**to_plain(made.params), **made.identity(*languages)},
            }
            for key, made, *languages in self.legs(source, target)
        }

    def translate(self, sentences: Sequence[Sentence], target: str, corpus: Corpus) -> Translated:
        """Translations of translations. Counts: translated, failed, which add up; and those of each, by its name.

        Raises:
            Unavailable, BadInput: as the two do; or the sentences are of several languages.
        """
        languages = sorted({sentence.language for sentence in sentences})
        if len(languages) > 1:
            raise BadInput(f"translate takes sentences of one language, not of {', '.join(languages)}")
        if not sentences:
            return Translated((), (), "", {"translated": 0, "failed": 0})
        targets: list[Sentence | None] = list(sentences)
        links: list[tuple[Link, ...] | None] | None = None
        counts: dict[str, int] = {}
        made_by = []
        for key, translator, _, into in self.legs(languages[0], target):
            translator.device = self.device
            translator.tokenisation = self.tokenisation if into == target else "ud"
            out = translator.translate([one for one in targets if one is not None], into, corpus)
            made_by.append(out.provenance)
            counts |= {f"{key}_{name}": count for name, count in out.counts.items() if name != "different_texts"}
            steps = iter(zip(out.targets, out.links, strict=True))
            rows = [(None, None) if one is None else next(steps) for one in targets]
            targets = [row[0] for row in rows]
            links = [row[1] for row in rows] if links is None else list(map(composed, links, [row[1] for row in rows]))
        done = sum(one is not None for one in targets)
        return Translated(
            tuple(targets),
            tuple(known if one is not None else None for one, known in zip(targets, links or [], strict=True)),
            f"{made_by[0]}, then {made_by[1]}",
            {"translated": done, "failed": len(targets) - done, **counts},
        )


def composed(first: Sequence[Link] | None, second: Sequence[Link] | None) -> tuple[Link, ...] | None:
    """Links from the source to the target by way of the words between; None where either step says nothing."""
    if first is None or second is None:
        return None
    onward: dict[int, list[int]] = defaultdict(list)
    for between, target in second:
        onward[between].append(target)
    return tuple(sorted({(source, target) for source, between in first for target in onward[between]}))
