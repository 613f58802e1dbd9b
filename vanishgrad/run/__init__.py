"""`Run`: one experiment fully described, frozen and hashable, checked once."""

from vanishgrad.run.experiment import GROUPS, LOSSES, SCALARS, Run
from vanishgrad.run.structure import Structure, structure
from vanishgrad.run.values import OPTIONAL

__all__ = ["GROUPS", "LOSSES", "OPTIONAL", "SCALARS", "Run", "Structure", "structure"]
