"""Settings that name only the keys that a figure compares."""

from __future__ import annotations

import pandas as pd

from vanishgrad.report.labels import shown


def named(rows: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """The rows with `setting` made of these keys alone, such as `norm=batch lr=0.1`."""
    parts = [key + "=" + rows[key].map(shown) for key in keys]
    return rows.assign(setting=[" ".join(row) for row in zip(*parts, strict=True)])
