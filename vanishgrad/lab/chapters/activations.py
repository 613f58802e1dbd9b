"""Activations."""

from __future__ import annotations

from vanishgrad.lab.chapter import Chapter

ACTIVATIONS = Chapter("activations", "Activations", (), (), ())
