"""The help pages: text that needs neither torch nor Hydra."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from vanishgrad.config.location import choice_names, group_names

WIDTH = 80
HIDDEN = ("none", "experiment")


def overview(commands: Sequence[tuple[str, str]]) -> str:
    """The commands, one line each, and three examples."""
    lines = "\n".join(f"  {name:<10} {summary}" for name, summary in commands)
    return f"""\
vanishgrad: see every layer's gradient, and what cures it when it vanishes or explodes

usage: vanishgrad COMMAND [ARGUMENTS]

{lines}

examples:
  vanishgrad train depth=20 act=sigmoid
  vanishgrad train -m depth=20 act=sigmoid remedy=none,relu,batchnorm seed=0,1,2
  vanishgrad report open=true

`vanishgrad COMMAND --help` tells more, --version the version."""


def train() -> str:
    return f"""\
usage: vanishgrad train [-m] [KEY=VALUE ...]

Train one run. It ends with every layer's gradient norm, what that means, and the
path of the run folder, outputs/<date>_<time>/.

  vanishgrad train depth=20 act=sigmoid
  vanishgrad train depth=20 act=leaky_relu act.slope=0.1 norm=batch optim=adam
  vanishgrad train depth=20 init=normal init.std=1 clip=norm

Ctrl-C, SIGTERM or SIGHUP end a run after the step, a second one at once. It goes
on from there, to the same files as if it had not been stopped; after a kill, with
save_every=STEPS:

  vanishgrad train resume=outputs/2026-01-31_12-00-00

With -m a sweep: every combination of the values, checked before the first starts.
Runs that differ in numbers alone are trained together, on all cores; one that
was stopped goes on with what is left to do.

  vanishgrad train -m act=sigmoid,relu norm=none,batch 'seed=range(5)'
  vanishgrad train experiment=depth
  vanishgrad train -m act=sigmoid,relu sweep.resume=DIR sweep.retry=failed
  -v  says which runs are trained together, and why others are alone

A folder that holds a run or a sweep is refused; overwrite=true replaces it.

How a sweep is run:
  sweep.resume=DIR  sweep.retry=failed|diverged  sweep.fail_fast=true
  sweep.max_stack=N  runs that are trained together, at the most
  hydra.launcher.n_jobs=N  hydra.launcher.backend=loky|ray|dask
  hydra/launcher=vectorized|basic|joblib|submitit_slurm  hydra/sweeper=optuna

Numbers (more with `vanishgrad options`):
  depth width epochs max_steps batch_size lr warmup seed device dtype threads
  log_every eval_every measure recompute_every dead_every input_gradients
  save_every snapshots stop_on

Groups and their choices (parameters with `vanishgrad options GROUP`):
{_groups()}

Hydra's own flags:
  --cfg job      show the configuration and do nothing
  --info         show how it is composed
  --hydra-help   everything else, such as hydra.run.dir=DIR, hydra/launcher=joblib"""


def report() -> str:
    return """\
usage: vanishgrad report [runs=DIR|[A,B,...]] [out=DIR] [figures=[NAME,...]]
                         [format=svg|pdf|png] [style=screen|paper] [open=true]

Figures, tables and one self-contained page from run folders: which setting lets
gradients through, and does it learn?

  runs     a run, a sweep, or a folder of many; several as [A,B]; default: the
           newest run or sweep in outputs/
  out      where the report goes; default: the folder `report` in the runs' folder
  figures  which figures, as [gradient_profile,training_curves]; default: all that
           the runs have something for; a wrong name lists them. activation_inputs
           runs the networks once more, so it is drawn only when it is named
  format   files of each figure beside its PNG: svg, pdf, or [svg,pdf]
  style    paper: the width of a column, serif type, captions in captions.txt
           instead of titles
  open     true shows the page in the browser

  vanishgrad report
  vanishgrad report runs=outputs/2026-01-31_12-00-00 open=true
  vanishgrad report runs=[outputs/first,outputs/second] out=comparison
  vanishgrad report figures=[gradient_profile] format=pdf style=paper"""


def lab() -> str:
    return """\
usage: vanishgrad lab [chapter=NAME|NUMBER|[A,B,...]] [profile=full|quick] [out=DIR]
                      [open=true]

The subject in ten chapters: their experiments, their claims, and whether the numbers
bear them out, as one page. A claim holds, fails, or holds only under a condition.

  chapter  learning, depth, activations, pretraining, clipping, rectifiers,
           batchnorm, residual, recurrence, remedies; default: all of them
  profile  full: five seeds, within an hour on two cores; quick: two seeds and short
           training, three minutes, to see whether everything works
  out      the folder of the lab; default: outputs/lab/<profile>. What was trained
           there is kept, so that the same command goes on where it was stopped
  open     true shows the page in the browser

  vanishgrad lab
  vanishgrad lab chapter=batchnorm open=true
  vanishgrad lab profile=quick"""


def diagnose() -> str:
    return """\
usage: vanishgrad diagnose [runs=DIR|[A,B,...]] [format=json]

Name what is wrong in each run: vanishing, exploding, dead units, saturated, stalled
layers, oscillating, not learning, diverged; with the evidence in numbers, and what to
type against it, the most promising first.

  runs    a run, a sweep, a folder of many, or a file like gradients.csv; several as
          [A,B]; default: the newest run or sweep in outputs/
  format  json: one document on stdout, nothing else

  vanishgrad diagnose
  vanishgrad diagnose runs=outputs/2026-01-31_12-00-00
  vanishgrad diagnose runs=gradients.csv format=json"""


def cure() -> str:
    return """\
usage: vanishgrad cure [KEY=VALUE ...] [cure.KEY=VALUE ...] [apply=true]

Find out why a setting fails, try what may help, and rank it. The setting is written
as for `vanishgrad train`; remedies are tried alone and in pairs, over several seeds,
the better ones for longer. It ends with the shortest command that cures, and the
second best.

  cure.budget  steps of a run in the last round; default: those of the setting, at
               most 1000. Earlier rounds take a half and a quarter of it
  cure.seeds   seeds of every treatment, from the setting's own on; default 3
  cure.pairs   false tries no pairs
  apply        true trains the best treatment in full, in the folder `applied`
  report       false writes no report
  out          where everything goes; default: outputs/<date>_<time>/
  format       json: one document on stdout, the content of cure.json
  resume=DIR   goes on with a cure that was stopped, and with what it was begun with

The folder holds every run, cure.json, cure.csv (the ranking) and a report on the last
round. What the ranking looks at: does it learn with every seed, what does it reach,
in how few steps and at what cost per step, and how level are its gradients.

  vanishgrad cure depth=30 act=sigmoid
  vanishgrad cure depth=20 init=normal init.std=1 cure.seeds=5 apply=true
  vanishgrad cure model=rnn data=adding optim=adam cure.budget=2000 format=json"""


def theory() -> str:
    return """\
usage: vanishgrad theory [KEY=VALUE ...] [out=DIR] [format=json]

What mean-field theory predicts for a setting before it is trained: whether gradients
vanish or explode and by how much per layer, how deep a network may be, the gradient
of every layer; with the phase diagram and the setting in it.

  KEY=VALUE  the settings of `vanishgrad train`; the data are read for their length
  out        where the figure goes; default: outputs/theory/<date>_<time>
  format     json prints one document and draws nothing unless out is given

  vanishgrad theory act=tanh init=gaussian init.sigma_w=1.5 depth=50
  vanishgrad theory depth=20 act=relu norm=batch
  vanishgrad theory depth=100 act=gelu init=critical format=json"""


def sample() -> str:
    return """\
usage: vanishgrad sample run=DIR [prompt=TEXT] [temperature=0.8] [length=400] [seed=0]

Text from a trained character model, one character after the other.

  run          the folder of a run with data=text
  prompt       what the text begins with; in its characters
  temperature  below 1 safer, above 1 wilder; 0 always takes the likeliest character
  length       characters to write
  seed         of the dice

  vanishgrad train model=lstm data=text width=128 optim=adam lr=3e-3
  vanishgrad sample run=outputs/2026-01-31_12-00-00 prompt="The " temperature=0.5"""


def options() -> str:
    return """\
usage: vanishgrad options [GROUP] [format=json]

Every number, group and choice, with parameters, defaults and sources.

  vanishgrad options
  vanishgrad options act
  vanishgrad options format=json"""


def _groups() -> str:
    names = [name for name in group_names() if name not in HIDDEN]
    return "\n".join(_group(name) for name in [*names, "experiment"])


def _group(name: str) -> str:
    choices = choice_names(name)
    ordered = [*(c for c in choices if c == "none"), *(c for c in choices if c != "none")]
    return textwrap.fill(" ".join(ordered), WIDTH, initial_indent=f"  {name:<11}", subsequent_indent=" " * 13)
