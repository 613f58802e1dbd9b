"""The folder of a command, and its removal when the command is refused."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import configure_log, env_override
from hydra.types import RunMode
from omegaconf import DictConfig

from vanishgrad import schema
from vanishgrad.config.grammar import quoted
from vanishgrad.config.location import CONFIG_NAME, config_folder, use_own
from vanishgrad.config.plan import JOB_NAME, VERSION_BASE, Composition, hydra_errors, loader
from vanishgrad.errors import SettingError, WriteError, cut, meant, require
from vanishgrad.files import replace_file
from vanishgrad.folders import existing_folder, new_folder, remove_empty, reserve_folder
from vanishgrad.folders.content import HYDRAS, MULTIRUN, Kind, found_in

# What Hydra writes before a task function or a launcher can refuse anything.
WRITTEN = (MULTIRUN, *HYDRAS)


@contextmanager
def folder_of(
    plan: Composition, kind: Kind, key: str | None = None, *, overwrite: bool = False, resumed: bool = False
) -> Iterator[Path]:
    """The folder of `plan`, this process's own meanwhile.

    A `SettingError` inside takes away what is new in the file system, except for files of a run; so does an
    interruption before there was one.

    Arguments:
        plan: what is to be done.
        kind: what is to be written in it.
        key: what it was given as; None for Hydra's own word.
        overwrite: whether what it holds goes, once what is inside has taken that away.
        resumed: whether it goes on with what it holds.

    Raises:
        SettingError: when it holds something else, is in use or cannot be written.
    """
    key = key or f"hydra.{'sweep' if plan.swept else 'run'}.dir"
    folder, made = plan.folder, list[Path]()
    if plan.dated:
        folder, *made = made = reserve_folder(key, plan.folder.parent, plan.folder.name)
    claim = (
        existing_folder(key, folder, whole=True)
        if resumed
        else new_folder(key, folder, kind, overwrite=overwrite, made=made)
    )
    with claim:
        before = {path: _content(key, path) for path in (folder / name for name in WRITTEN)}
        try:
            yield folder
        except (SettingError, KeyboardInterrupt) as stop:
            if isinstance(stop, KeyboardInterrupt) and has_begun(folder):
                raise
            for path, content in before.items():
                if content is None:
                    path.unlink(missing_ok=True)
                elif content != _content(key, path):
                    replace_file(path, content)
            remove_empty([(folder / HYDRAS[0]).parent])
            raise


def has_begun(folder: Path) -> bool:
    """Whether there is something of a run or a sweep, whoever has launched it."""
    return found_in(folder) is not None


def _content(key: str, path: Path) -> bytes | None:
    """What is in a file; None where there is none. `key` is what its folder was given as."""
    try:
        return schema.content(path)
    except FileNotFoundError:
        return None
    except schema.Fault as fault:
        raise SettingError(f"{key}: {fault.of(str(path))}") from None


FLAGS = (
    "-m", "--multirun", "-v", "--verbose", "--config-dir", "-cd", "--cfg", "-c", "--info", "-i", "--resolve",
    "--package", "-p", "--hydra-help", "--shell-completion", "-sc", "--help", "-h", "--version",
)  # fmt: skip
WITH_VALUE = (
    "--config-dir",
    "-cd",
    "--cfg",
    "-c",
    "--info",
    "-i",
    "--package",
    "-p",
    "--shell-completion",
    "-sc",
)
Task = Callable[[Any], Any]


@dataclass(frozen=True)
class CommandLine:
    """Hydra's command line.

    Arguments:
        flags: arguments that are not overrides, as typed.
        overrides: the others, as typed.
        given: the flags, parsed.
        verbose: whether -v was given.
    """

    flags: list[str]
    overrides: list[str]
    given: Namespace
    verbose: bool = False

    @property
    def multirun(self) -> bool:
        return bool(self.given.multirun)

    @property
    def shows(self) -> bool:
        """Whether Hydra is to show something instead of running."""
        given = self.given
        return bool(given.cfg or given.info or given.hydra_help or given.resolve)

    @property
    def search(self) -> list[str]:
        """An override that adds the folder of --config-dir to the search path."""
        folder = self.given.config_dir
        return [] if folder is None else [f"hydra.searchpath=[{quoted(f'file://{Path(folder).absolute()}')}]"]


def command_line(arguments: Sequence[str]) -> CommandLine:
    """Flags and overrides, which may stand in any order; `-v` is our own, not Hydra's."""
    verbose = not {"-v", "--verbose"}.isdisjoint(arguments)
    arguments = [argument for argument in arguments if argument not in ("-v", "--verbose")]
    with redirect_stderr(io.StringIO()) as said:
        try:
            given = get_args_parser().parse_intermixed_args(list(arguments))
        except SystemExit as stop:
            if stop.code == 0:
                raise
            raise SettingError(_unknown(arguments, said.getvalue())) from None
    require(
        not given.shell_completion,
        "--shell-completion: completes the names of a command of Hydra's own, which this one, with its "
        "subcommands, is not",
    )
    for flag in ("config_path", "config_name", "experimental_rerun"):
        require(
            getattr(given, flag) is None, f"--{flag.replace('_', '-')}: not here; --config-dir adds files"
        )
    for flag in ("--cfg", "--info", "--config-dir", "--package"):
        count = [argument.partition("=")[0] for argument in arguments].count(flag)
        require(count < 2, f"{flag}: is given twice; leave one")
    for flag in ("package", "resolve"):
        require(bool(given.cfg) or not getattr(given, flag), f"--{flag}: is for --cfg job; add that")
    overrides, flags = list(given.overrides), []
    for argument in arguments:
        if argument in overrides:
            overrides.remove(argument)
        else:
            flags.append(argument)
    use_own(given.config_dir)
    return CommandLine(flags, list(given.overrides), given, verbose)


def run_hydra(task: Task, plan: Composition, folder: Path) -> None:
    """Hydra runs `task` in `folder`, once or once per job.

    Raises:
        SettingError: for what Hydra refuses.
        WriteError: when it cannot write its own record.
    """
    config, name = plan.config, "sweep" if plan.swept else "run"
    mode = RunMode.MULTIRUN if plan.swept else RunMode.RUN
    config.hydra[name].dir, config.hydra.mode = str(folder), mode
    config.hydra.overrides.hydra += [f"hydra.{name}.dir={quoted(str(folder))}", f"hydra.mode={mode.name}"]
    with loader() as load, hydra_errors(), _writing():
        hydra = _PlannedHydra(load, config)
        run = hydra.multirun if plan.swept else hydra.run
        run(CONFIG_NAME, task, [])


class _PlannedHydra(Hydra):
    """Hydra, where what it is to run has been composed; it would compose that twice more."""

    def __init__(self, load: ConfigLoader, config: DictConfig) -> None:
        super().__init__(JOB_NAME, load)
        self._config = config

    def compose_config(self, *_: Any, **__: Any) -> DictConfig:
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        return self._config


def show_hydra(overrides: Sequence[str], flags: Sequence[str]) -> None:
    """Hydra prints what flags such as --cfg ask for, and ends with SystemExit.

    Raises:
        SettingError: for what Hydra refuses.
    """
    application = hydra.main(
        version_base=VERSION_BASE, config_path=str(config_folder()), config_name=CONFIG_NAME
    )(lambda config: None)
    # Overrides first: --info takes the word after it. Full errors: else Hydra prints them and exits.
    with _argv([*overrides, *flags]), env_override({"HYDRA_FULL_ERROR": "1"}), hydra_errors():
        application()


@contextmanager
def _writing() -> Iterator[None]:
    """A file of Hydra's own that cannot be written is a `WriteError` too."""
    try:
        yield
    except (WriteError, BrokenPipeError):
        raise
    except OSError as error:
        path = error.filename or "a file of Hydra's"
        raise WriteError(error.errno, error.strerror or str(error), path) from error


@contextmanager
def _argv(arguments: Sequence[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, ["vanishgrad train", *arguments]
    try:
        yield
    finally:
        sys.argv = before


def _unknown(arguments: Sequence[str], said: str) -> str:
    """The flag that there is not; with a hint for `--depth=3`. Argparse names all that follows, too."""
    known = [flag for flag in FLAGS if flag.startswith("--")]
    for flag in (argument for argument in arguments if argument.startswith("-")):
        name, sign, _ = flag.partition("=")
        if name in FLAGS:
            require(not sign or name in WITH_VALUE, f"{cut(flag)}: {name} has no value; write {name}")
            continue
        if sign:
            return f"{cut(flag)}: settings are written without dashes: {cut(flag.lstrip('-'))}"
        return f"{cut(flag)}: there is no such flag{meant(name, known)}; valid are {', '.join(FLAGS)}"
    return said.strip().splitlines()[-1].partition("error: ")[2]
