"""The `vanishgrad` command. Nothing heavy is imported before it is clear that it is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vanishgrad import __version__
from vanishgrad.cli import usage
from vanishgrad.errors import SettingError, WriteError, meant

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Command:
    """One subcommand.

    Arguments:
        name: as typed.
        summary: its line in the overview.
        usage: its own help page.
        run: what it does with its arguments; gives the exit status.
    """

    name: str
    summary: str
    usage: Callable[[], str]
    run: Callable[[list[str]], int]


def _train(arguments: list[str]) -> int:
    if _on_several_processes(arguments):
        from vanishgrad.sweeps.processes import warm

        warm()  # they import torch while this process does
    from vanishgrad.cli.train import train

    return train(arguments)


def _cure(arguments: list[str]) -> int:
    from vanishgrad.sweeps.processes import warm

    warm()  # they import torch while this process does
    from vanishgrad.cli.cure import cure

    return cure(arguments)


def _report(arguments: list[str]) -> int:
    from vanishgrad.cli.report import report

    return report(arguments)


def _lab(arguments: list[str]) -> int:
    from vanishgrad.sweeps.processes import warm

    warm()  # they import torch while this process does
    from vanishgrad.cli.lab import lab

    return lab(arguments)


def _theory(arguments: list[str]) -> int:
    from vanishgrad.cli.theory import theory

    return theory(arguments)


def _options(arguments: list[str]) -> int:
    from vanishgrad.cli.options import options

    return options(arguments)


def _diagnose(arguments: list[str]) -> int:
    from vanishgrad.cli.diagnose import diagnose

    return diagnose(arguments)


def _sample(arguments: list[str]) -> int:
    from vanishgrad.cli.sample import sample

    return sample(arguments)


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


COMMANDS = (
    Command("train", "train one run, or with -m a sweep", usage.train, _train),
    Command("report", "figures, tables and one page from run folders", usage.report, _report),
    Command("lab", "the subject in ten chapters, every claim put to the test", usage.lab, _lab),
    Command(
        "diagnose", "name what is wrong in each run, with evidence and remedies", usage.diagnose, _diagnose
    ),
    Command("cure", "try the remedies on a failing setting, and rank them", usage.cure, _cure),
    Command(
        "theory", "what mean-field theory predicts for a setting, before training", usage.theory, _theory
    ),
    Command("sample", "text from a trained character model", usage.sample, _sample),
    Command(
        "options", "every group and choice, with parameters, defaults and sources", usage.options, _options
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of this process) and give its exit status.

    0 done, 1 a run failed, 2 the input was wrong, 130 interrupted.
    """
    try:
        return _dispatch(list(sys.argv[1:] if argv is None else argv))
    except SettingError as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    except WriteError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as stop:
        print(f"interrupted{stop}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `vanishgrad options | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _dispatch(arguments: list[str]) -> int:
    match arguments:
        case [] | ["help"] | ["--help" | "-h", *_]:
            print(usage.overview([(command.name, command.summary) for command in COMMANDS]))
        case ["--version"]:
            _version()
        case ["help", name, *_]:
            print(_command(name).usage())
        case [name, *rest] if {"--help", "-h"} & set(rest):
            print(_command(name).usage())
        case [name, *rest] if "--version" in rest and name in (command.name for command in COMMANDS):
            _version()  # Hydra would tell its own
        case [name, *rest]:
            return _command(name).run(rest)
    return DONE


def _version() -> None:
    print(f"vanishgrad {__version__}")


def _command(name: str) -> Command:
    names = [command.name for command in COMMANDS]
    for command in COMMANDS:
        if command.name == name:
            return command
    hint = meant(name, names) or (" (did you mean vanishgrad train?)" if "=" in name else "")
    raise SettingError(f"{name}: no such command; choose one of {', '.join(names)}{hint}")
