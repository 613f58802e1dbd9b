"""Seeded random command lines: valid pieces, mistyped ones and hostile values, over all subcommands."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from vanishgrad.config.catalogue import Choice, ChoiceGroup, groups

SMALL = {"depth": "1", "width": "2", "max_steps": "1"}
LAST = (
    "++x=1", "~depth", "+depth=2", "depth=2 depth=3", "act=relu act=tanh", "seed=range(0)",
    "sweep.max_stack=2", "-v",
    "seed=range(0,10,0)", "act=glob(zz*)", "seed=glob(*)", "depth==3", "depth=3=4", "name='", 'name="a',
    "name=[a",
    "act=relu)", "act=(relu", "depth={a:1", "depth=[1,2", "depth=a,,b", "depth=,1", "depth=1,", "--foo",
    "--depth=3",
    "-x", "--multrun", "--cfg nothing", "--config-dir nowhere", "--package x", "--resolve", "hydra=1",
    "hydra.x=1",
    "hydra.run=3", "hydra.run.dir=", "hydra.run.dir=[a]", "hydra.job.chdir=maybe", "hydra.mode=SOME",
    "hydra/x=y",
    "hydra/launcher=none", "hydra/sweeper=none", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=x", "~hydra.run",
    "+hydra.x=1", "hydra.sweeper._target_=os.system", "hydra.searchpath=x", "act._target_=os.system",
    "act@x=relu",
    "depth@x=1", "act/x=relu", "hydra/launcher@x=basic", "lr=interval(0,1)", "lr=range(0,1,nan)",
    "seed=1,range(3)",
    "seed=choice(range(3))", "act=tag(relu)", "act=foo(relu)", "lr=int(abc)", "seed=sort(1,a)",
    "seed=0,0", "=3", "",
    " ", "-", "depth", "Depth=3", "DEPTH=3", "batch-size=3", "depth =3", "größe=3", "resume=nowhere",
    "resume=",
    "sweep.resume=nowhere", "sweep.foo=1", "sweep.retry=failed", "objective=nothing", "name=${nothing}",
    "name=${",
    "depth=${name}", "width=${width}", "depth=???", "lr=${oc.env:NO_SUCH_VARIABLE}", "lr=${foo:1}",
    "act=${x}",
    "norm.position.x=3", "depth.x=1", "act=[relu]", "act={slope:1}", "remedy=relu,", "act=\n", "name=a\nb",
)  # fmt: skip
VALUES = (
    "0", "1", "2", "3", "-1", "-0", "-0.0", "0.5", "1.0", "1e3", "1_000", "0x10", "007", "1e300",
    "1e-300", "1e-400",
    "1e400", "nan", "inf", "-inf", "9" * 30, "9" * 5000, "true", "false", "null", "NULL", "yes", "", " ",
    "'1'",
    '"a b"', "a", "größe", "a b", "a=b", "a,b", "[1]", "[]", "{}", "{a: 1}", "${width}", "${nothing}",
    "${", "???",
    "range(3)", "choice(1,2)", "glob(*)", "interval(0,1)", "shuffle(1,2)", "1000000000",
    "1000000000000000000", "%",
    "a\\,b", "\\", "~", "../x", "/", "é", "日本", "\U0001f600", "'", '"', "((", "auto", "full", "all",
    "standard",
)  # fmt: skip
NAMES = (
    "größe",
    "two words",
    "a=b",
    "007",
    "1e3",
    "a(b",
    "日本",
    "x;y",
    "a:b",
    "true",
    "1_000",
    "it's",
    "~x",
    "#1",
    "x/y",
)
SCALARS = (
    "depth", "width", "epochs", "max_steps", "batch_size", "lr", "warmup", "seed", "device", "dtype",
    "threads",
    "log_every", "eval_every", "measure", "recompute_every", "save_every", "snapshots", "dead_every",
    "input_gradients", "stop_on", "name", "objective",
)  # fmt: skip
RIGHT = {
    "depth": ("1", "2", "3"), "width": ("1", "3", "8"), "max_steps": ("0", "1", "2"), "batch_size": ("8",
    "full"),
    "lr": ("0.1", "1e-3", "1", "null", "5.", "+1"), "warmup": ("0", "1"), "seed": ("1", "-3",
    "12345678901234567890"),
    "device": ("cpu", "auto"), "dtype": ("float64", "float32"), "threads": ("1", "auto"),
    "log_every": ("1", "5"),
    "eval_every": ("1", "null"), "measure": ("all", "gradients"), "recompute_every": ("0", "1"),
    "save_every": ("0", "1"), "snapshots": ("0", "2"), "dead_every": ("0", "1"), "input_gradients": ("0",
    "8"),
    "stop_on": ("null", "any", "vanishing"), "name": NAMES, "epochs": ("1", "2"),
}  # fmt: skip
OTHERS = {
    "report": ("runs=RUN", "runs=SWEEP", "runs=[RUN,SWEEP]", "runs=nowhere", "out=x", "out=",
    "figures=[nothing]",
               "figures=gradient_profile", "format=svg", "format=gif", "style=paper", "style=x",
               "open=maybe", "run=RUN",
               "--open", "x", "runs=RUN runs=RUN", "runs=", "format=[svg,pdf]", "runs=[]", "out=/proc/x"),
    "diagnose": ("runs=RUN", "runs=SWEEP", "runs=RUN/gradients.csv", "runs=RUN/run.json", "runs=nowhere",
    "format=json",
                 "format=xml", "x", "--json", "runs=", "runs=[]", "format=json format=json",
                 "runs=[RUN,RUN]", "Runs=RUN"),
    "sample": ("run=TEXT", "run=RUN", "run=nowhere", "prompt=a", "prompt=", "prompt=größe", "temperature=0",
               "temperature=hot", "temperature=nan", "temperature=1e300", "temperature=-1", "length=5",
               "length=0",
               "length=x", "length=1e3", "seed=1", "seed=x", "seed=" + "9" * 5000, "x", "--x",
               "runs=TEXT", "seed=1 seed=2"),
    "options": ("act", "norm", "acts", "format=json", "format=xml", "--all", "act norm", "remedy", "x=1",
    "format=",
                "Act", "--config-dir nowhere", ""),
    "lab": ("chapter=99", "chapter=depht", "profile=fast", "foo=1", "open", "--quick", "chapter=[]",
    "chapter=",
            "profile=", "out=RUN/run.json", "open=maybe", "profile=quick profile=full", "chapter=0",
            "chapter=9" * 30),
}  # fmt: skip


CATALOGUE = {group.name: group for group in groups()}
TRAINED = [name for name in CATALOGUE if name not in ("experiment", "data", "model", "remedy")]


def command_line(number: int, seed: int = 0) -> list[str]:
    """The command line with this number."""
    chance = random.Random(f"{seed} {number}")
    command = chance.choices(
        ["train", "sweep", "theory", "cure", "show", *OTHERS, "none"], [52, 14, 6, 4, 3, 5, 5, 4, 3, 3, 1]
    )[0]
    if command == "none":
        words = (
            "foo",
            "--foo",
            "trian",
            "depth=3",
            "help foo",
            "--version",
            "help train",
            "train --help",
            "-m",
            "",
        )
        return chance.choice(words).split(" ")
    if command in OTHERS:
        known = [chance.choice(OTHERS[command]) for _ in range(chance.choice([0, 1, 1, 2, 2, 3]))]
        return [command, *_lab_needs_a_fault(command, known), *_words(known)]
    typed = _setting(chance, hostile=chance.random() < 0.55)
    if command == "sweep":
        typed += _swept(chance, typed)
    if chance.random() < 0.25:
        typed += _words([chance.choice(LAST)])
    chance.shuffle(typed) if not any(word.startswith("--") for word in typed) else None
    extra = {
        "train": [], "sweep": ["-m"], "theory": ["format=json"], "show": ["--cfg", "job"],
        "cure": ["cure.budget=1", "cure.seeds=1", "cure.pairs=false", "report=false"],
    }[command]  # fmt: skip
    if command == "sweep" and chance.random() < 0.1:
        extra = []
    own = _cut(typed)
    if command == "cure" and chance.random() < 0.8:
        own += [
            chance.choice(("cure.x=1", "remedy=relu", "apply=maybe", "cure.budget=0", "-m", "sweep.resume=x"))
        ]
    name = "train" if command in ("sweep", "show") else command
    return [name, *extra, *own]


def _lab_needs_a_fault(command: str, known: Sequence[str]) -> list[str]:
    """An argument that is refused, where nothing else keeps the lab from training for minutes."""
    return ["profile=none"] if command == "lab" and not known else []


def _words(texts: Sequence[str]) -> list[str]:
    """Texts of several arguments as those; a text of one argument may have blanks."""
    several = ("depth=2 depth", "act=relu act", "--", "runs=RUN runs", "format=json format",
    "seed=1 seed", "act norm",
               "profile=quick p")  # fmt: skip
    return [word for text in texts for word in (text.split(" ") if text.startswith(several) else [text])]


def _setting(chance: random.Random, hostile: bool) -> list[str]:
    typed: dict[str, str] = {}
    for group in chance.sample(TRAINED, chance.choice([0, 1, 1, 2, 3])):
        typed |= _choice(chance, CATALOGUE[group])
    for key in chance.sample(sorted(RIGHT), chance.choice([0, 1, 2])):
        typed[key] = chance.choice(RIGHT[key])
    if chance.random() < 0.08:
        typed |= _choice(chance, CATALOGUE["remedy"])
    if chance.random() < 0.06:
        typed |= {"data": chance.choice(["adding", "copy"]), "model": chance.choice(["rnn", "lstm", "gru"])}
    if hostile:
        key = chance.choice(
            [*SCALARS, *typed, "hydra.run.dir", "data.train_size", "data.path", "data", "model"]
        )
        typed[key] = chance.choice(VALUES)
    return [_mutated(chance, f"{key}={value}", hostile) for key, value in typed.items()]


def _choice(chance: random.Random, group: ChoiceGroup) -> dict[str, str]:
    """A choice of a group, with some of its parameters, or those of another choice."""
    choice: Choice = chance.choice(group.choices)
    owner = choice if chance.random() < 0.95 else chance.choice(group.choices)
    found = {group.name: choice.name}
    for item in owner.parameters:
        if chance.random() < 0.4:
            found[item.key] = json.dumps(item.default) if chance.random() < 0.7 else chance.choice(VALUES)
    return found


def _mutated(chance: random.Random, text: str, hostile: bool) -> str:
    """The text, at times mistyped."""
    if not hostile or chance.random() < 0.85:
        return text
    key, _, value = text.partition("=")
    kinds = [
        text.upper(), text.replace("_", "-"), f"{text} ", f" {text}", f"{key}= {value}", f"+{text}",
        f"++{text}",
        f"~{key}", key, f"{key[::-1]}={value}", f"{key}={value[::-1]}", f"{key}.x={value}",
        f"{key}={value},{value}x",
        text.replace("=", ":"), f"'{text}'", f"--{text}", f"{text};", f"{text})", f"{key}=[{value}]",
        text[:-1],
    ]  # fmt: skip
    return chance.choice(kinds)


def _swept(chance: random.Random, typed: Sequence[str]) -> list[str]:
    keys = {text.partition("=")[0] for text in typed}
    kinds = {
        "seed": ("range(2)", "1,2", "choice(3,4)", "range(5,3,-1)", "shuffle(range(2))", "sort(2,1)"),
        "act": ("relu,tanh", "glob(t*)", "glob([r*,t*],exclude=tanh)", "choice(null,elu)"),
        "lr": ("0.1,1", "range(0.1,0.4,0.2)", "float(1,2)"), "name": ("größe,läng", "a,007", "'a,b',c"),
    }  # fmt: skip
    own = [f"{key}={chance.choice(values)}" for key, values in kinds.items() if key not in keys]
    return [*chance.sample(own, min(len(own), chance.choice([0, 1, 1, 2]))), "hydra.launcher.n_jobs=1"]


def _cut(typed: Sequence[str]) -> list[str]:
    """What keeps training short, unless it was typed."""
    keys = {text.strip("+~- ").partition("=")[0] for text in typed}
    small = [f"{key}={value}" for key, value in SMALL.items() if key not in keys]
    sized = "data" not in keys or not {"data=adding", "data=digits"}.isdisjoint(typed)
    data = ["data.train_size=64"] if sized and "data.train_size" not in keys else []
    data += ["data.length=8"] if "data=adding" in typed and "data.length" not in keys else []
    pretrain = ["pretrain.epochs=1"] if "pretrain" in keys and "pretrain.epochs" not in keys else []
    return [*typed, *small, *data, *pretrain]
