"""One run, trained."""

from vanishgrad.training.begin import resume, train
from vanishgrad.training.prepare import check
from vanishgrad.training.progress import Progress
from vanishgrad.training.provenance import Provenance
from vanishgrad.training.result import Result

__all__ = ["Progress", "Provenance", "Result", "check", "resume", "train"]
