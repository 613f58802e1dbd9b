"""A run as overrides and back: what is typed for it, what is recorded of it, and what Hydra is given."""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hydra.core.override_parser.types import Override
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vanishgrad import Run
from vanishgrad.choices.data import MovingDigits, Text
from vanishgrad.choices.initialization import Gaussian, Normal
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.recurrent import RNN
from vanishgrad.choices.schedule import StepLR
from vanishgrad.cli.cure_table import as_command
from vanishgrad.config.batch import batch_of
from vanishgrad.config.grammar import quoted
from vanishgrad.config.location import choice_names, config_folder
from vanishgrad.config.overrides import as_typed, normalised, override_values, parse
from vanishgrad.config.plan import plan_of, without_hydra
from vanishgrad.config.setting import setting_of, to_setting
from vanishgrad.description import changed, choices_in, describe, overrides_of
from vanishgrad.errors import SettingError
from vanishgrad.remedies import typed_text
from vanishgrad.run import DEVICES, DTYPES, GROUPS, MEASURES, STOPS, identity

DEFAULT = Run()
MOST = 2**63 - 1
WRITABLE = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
ODD = ["null", "NULL", "true", "007", "1e3", "nan", "a,b", "it's", '"q"', "a=b", " padded ", "[a]", "{a: 1}",
       "choice(a,b)", "größe", "日本", "#1", "~/x", "C:\\x\\", "\\'", "two\nlines", "${width}", "\\${width}",
       "${", "", "-", "="]  # fmt: skip
TEXT = st.one_of(st.sampled_from(ODD), st.text(WRITABLE, max_size=12))
COUNT = st.one_of(st.integers(1, 64), st.integers(0, MOST))
NUMBER = st.one_of(
    st.floats(0, 1, allow_subnormal=False),
    st.floats(allow_nan=False, allow_subnormal=False),
    st.sampled_from([0.1, 1 / 3, 1e-30, 1e30, 5e-7, 123456789.123, 1e16, -0.0, math.inf]),
)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("depth", "width", "epochs", "warmup", "log_every", "save_every", "dead_every"), COUNT),
    **dict.fromkeys(("max_steps", "eval_every"), st.none() | COUNT),
    "batch_size": st.just("full") | COUNT, "threads": st.just("auto") | st.integers(1, 1024),
    "lr": st.none() | NUMBER, "seed": st.integers(), "snapshots": st.integers(0, 10_000),
    "device": st.sampled_from(DEVICES), "dtype": st.sampled_from(DTYPES),
    "measure": st.sampled_from(MEASURES), "stop_on": st.sampled_from((None, *STOPS)),
    "name": st.none() | TEXT,
}  # fmt: skip


def values(hint: Any) -> st.SearchStrategy[Any]:
    """What a parameter of this type may be, sensible or not."""
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return st.sampled_from(parts)
    if get_origin(hint) is tuple:
        return st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True).map(sorted).map(tuple)
    if parts:
        return st.one_of([values(part) for part in parts])
    plain: dict[Any, st.SearchStrategy[Any]] = {
        int: COUNT, float: NUMBER, bool: st.booleans(), str: TEXT, type(None): st.none(),
    }  # fmt: skip
    return plain[hint]


@st.composite
def choices(draw: st.DrawFn, group: str) -> Any:
    """A choice of a group: half of its parameters are the defaults, the others what it accepts."""
    kind = draw(st.sampled_from(list(choices_in(group).values())))
    choice, hints = kind(), get_type_hints(kind)
    for item in fields(kind):
        if draw(st.booleans()):
            with suppress(SettingError):
                choice = replace(choice, **{item.name: draw(values(hints[item.name]))})
    return choice


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """A run that makes sense, unlike the default in numbers and in choices."""
    run = draw(st.sampled_from((DEFAULT, Run(model="rnn"), Run(model="cnn"), Run(data="text", model="rnn"))))
    names = draw(st.lists(st.sampled_from((*SCALARS, *GROUPS)), min_size=1, max_size=8, unique=True))
    for name in names:
        value = draw(choices(name) if name in GROUPS else SCALARS[name])
        with suppress(SettingError):
            run = replace(run, **{name: value})
    return run


@contextmanager
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def trained(texts: Sequence[str]) -> Run:
    """The run that overrides describe, by way of Hydra."""
    with quietly():
        return to_setting(without_hydra(plan_of(list(texts), False).config)).effective


@lru_cache
def of_file(path: Path) -> dict[str, Any]:
    content = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items() if key != "hydra"}


def put_together(overrides: Sequence[Override]) -> Run:
    """The run of plain overrides, one value each, from the files in `conf`: much sooner than Hydra."""
    given = {one.key_or_group: one.value() for one in overrides}
    whole = dict(of_file(config_folder() / "config.yaml"))
    usual = {group: name for one in whole.pop("defaults")[1:] for group, name in one.items()}
    chosen = {group: given.get(group, usual[group]) for group in (*GROUPS, "remedy")}
    setting: dict[str, Any] = whole | {
        group: None if name in (None, "null") else dict(of_file(config_folder() / group / f"{name}.yaml"))
        for group, name in chosen.items()
    }
    for key, value in given.items():
        group, _, parameter = key.partition(".")
        if parameter:
            assert parameter in setting[group]
            setting[group][parameter] = value
        elif key not in GROUPS:
            assert key in setting
            setting[key] = value
    with quietly():
        return to_setting(OmegaConf.create(setting)).effective


GROUPS_OF_NAMES = {group: [*choice_names(group), "null"] for group in (*GROUPS, "remedy")}


def understood(texts: Sequence[str]) -> list[Override]:
    return parse(texts, GROUPS_OF_NAMES)


def typed_for(run: Run) -> list[str]:
    """What is typed for a run, as a shell hands it over."""
    words = shlex.split(as_command(overrides_of(DEFAULT, changed(DEFAULT, run))))
    assert words[:2] == ["vanishgrad", "train"]
    return words[2:]


@example(Run(model=ConvLSTM(peepholes=False), data=MovingDigits(), seed=0, init=Gaussian(0.5, 0.0)))
@example(Run(lr=1e-7, seed=-(10**30), init=Normal(5e-7), schedule=StepLR(milestones=(0.1, 1 / 3))))
@given(runs())
def test_what_is_typed_for_a_run_makes_that_run(run: Run) -> None:
    assert changed(run, put_together(understood(typed_for(run)))) == {}


@settings(max_examples=40)
@given(TEXT, TEXT.filter(bool))
def test_any_text_is_typed_as_that_text(name: str, path: str) -> None:
    run = replace(DEFAULT, name=name, data=Text(path=path), model=RNN())
    found = put_together(understood(typed_for(run)))
    assert (found.name, found.data) == (name, Text(path=path))


@settings(max_examples=6)
@given(runs(), TEXT)
def test_hydra_makes_the_same_of_it(run: Run, name: str) -> None:
    named = replace(run, name=name)
    assert trained(typed_for(named)) == named


@settings(max_examples=40)
@given(runs())
def test_a_run_is_told_from_any_other_by_what_is_typed(run: Run) -> None:
    for other in (DEFAULT, replace(run, seed=run.seed + 1), replace(run, name=f"{run.name}x")):
        assert (typed_for(other) == typed_for(run)) == (other == run)


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """Overrides of a sweep: choices, one or several or null, and parameters before, behind or of several."""
    act = draw(
        st.sampled_from(["leaky_relu", "elu", "null", "relu,leaky_relu", "choice(relu,elu)", "tanh,null"])
    )
    loss = draw(st.sampled_from(["null", "NULL", "mse", "null,mse", "choice(mse)"]))
    texts = [f"act={act}", f"loss={loss}", f"name={quoted(draw(TEXT))}"]
    texts += [f"act.slope={draw(st.sampled_from(['0.1', '0.1,0.2', 'choice(0.1)', 'null']))}"]
    texts += [f"lr={draw(st.sampled_from(['null', '0.1,0.2', '1e-3']))}", "norm.position=post"]
    return draw(st.permutations(texts))


def meanings(overrides: Sequence[Override]) -> dict[str, list[Any]]:
    """The values of each key; null of a group is the choice of that name."""
    groups, late = {None: "null", "NULL": "null"}, {"${oc.decode:null}": None}
    return {
        one.key_or_group: [
            (groups if one.key_or_group in ("act", "loss") else late).get(value, value)
            for value in override_values(one)
        ]
        for one in overrides
    }


@settings(max_examples=40)
@given(lines())
def test_what_hydra_is_given_means_what_was_typed_and_stays_as_it_is(texts: list[str]) -> None:
    typed = understood(texts)
    once = normalised(typed)
    given_hydra = understood(once)
    assert meanings(given_hydra) == meanings(typed)
    assert normalised(given_hydra) == once


@settings(max_examples=40)
@given(lines(), lines())
def test_lines_of_other_meaning_are_given_to_hydra_differently(one: list[str], other: list[str]) -> None:
    first, second = understood(one), understood(other)
    if meanings(first) != meanings(second):
        assert normalised(first) != normalised(second)


@settings(max_examples=40)
@given(lines())
def test_a_parameter_comes_behind_a_choice_that_is_swept(texts: list[str]) -> None:
    swept = any(text.startswith("act=") and ("," in text or "choice" in text) for text in texts)
    for override in understood(normalised(understood(texts))):
        if override.key_or_group == "act.slope":
            assert override.is_sweep_override() or not swept
        if override.key_or_group == "norm.position":
            assert not override.is_sweep_override()


def made_again(*typed: str) -> list[Run]:
    """The runs of a sweep, each of which the overrides that it records make again."""
    jobs = batch_of(plan_of(typed, True))
    made = [setting_of(job.family.setting).effective for job in jobs]
    recorded = [[as_typed(text) for text in job.overrides] for job in jobs]
    assert [put_together(understood(texts)) for texts in recorded] == made
    assert not {"loss='null'", "act='null'"} & {text for texts in recorded for text in texts}
    return made


@settings(max_examples=2)
@given(st.lists(TEXT.filter(lambda text: "${" not in text), min_size=12, max_size=16, unique=True))
def test_each_run_of_a_sweep_is_made_again_by_the_overrides_that_it_records(names: list[str]) -> None:
    assert [run.name for run in made_again(f"name={','.join(map(typed_text, names))}", "width=3")] == names


def test_a_parameter_may_be_null_for_all_choices_of_a_sweep() -> None:
    runs = made_again("model=rnn,lstm", "model.recurrent_init=null", "data=adding", "loss=null,mse")
    assert [(run.model.name, run.loss is None) for run in runs] == [
        ("rnn", True), ("rnn", False), ("lstm", True), ("lstm", False),
    ]  # fmt: skip


@given(runs())
def test_runs_are_the_same_where_they_are_described_alike(run: Run) -> None:
    resolved = replace(run, lr=run.rate, loss=run.criterion)
    others = [resolved, replace(run, seed=run.seed + 1), replace(run, lr=run.rate / 2), replace(run, width=7)]
    assert identity(identity(run)) == identity(run)
    for other in others:
        assert (identity(other) == identity(run)) == (describe(other) == describe(run))
    assert identity(resolved) == identity(run)
