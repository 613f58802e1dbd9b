"""Recurrence."""

from __future__ import annotations

from vanishgrad.lab.chapter import Chapter

RECURRENCE = Chapter("recurrence", "Recurrence", (), (), ())
