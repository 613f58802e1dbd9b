"""Of very many settings the best and the worst are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from matplotlib.figure import Figure

from vanishgrad.report import gallery, write_report
from vanishgrad.report.tables import BEST, WORST, best_first, selection

NAN = float("nan")


def settings(accuracies: list[float], losses: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "setting": [chr(ord("a") + place) for place in range(len(losses))],
            "final_val_accuracy_mean": accuracies,
            "final_val_loss_mean": losses,
        }
    )


def test_the_best_have_the_highest_accuracy_then_the_lowest_loss_then_the_first_place() -> None:
    table = settings([0.5, 0.9, 0.5, NAN, NAN, 0.5, NAN], [2.0, 9.0, 1.0, NAN, 3.0, 2.0, 1.0])
    assert "".join(best_first(table)["setting"]) == "bcafged"


def test_what_has_no_accuracy_at_all_is_ranked_by_loss() -> None:
    table = settings([NAN] * 3, [2.0, NAN, 1.0]).drop(columns="final_val_accuracy_mean")
    assert "".join(best_first(table)["setting"]) == "cab"


def test_as_many_as_have_room_come_in_their_order() -> None:
    table = settings([0.1 * place for place in range(BEST + WORST)], [1.0] * (BEST + WORST))
    assert selection(table) == (tuple(table["setting"]), "")


def test_of_more_the_best_and_the_worst_come_and_it_is_said() -> None:
    count = BEST + WORST + 2
    table = settings([place / count for place in range(count)], [1.0] * count)
    ranked = list(reversed(table["setting"]))
    shown = selection(table)
    assert list(shown.labels) == [*ranked[:BEST], *ranked[BEST + 2 :]]
    assert shown.note == f"of {count} settings the 30 best and the 10 worst, best first"


def test_figures_of_many_settings_show_the_selection(
    write_run: Callable[..., Path], add: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = BEST + WORST + 1
    for place in range(count):
        last = {"val_loss": 1.0, "val_accuracy": place / 100}
        folder = write_run(f"runs/{place}", setting={"lr": (1 + place) / 100})
        add.record(folder, metrics={"final": last, "best": last})
    drawn: dict[str, Figure] = {}

    def keep(figure: Figure, path: Path, *_: object) -> bytes:
        drawn[path.name] = figure
        return b""

    monkeypatch.setattr(gallery, "save_figure", keep)
    out = tmp_path / "out"
    write_report([tmp_path / "runs"], out)
    assert len(pd.read_csv(out / "settings.csv")) == count
    figure = drawn["gradient_by_layer"]
    assert str(figure.get_supxlabel()).startswith(f"of {count} settings the 30 best and the 10 worst")
    lines = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(lines) == BEST + WORST
    assert f"lr={(1 + WORST) / 100}" not in " ".join(lines)
    html = (out / "index.html").read_text()
    best, worst = (html.index(f">lr={(1 + place) / 100:g}</th>") for place in (count - 1, 0))
    assert best < worst
