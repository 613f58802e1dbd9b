"""Recurrent networks in plain tensor operations, observable at every time step."""

from vanishgrad.models.recurrent.network import Recurrent, State, recurrent

__all__ = ["Recurrent", "State", "recurrent"]
