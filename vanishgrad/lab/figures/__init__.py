"""Figures that only the lab has."""
