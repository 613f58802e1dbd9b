"""What to use."""

from __future__ import annotations

from vanishgrad.lab.chapter import Chapter

REMEDIES = Chapter("remedies", "What to use", (), (), ())
