"""Trying remedies on a failing setting: what fits its diagnosis, alone and in pairs, ranked."""

from vanishgrad.cures.candidates import Treatment
from vanishgrad.cures.ranking import Standing
from vanishgrad.cures.search import Cure, SearchPlan, Stage, cure, find_cure
from vanishgrad.cures.trial import Trial, Trials

__all__ = ["Cure", "SearchPlan", "Stage", "Standing", "Treatment", "Trial", "Trials", "cure", "find_cure"]
