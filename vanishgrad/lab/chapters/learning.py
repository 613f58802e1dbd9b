"""Learning by gradients."""

from __future__ import annotations

from vanishgrad.lab.chapter import Chapter

LEARNING = Chapter("learning", "Learning by gradients", (), (), ())
