"""Where a diagnosis may come from, and what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vanishgrad import GradientMonitor, Run, diagnose, train
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import Digits
from vanishgrad.choices.model.recurrent import LSTM
from vanishgrad.diagnosis import Diagnosis, Finding, OnlineDiagnosis
from vanishgrad.diagnosis.layers import MEASURED, by_layer
from vanishgrad.diagnosis.tables import record_of
from vanishgrad.errors import SettingError
from vanishgrad.records import GRADIENT_COLUMNS, METRIC_COLUMNS, UnreadableRun, write_diagnosis

Tables = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
DEEP = Run(depth=12, width=12, act=Sigmoid(), max_steps=220, epochs=1000, log_every=20, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a network that vanishes."""
    folder = tmp_path_factory.mktemp("run")
    train(DEEP, folder)
    return folder


def cells(frame: pd.DataFrame, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Rows as training hands them on: None for an empty field."""
    table = frame.reindex(columns=list(columns))
    return list(table.astype(object).where(table.notna(), None).itertuples(index=False, name=None))


def test_folder_file_table_and_result_say_the_same(folder: Path) -> None:
    result = train(DEEP)
    whole = [diagnose(folder), diagnose(str(folder)), diagnose(folder / "gradients.csv"), diagnose(result)]
    assert [found.verdict for found in whole] == ["vanishing"] * 4
    for found in whole[1:]:
        assert [f.layers for f in found] == [f.layers for f in whole[0]]
        assert [f.remedies for f in found] == [f.remedies for f in whole[0]]


def test_a_lone_table_is_enough(folder: Path, tmp_path: Path) -> None:
    lone = tmp_path / "mine.csv"
    lone.write_bytes((folder / "gradients.csv").read_bytes())
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "gradients.csv").write_bytes(lone.read_bytes())
    for found in (diagnose(lone), diagnose(tmp_path / "tables"), diagnose(pd.read_csv(lone))):
        assert (found.verdict, found.learned) == ("vanishing", None)
        assert any("BatchNorm" in advice.override for advice in found.findings[0].remedies)


def test_an_object_with_tables_is_enough(tables: Tables) -> None:
    rows, metrics = tables(5.0, accuracy=(0.1, 0.1))
    assert diagnose(SimpleNamespace(gradients=rows, metrics=metrics)).verdict == "vanishing"


def test_what_cannot_be_diagnosed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no such file"):
        diagnose(tmp_path / "nowhere")
    with pytest.raises(SettingError, match="takes a run folder"):
        diagnose(3)
    with pytest.raises(SettingError, match="has no column layer"):
        diagnose(pd.DataFrame({"step": [0]}))
    with pytest.raises(UnreadableRun, match="empty"):
        diagnose(tmp_path)


def test_rows_as_they_come_say_what_the_tables_say(folder: Path) -> None:
    result = train(DEEP)
    watch, metrics = OnlineDiagnosis(result.setting), cells(result.metrics, METRIC_COLUMNS)
    for step, rows in result.gradients.groupby("step"):
        watch.add(cells(rows, GRADIENT_COLUMNS), [row for row in metrics if row[0] == step])
    watch.add((), [row for row in metrics if row[0] % 20])
    found, expected = watch.diagnosis("completed"), result.diagnosis
    assert [f.finding for f in found] == [f.finding for f in expected] == ["vanishing"]
    assert found.findings[0].evidence == pytest.approx(expected.findings[0].evidence)
    assert OnlineDiagnosis().diagnosis() == Diagnosis()


@pytest.mark.parametrize("bounded", [True, False])
def test_what_a_monitor_measured_of_the_activation_is_believed(tables: Tables, bounded: bool) -> None:
    """Nine outputs of ten are flat, with a deviation of 0.5 that is neither tanh's nor sigmoid's."""
    rows, metrics = tables(accuracy=(0.1, 0.1), saturation=0.9, drift=0.1)
    watch, told = OnlineDiagnosis(answers={"act.bounded": bounded}), cells(metrics, METRIC_COLUMNS)
    for place, (_, group) in enumerate(rows.groupby("step")):
        watch.add(cells(group, GRADIENT_COLUMNS), [told[place]])
    assert ("saturated" in watch.diagnosis()) == bounded
    assert ("saturated" in diagnose(rows, metrics, answers={"act.bounded": bounded})) == bounded


def test_a_long_run_is_watched_in_bounded_memory(tables: Tables) -> None:
    rows, metrics = tables(5.0, steps=300, depth=4, accuracy=(0.1, 0.1))
    watch, told = OnlineDiagnosis(most_steps=32), cells(metrics, METRIC_COLUMNS)
    for place, (_, group) in enumerate(rows.groupby("step")):
        watch.add(cells(group, GRADIENT_COLUMNS), [told[place]])
        kept = watch.record().steps
        assert len(kept) <= 32
        assert (kept[0], kept[-1]) == (0, 10 * place)
    assert watch.diagnosis().verdict == diagnose(rows, metrics).verdict == "vanishing"


@pytest.mark.parametrize("seed", range(5))
def test_matrices_of_a_layer_are_taken_together_as_the_tables_of_the_report_do(seed: int) -> None:
    """The arrays of the rules against pandas; of an LSTM, whose layers have eight matrices."""
    run = Run(
        model=LSTM(),
        depth=2,
        width=4,
        data=Digits(sequence="rows"),
        max_steps=20,
        log_every=10,
        seed=seed,
        threads=1,
    )
    rows = train(run).gradients
    rows.loc[rows.index[3], "grad_norm"] *= 1e-200
    record, expected = record_of(rows), by_layer(rows)
    for column in MEASURED:
        table = expected.pivot(index="step", columns="layer", values=column).to_numpy()
        np.testing.assert_allclose(record.column(column), table, rtol=1e-12)


def test_rows_in_any_order_and_rows_that_are_missing(tables: Tables) -> None:
    rows, metrics = tables(5.0, accuracy=(0.1, 0.1))
    expected = diagnose(rows, metrics).plain()
    assert diagnose(rows.sample(frac=1, random_state=0), metrics).plain() == expected
    some = rows.drop(rows.index[(rows["layer"] == 5) & (rows["step"] > 100)])
    assert diagnose(some, metrics).verdict == "vanishing"


def test_a_monitor_diagnoses_a_foreign_model() -> None:
    torch.manual_seed(0)
    hidden = [part for _ in range(12) for part in (nn.Linear(16, 16), nn.Sigmoid())]
    model = nn.Sequential(nn.Linear(8, 16), nn.Sigmoid(), *hidden, nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientMonitor(model, every=5) as monitor:
        assert monitor.diagnose() == Diagnosis()
        for _ in range(20):
            nn.functional.cross_entropy(model(torch.randn(32, 8)), torch.randint(2, (32,))).backward()
            optimizer.step()
            optimizer.zero_grad()
    found = monitor.diagnose()
    assert found.verdict == diagnose(monitor).verdict == "vanishing"
    assert all("remedy=" not in advice.override for advice in found.findings[0].remedies)


def test_diagnosis_json_is_strict_and_complete(tables: Tables, tmp_path: Path) -> None:
    rows, metrics = tables(9.0, accuracy=(0.1, 0.1))
    rows.loc[rows["step"] == 400, "grad_norm"] = np.inf
    found = diagnose(rows, metrics)
    write_diagnosis(tmp_path, found)
    read = json.loads(
        (tmp_path / "diagnosis.json").read_text(), parse_constant=lambda name: pytest.fail(name)
    )
    assert [one["finding"] for one in read] == [one.finding for one in found]
    needed = {"finding", "severity", "confidence", "layers", "first_step", "evidence", "remedies"}
    assert all(needed <= set(one) for one in read)
    write_diagnosis(tmp_path, Diagnosis())
    assert json.loads((tmp_path / "diagnosis.json").read_text()) == []


def test_severities_are_ordered_and_within_bounds(tables: Tables) -> None:
    mild, bad = (diagnose(*tables(decades, accuracy=(0.1, 0.1))).findings[0] for decades in (2.1, 12.0))
    assert 0.5 <= mild.severity < bad.severity == 1.0
    assert 0.5 <= mild.confidence < bad.confidence == 1.0


def test_a_diagnosis_is_a_collection_of_findings() -> None:
    finding = Finding("vanishing", 1.0, 1.0, (1,), 0, {}, where="time")
    found = Diagnosis((finding,), learned=False)
    assert list(found) == [finding]
    assert (len(found), bool(found), bool(Diagnosis())) == (1, True, False)
    assert "vanishing" in found
    assert "exploding" not in found
    assert (found.verdict, finding.words) == ("vanishing through time",) * 2
    assert Diagnosis(learned=True).verdict == "learns"
    assert Diagnosis(learned=None).verdict == Diagnosis(learned=False).verdict == "healthy"
