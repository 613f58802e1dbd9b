"""Draw the figures under docs/ anew.

    python scripts/make_figures.py

Trains the sweep of `make demo` in a temporary folder and draws one figure of its report.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from vanishgrad.cli import main as vanishgrad
from vanishgrad.report import load_runs
from vanishgrad.report.figures import gradient_profile

DOCS = Path(__file__).resolve().parent.parent / "docs"
SWEEP = ["depth=20", "act=sigmoid", "remedy=none,relu,batchnorm,residual", "seed=0,1,2", "epochs=10"]


def main() -> int:
    """Train, draw, and say where the figure lies."""
    argparse.ArgumentParser(description="Draw the figures under docs/ anew.").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        status = vanishgrad(["train", "-m", *SWEEP, f"hydra.sweep.dir={folder}/demo"])
        if status:
            return status
        figure = gradient_profile(load_runs(Path(folder) / "demo").gradients)
    figure.savefig(DOCS / "gradient_profile.png", dpi=150)
    print(DOCS / "gradient_profile.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
