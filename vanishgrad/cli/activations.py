"""The curves of the activations that runs were trained with, for the report, which cannot compute them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from vanishgrad.report import Runs


def activation_curves(runs: Runs) -> pd.DataFrame:
    """`act, x, value, slope` of each activation of `runs`, from the modules that train; imports torch."""
    import pandas as pd

    from vanishgrad.choices.activation_curve import curve
    from vanishgrad.description import described
    from vanishgrad.errors import SettingError
    from vanishgrad.report.labels import shown

    tables = {}
    for run in runs:
        recorded = (run.record.get("effective") or run.choices).get("act") or {}
        parameters = [f"{key}={shown(value)}" for key, value in recorded.items() if key != "name"]
        label = " ".join([str(recorded.get("name")), *parameters])
        if not recorded or label in tables:
            continue
        try:
            act = described({"act": recorded}).act
        except (SettingError, TypeError, KeyError, AttributeError):
            continue  # of a monitor, or of a version that knew other activations
        tables[label] = pd.DataFrame(curve(act)).assign(act=label)
    return pd.concat(tables.values(), ignore_index=True) if tables else pd.DataFrame()
