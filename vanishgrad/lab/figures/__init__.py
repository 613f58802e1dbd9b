"""Figures that only the lab needs."""
