"""One run, trained."""

from __future__ import annotations

from vanishgrad.engine.prepare import check
from vanishgrad.engine.recorder import Provenance, Result
from vanishgrad.engine.run_folder import LoadedRun, load_run
from vanishgrad.engine.session import Progress
from vanishgrad.engine.train import resume, train

__all__ = ["LoadedRun", "Progress", "Provenance", "Result", "check", "load_run", "resume", "train"]
