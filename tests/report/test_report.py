"""The report folder as a whole, and its page."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from vanishgrad.diagnosis import Advice, Diagnosis, Finding
from vanishgrad.errors import SettingError
from vanishgrad.report import load_runs, write_report
from vanishgrad.report.exhibits import EXHIBITS
from vanishgrad.report.page import answer, compared, report_page
from vanishgrad.report.settings import command
from vanishgrad.report.tables import settings_table, summary_table

WriteRun = Callable[..., Path]


OF_EVERY_RUN = [
    exhibit for exhibit in EXHIBITS if not exhibit.is_extra or exhibit.name == "flow_and_learning"
]


class Elements(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, name: str) -> Iterator[str]:
        return (attrs[name] or "" for _, attrs in self.tags if name in attrs)


def small_sweep(write: WriteRun) -> None:
    for job, (act, slope, accuracy) in enumerate([("sigmoid", 0.9, 0.1), ("relu", 0.01, 0.9)]):
        overrides = [f"act={act}", "name=it's"]
        write(f"sweep/{job}", setting={"act": act}, slope=slope, accuracy=accuracy, overrides=overrides)


@pytest.fixture(scope="module")
def report(write_shared_run: WriteRun, module_path: Path) -> Path:
    small_sweep(write_shared_run)
    (module_path / "sweep" / "7").mkdir()
    write_report([module_path / "sweep"], module_path / "sweep" / "report")
    return module_path / "sweep" / "report"


def test_a_report_folder_is_complete(report: Path) -> None:
    names = {f"{exhibit.name}.{kind}" for exhibit in OF_EVERY_RUN for kind in ("png", "svg")}
    assert {path.name for path in (report / "figures").iterdir()} == names
    assert len(pd.read_csv(report / "summary.csv")) == 2
    assert pd.read_csv(report / "settings.csv")["setting"].tolist() == ["act=sigmoid", "act=relu"]


def test_the_page_needs_nothing_beside_itself(report: Path) -> None:
    elements = Elements((report / "index.html").read_text(encoding="utf-8"))
    sources = list(elements.attributes("src"))
    assert len(sources) == len(OF_EVERY_RUN)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(link.startswith("#") for link in elements.attributes("href"))
    assert not re.search(
        r"https?:|url\(|@import|//[a-z]", re.sub(r"base64,[^']*", "", (report / "index.html").read_text())
    )


def test_the_page_says_what_was_compared_skipped_and_how_to_repeat_it(report: Path) -> None:
    text = Elements((report / "index.html").read_text(encoding="utf-8")).text
    assert "2 settings, 2 runs: act = sigmoid, relu" in text
    assert "1 of 2 settings learn; the most accurate is act=relu (90.0%)." in text
    assert "act=sigmoid: The gradient shrinks 7.94 x per layer on its way to the input" in text
    assert str(report.parent / "7") in text
    assert "the folder is empty" in text
    assert command(["act=sigmoid", "name=it's"]) in text


def page_of(folder: Path) -> str:
    """The page without its figures."""
    runs = load_runs(folder)
    summary = summary_table(runs)
    return report_page(runs, summary, settings_table(summary, runs.keys), [])


def test_commands_survive_the_shell() -> None:
    assert command(["seed=range(5)", "depth=20"]) == "vanishgrad train 'seed=range(5)' depth=20"


def test_labels_are_escaped(write_run: WriteRun, tmp_path: Path) -> None:
    nasty = "<script>alert('x')</script>&"
    write_run("0", setting={"name": nasty, "depth": 2}, overrides=[f"name={nasty}"])
    elements = Elements(page_of(tmp_path))
    assert "alert('x')" not in page_of(tmp_path)
    assert nasty in elements.text
    assert [tag for tag, _ in elements.tags].count("script") == 1


@pytest.mark.parametrize("name", [r"$\frac{$answer", "_hidden", "实验"])
def test_a_name_in_any_script_with_any_sign_is_text(write_run: WriteRun, tmp_path: Path, name: str) -> None:
    write_run("0", setting={"name": name, "depth": 2})
    assert name in write_report([tmp_path], tmp_path / "out").page.read_text(encoding="utf-8")


def test_a_second_report_has_the_same_bytes_and_is_not_counted_as_a_run(report: Path) -> None:
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    result = write_report([report.parent], report)
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == before
    assert [skip.folder.name for skip in result.skipped] == ["7"]


def headings(html: str) -> list[str]:
    return re.findall(r'<th scope="col"><button>([^<]*)</button>', html.partition("</table>")[0])


def test_the_settings_table_has_only_columns_with_numbers(
    write_run: WriteRun, tmp_path: Path, add: SimpleNamespace
) -> None:
    write_run("mlp/0")
    assert headings(page_of(tmp_path / "mlp")) == [
        *["setting", "verdict", "gradient by layer", "val. accuracy", "val. loss"],
        *["slope at start", "slope at end", "runs"],
    ]
    recurrent = write_run("rnn/0", setting={"model": "rnn", "depth": 1})
    add.no_accuracy(recurrent, 2.0)
    add.time_gradients(recurrent, 0.1)
    final = {"val_loss": 2.0, "bits_per_character": 2.5, "perplexity": 5.66}
    add.record(recurrent, metrics={"final": final})
    assert headings(page_of(tmp_path / "rnn")) == [
        *["setting", "verdict", "gradient by time step", "val. loss"],
        *["bits per character", "perplexity", "time slope", "runs"],
    ]


def test_the_page_explains_what_its_columns_mean_and_no_others(
    write_run: WriteRun, tmp_path: Path, add: SimpleNamespace
) -> None:
    folder = write_run("0", setting={"depth": 1})
    add.time_gradients(folder)
    add.record(folder, baseline={"metric": "val_loss", "value": 1 / 6, "source": "always <1>"})
    text = Elements(page_of(tmp_path)).text
    assert "per hidden layer" not in text
    assert "Time slope: decades per time step" in text
    assert "scores: loss 0.167 (always <1>)." in text


def test_baselines_that_differ_have_a_column(
    write_run: WriteRun, tmp_path: Path, add: SimpleNamespace
) -> None:
    for job, value in enumerate((0.25, 0.125)):
        folder = write_run(str(job), setting={"depth": job + 2})
        add.record(folder, baseline={"metric": "val_loss", "value": value, "source": ""})
    assert "baseline loss" in headings(page_of(tmp_path))
    assert "data-value='0.125'" in page_of(tmp_path)


def test_sampled_text_is_shown_as_it_is(write_run: WriteRun, tmp_path: Path, add: SimpleNamespace) -> None:
    text = "  def <b>f</b>():\n\treturn 'ä & ö'\n"
    add.sample(write_run("0"), text + 600 * "x")
    html = page_of(tmp_path)
    assert "<b>" not in html
    assert (text + 600 * "x")[:600] in Elements(html).text
    assert (text + 600 * "x")[:601] not in Elements(html).text


def test_one_sample_of_each_of_a_few_settings_is_shown(
    write_run: WriteRun, tmp_path: Path, add: SimpleNamespace
) -> None:
    for setting in range(6):
        for seed in (0, 1):
            folder = write_run(f"{setting}{seed}", setting={"depth": setting + 1, "seed": seed})
            add.sample(folder, f"text {setting} {seed}")
    assert re.findall(r"text \d \d", page_of(tmp_path)) == [f"text {setting} 0" for setting in range(4)]


def test_a_page_without_samples_has_no_section_for_them(write_run: WriteRun) -> None:
    assert "Sampled text" not in page_of(write_run("0"))


def test_a_file_that_cannot_be_read_is_named_and_costs_only_its_figure(
    write_run: WriteRun, tmp_path: Path, add: SimpleNamespace
) -> None:
    folder = write_run("0")
    add.time_gradients(folder)
    (folder / "filters.npz").write_bytes(b"PK\x03\x04 and no more")
    (folder / "gates.csv").write_text("step,word\n1,2\n")
    html = write_report([folder], tmp_path / "out").page.read_text(encoding="utf-8")
    assert "filters.npz is not a file of arrays" in html
    assert "gates.csv has no column gate" in html
    assert "<figure id='gradient_through_time'>" in html
    assert "<figure id='gate_activity'>" not in html


def test_the_page_says_what_all_runs_had_in_common(write_run: WriteRun, tmp_path: Path) -> None:
    for act in ("relu", "tanh"):
        overrides = ["depth=5", f"act={act}", f"seed={len(act)}", "lr=0.1" if act == "relu" else "lr=0.2"]
        write_run(act, setting={"act": act}, overrides=overrides)
    assert "<p class=compared>In all of them: <code>depth=5</code></p>" in page_of(tmp_path)


def test_a_finding_is_told_beside_the_verdict_and_escaped(
    write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = (Advice("remedy=batchnorm", ""),)
    found = Finding("vanishing", 0.9, 1.0, (1,), 0, {}, advice, sentence="Falls by <9> decades.")
    write_run("0")
    monkeypatch.setattr("vanishgrad.report.runs.SavedRun.diagnosis", Diagnosis((found,)))
    said = "<small>Falls by &lt;9&gt; decades. Try <code>remedy=batchnorm</code>.</small>"
    assert said in page_of(tmp_path)


def test_a_table_that_only_a_caller_can_compute_has_a_figure_when_it_is_given(
    write_run: WriteRun, tmp_path: Path
) -> None:
    curve = pd.DataFrame(
        {"act": "relu", "x": [-1.0, 0.0, 1.0], "value": [0.0, 0.0, 1.0], "slope": [0.0, 0.0, 1.0]}
    )
    folder = write_run("0")
    without = write_report([folder], tmp_path / "without").page.read_text()
    asked = []
    write_report([folder], tmp_path / "with", None, {"activations": lambda runs: asked.append(runs) or curve})
    assert "activation_curves" not in without
    assert (tmp_path / "with" / "figures" / "activation_curves.png").exists()
    assert [len(runs) for runs in asked] == [1]


def test_what_was_not_measured_is_left_out_and_named(write_run: WriteRun, tmp_path: Path) -> None:
    def only_gradients(row: dict[str, object]) -> dict[str, object]:
        kept = ("step", "epoch", "layer", "name", "grad_norm", "bias_grad_norm")
        return {key: row[key] for key in kept}

    old = write_run("run")
    write_report([old], tmp_path / "out")
    new = write_run("gradients", change=only_gradients)
    html = write_report([new], tmp_path / "out").page.read_text(encoding="utf-8")
    assert "weight drift by layer (needs weight_drift)" in html
    assert not (tmp_path / "out" / "figures" / "weight_drift_by_layer.png").exists()
    assert (tmp_path / "out" / "figures" / "gradient_by_layer.png").exists()


def test_runs_of_several_folders_are_kept_apart(write_run: WriteRun) -> None:
    folders = [write_run("a/0", setting={"depth": 2}).parent, write_run("b/0", setting={"depth": 3}).parent]
    assert summary_table(load_runs(*folders))["run"].tolist() == ["a/0", "b/0"]


def test_nothing_to_report_on_is_a_mistake_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    with pytest.raises(SettingError, match=r"no readable run there .*the folder is empty"):
        write_report([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_that_was_cut_short_is_named_on_the_page(write_run: WriteRun, tmp_path: Path) -> None:
    folder = write_run("0")
    assert "Tables cut short" not in page_of(tmp_path)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"steps": 220}))
    text = Elements(page_of(tmp_path)).text
    assert "Tables cut short" in text
    assert "gradients.csv ends at step 20 of 220" in text
    assert "Skipped folders" not in text


def test_a_file_is_no_folder_to_write_to(write_run: WriteRun) -> None:
    file = write_run("0") / "run.json"
    for out, which in ((file, ""), (file / "below", f"{file} ")):
        with pytest.raises(SettingError, match=rf"^out={out}: {which}is a file, not a folder$"):
            write_report([file.parent], out)


def test_a_folder_that_cannot_be_written_is_refused(
    write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, allow = write_run("0"), os.open

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    def only_reading(path: str, flags: int, *more: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            refuse()
        return allow(path, flags, *more)

    with monkeypatch.context() as patch:
        patch.setattr("os.open", only_reading)
        with pytest.raises(SettingError, match=r"out: cannot be written: Permission"):
            write_report([run], tmp_path / "out")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(SettingError, match=r"^out=.*out: cannot be written: Permission denied$"):
        write_report([run], tmp_path / "out")


def test_the_headline_of_a_single_run(write_run: WriteRun) -> None:
    runs = load_runs(write_run("0", setting={"depth": 20, "act": "sigmoid"}, slope=0.6, accuracy=0.1))
    assert compared(runs) == "1 setting, 1 run: depth=20 act=sigmoid"
    assert answer(settings_table(summary_table(runs))) == (
        "depth=20 act=sigmoid: vanishing. At the start gradients shrink 3.98 x per layer towards the input."
    )


@pytest.mark.parametrize(
    "slopes, expected",
    [
        ([0.01, -0.02], "At the start gradients keep their size through all layers."),
        ([0.1, -0.3], "in b gradients grow 2 x per layer towards the input"),
        ([], "No setting learns"),
    ],
)
def test_the_headline_names_the_steepest_slope(slopes: list[float], expected: str) -> None:
    table = pd.DataFrame({"setting": ["a", "b"], "verdict": "does not learn"})
    table["gradient_slope_mean"] = slopes or [float("nan")] * 2
    assert expected in answer(table)


@pytest.mark.parametrize(
    "slope, expected",
    [
        (0.1, "in b gradients shrink 1.26 x per time step towards the first"),
        (-0.1, "in b gradients grow 1.26 x per time step towards the first"),
        (0.001, "At the start gradients keep their size back through time."),
    ],
)
def test_the_headline_tells_of_time_where_there_is_no_slope_over_layers(slope: float, expected: str) -> None:
    table = pd.DataFrame(
        {"setting": ["a", "b"], "verdict": "does not learn", "time_slope_mean": [0.0, slope]}
    )
    assert expected in answer(table.assign(gradient_slope_mean=float("nan")))


def test_without_accuracies_the_best_setting_is_that_of_the_lowest_loss() -> None:
    table = pd.DataFrame({"setting": ["a", "b", "c"], "verdict": "learns", "gradient_slope_mean": 0.0})
    table["final_val_loss_mean"] = [0.5, 0.004, float("nan")]
    assert "the lowest loss is that of b (0.004)" in answer(table)


def test_a_run_of_a_monitor_has_no_command(write_run: WriteRun) -> None:
    folder = write_run("mine")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"choices": {}, "overrides": []}))
    assert "vanishgrad train" not in page_of(folder)
