"""Batch normalization."""

from __future__ import annotations

from vanishgrad.lab.chapter import Chapter

BATCHNORM = Chapter("batchnorm", "Batch normalization", (), (), ())
