"""Figures that only the lab draws, one a file."""
