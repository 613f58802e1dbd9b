"""Rectifiers."""

from __future__ import annotations

from vanishgrad.lab.chapter import Chapter

RECTIFIERS = Chapter("rectifiers", "Rectifiers", (), (), ())
