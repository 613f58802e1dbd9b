"""Greedy layer-wise pretraining."""

from __future__ import annotations

from vanishgrad.lab.chapter import Chapter

PRETRAINING = Chapter("pretraining", "Greedy layer-wise pretraining", (), (), ())
