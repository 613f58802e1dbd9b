"""Clipping and regularization."""

from __future__ import annotations

from vanishgrad.lab.chapter import Chapter

CLIPPING = Chapter("clipping", "Clipping and regularization", (), (), ())
