"""Residual networks."""

from __future__ import annotations

from vanishgrad.lab.chapter import Chapter

RESIDUAL = Chapter("residual", "Residual networks", (), (), ())
