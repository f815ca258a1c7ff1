"""`mini`: a small multilingual encoder, distilled from an English one over parallel text; shipped with the package."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.api.recipes import EncoderRecipe, Progress
from bench.core.errors import BadInput
from data_recipes.encoders.mini.text import training_text

WEIGHTS = Path(__file__).parent / "weights"


class Mini(EncoderRecipe):
    """A BERT of 4 layers × 384 for the languages of `text.LANGUAGES` and English."""

    name = "mini"
    version = 1
    align_layer = 4
    shipped = WEIGHTS

    def texts(self) -> Iterable[str]:
        return training_text().sentences()

    def make(self, folder: Path, progress: Progress) -> None:
        """Its training is a study of the repository: `python -m tests.studies make_mini`."""
        raise BadInput("mini comes with the package; the study make_mini of the repository trains it again")
