"""The chapters in their order."""

from vanishgrad.lab.chapter import Chapter
from vanishgrad.lab.chapters.activations import ACTIVATIONS
from vanishgrad.lab.chapters.batchnorm import BATCHNORM
from vanishgrad.lab.chapters.clipping import CLIPPING
from vanishgrad.lab.chapters.depth import DEPTH
from vanishgrad.lab.chapters.learning import LEARNING
from vanishgrad.lab.chapters.pretraining import PRETRAINING
from vanishgrad.lab.chapters.rectifiers import RECTIFIERS
from vanishgrad.lab.chapters.recurrence import RECURRENCE
from vanishgrad.lab.chapters.remedies import REMEDIES
from vanishgrad.lab.chapters.residual import RESIDUAL

CHAPTERS: tuple[Chapter, ...] = (
    LEARNING, DEPTH, ACTIVATIONS, PRETRAINING, CLIPPING,
    RECTIFIERS, BATCHNORM, RESIDUAL, RECURRENCE, REMEDIES,
)  # fmt: skip
