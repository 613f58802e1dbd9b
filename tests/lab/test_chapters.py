"""All chapters: what the public surface promises, and that everything in them fits together."""

from __future__ import annotations

import warnings

import pytest

from vanishgrad.cli.jobs import checked_setting
from vanishgrad.config.compose import composed
from vanishgrad.config.plan import listed_jobs, loader, plan_of
from vanishgrad.lab import CHAPTERS, PROFILES, Chapter, Probe, Profile, Training, trainings
from vanishgrad.lab.page import figures_named, html
from vanishgrad.theory.critical import SaturatedCriticalPoint

NAMES = [
    "learning", "depth", "activations", "pretraining", "clipping", "rectifiers", "batchnorm", "residual",
    "recurrence", "remedies",
]  # fmt: skip
FEWER_SEEDS = {"residual", "recurrence"}  # the deepest and the recurrent
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=[one.name for one in CHAPTERS])


def test_the_chapters_are_those_of_the_subject_in_its_order() -> None:
    assert [one.name for one in CHAPTERS] == NAMES


@each_chapter
def test_a_chapter_is_whole(chapter: Chapter) -> None:
    assert len(chapter.text.split()) >= 250
    assert len(chapter.claims) >= 5
    assert len(chapter.plates) >= 3
    assert "```math" in chapter.text
    for names in (
        [one.text for one in chapter.claims],
        [one.name for one in chapter.plates],
        [one.name for one in chapter.experiments],
    ):
        assert len(set(names)) == len(names)


@each_chapter
def test_the_text_places_figures_that_there_are(chapter: Chapter) -> None:
    named = figures_named(chapter.text)
    assert set(named) <= {plate.name for plate in chapter.plates}
    assert len(set(named)) == len(named)
    assert "src='data:image/svg+xml" in html(chapter.text, lambda name: name)


@each_chapter
def test_claims_rest_on_five_seeds_or_say_why_not(chapter: Chapter) -> None:
    swept = [one for one in chapter.experiments if isinstance(one, Training | Probe)]
    fewest = 3 if chapter.name in FEWER_SEEDS else 5
    few = [one.name for one in swept if one.seeds < fewest]
    assert few in ([], ["landscape"])  # a picture of one network, on which no claim rests


@each_chapter
@pytest.mark.parametrize(
    "profile, whole",
    [("quick", False), *(pytest.param(name, True, marks=pytest.mark.slow) for name in PROFILES)],
)
def test_every_experiment_is_a_sweep_that_can_be_typed(
    chapter: Chapter, profile: Profile, whole: bool
) -> None:
    """All jobs, or the first and the last of each experiment: Hydra takes its time for every one."""
    for training in trainings(chapter.experiments):
        typed = training.typed(profile)
        assert typed[-1].startswith("seed=range(")
        plan = plan_of([*typed[:-1], "seed=0"], multirun=True)
        with loader() as load, warnings.catch_warnings():
            warnings.simplefilter("ignore", SaturatedCriticalPoint)  # which is what it is there for
            jobs = listed_jobs(plan, load)
            assert jobs
            for job in composed(load, plan.config, jobs if whole else [jobs[0], jobs[-1]]):
                checked_setting(job)


def test_figures_whose_colours_mean_something_are_left_alone_by_a_dark_page() -> None:
    pictures = {plate.name for one in CHAPTERS for plate in one.plates if plate.is_picture}
    assert pictures == {"landscape", "filters", "frames", "map"}
