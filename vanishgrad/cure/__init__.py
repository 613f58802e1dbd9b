"""Trying remedies on a failing setting: what fits its diagnosis, alone and in pairs, ranked."""

from vanishgrad.cure.candidates import Treatment
from vanishgrad.cure.ranking import Standing
from vanishgrad.cure.search import Cure, SearchPlan, Stage, find_cure
from vanishgrad.cure.trial import Trial, Trials

__all__ = ["Cure", "SearchPlan", "Stage", "Standing", "Treatment", "Trial", "Trials", "find_cure"]
