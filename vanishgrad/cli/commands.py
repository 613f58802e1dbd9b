"""The subcommands, and which of them a command line asks for."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from vanishgrad.cli import usage
from vanishgrad.errors import SettingError, meant
from vanishgrad.interruption import Ending
from vanishgrad.printing import essential
from vanishgrad.version import __version__

DONE = 0
PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Command:
    """One subcommand, which is the function of its name in the module of its name.

    Arguments:
        name: as typed.
        summary: its line in the overview.
        usage: its own help page.
        trains: whether arguments ask for trainings on several processes.
    """

    name: str
    summary: str
    usage: Callable[[], str]
    trains: Callable[[Sequence[str]], bool] = lambda arguments: False

    def load(self, arguments: Sequence[str]) -> Callable[[Sequence[str]], int]:
        """What it does with its arguments, which gives the exit status."""
        if self.trains(arguments):
            from vanishgrad.sweeps.processes import warm

            warm()  # they import torch while this process does
        function: Callable[[Sequence[str]], int] = getattr(import_module(f"{PACKAGE}.{self.name}"), self.name)
        gc.enable()  # until now a process of its own has none
        return function


def _on_several_processes(arguments: Sequence[str]) -> bool:
    """Whether a sweep is asked for that the default launcher trains here, as far as can be seen."""
    swept = "-m" in arguments or "--multirun" in arguments
    no = ("hydra.launcher.backend=", "resume=", "--cfg", "-c", "--info", "-i", "--help")
    launchers = [argument for argument in arguments if argument.startswith("hydra/launcher=")]
    return (
        swept
        and "hydra.launcher.n_jobs=1" not in arguments
        and all(launcher == "hydra/launcher=vectorized" for launcher in launchers)
        and not any(argument.startswith(no) for argument in arguments)
    )


def _always(arguments: Sequence[str]) -> bool:
    return True


COMMANDS = (
    Command("train", "train one run, or with -m a sweep", usage.train, _on_several_processes),
    Command("report", "figures, tables and one page from run folders", usage.report),
    Command("lab", "the subject in ten chapters, every claim put to the test", usage.lab, _always),
    Command("diagnose", "name what is wrong in each run, with evidence and remedies", usage.diagnose),
    Command("cure", "try the remedies on a failing setting, and rank them", usage.cure, _always),
    Command("theory", "what mean-field theory predicts for a setting, before training", usage.theory),
    Command("sample", "text from a trained character model", usage.sample),
    Command("options", "every group and choice, with parameters, defaults and sources", usage.options),
)


def dispatch(arguments: list[str], ending: Ending) -> int:
    """Do what a command line asks for; the exit status.

    Arguments:
        arguments: behind the name of the program.
        ending: is told when a command begins to have something to lose.
    """
    match arguments:
        case [] | ["help"] | ["--help" | "-h", *_]:
            _tell(usage.overview([(command.name, command.summary) for command in COMMANDS]))
        case ["--version"]:
            _tell(f"vanishgrad {__version__}")
        case ["help", name, *_]:
            _tell(_command(name).usage())
        case [name, *rest] if {"--help", "-h"} & set(rest):
            _tell(_command(name).usage())
        case [name, *rest] if "--version" in rest and name in (command.name for command in COMMANDS):
            _tell(f"vanishgrad {__version__}")  # Hydra would tell its own
        case [name, *rest]:
            command = _command(name)
            _check_place()
            run = command.load(rest)
            ending.begin()
            return run(rest)
    return DONE


def _tell(text: str) -> None:
    with essential():
        print(text)


def _check_place() -> None:
    """Refuse to work in a directory that is gone."""
    try:
        os.getcwd()
    except OSError as error:
        raise SettingError(f"the working directory: {error.strerror}; go to another one") from None


def _command(name: str) -> Command:
    names = [command.name for command in COMMANDS]
    for command in COMMANDS:
        if command.name == name:
            return command
    hint = meant(name, names) or (" (did you mean vanishgrad train?)" if "=" in name else "")
    raise SettingError(f"{name}: no such command; choose one of {', '.join(names)}{hint}")
