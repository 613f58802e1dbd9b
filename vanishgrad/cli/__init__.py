"""The `vanishgrad` command. Nothing heavy is imported before it is clear that it is needed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from vanishgrad.interruption import Ending

DONE, FAILED, REFUSED = 0, 1, 2  # or `Ending.status` when the command was told to end


def command() -> int:
    """`main` as a process of its own, which looks for no garbage while it imports, nor when it ends.

    Of the objects that torch's modules are made of, that takes half a second, and finds nothing.
    """
    gc.disable()
    try:
        return main()
    finally:
        gc.disable()
        gc.freeze()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of this process) and give its exit status.

    0 done, 1 a run failed, 2 the input was wrong, 130 interrupted, 143 terminated, 129 hung up. What becomes
    of the output of a command that does some work is not among its reasons.
    """
    with Ending() as ending:  # before anything that takes its time, and be it an import
        from vanishgrad.cli.commands import dispatch
        from vanishgrad.errors import SettingError, WriteError
        from vanishgrad.printing import LostOutput, NoReader, guarded, printable

        with guarded():
            try:
                return dispatch(list(sys.argv[1:] if argv is None else argv), ending)
            except NoReader:  # `vanishgrad options | head`
                return DONE
            except (SettingError, LostOutput) as error:
                print(f"error: {printable(str(error))}", file=sys.stderr)
                return REFUSED
            except WriteError as error:
                print(f"error: {printable(str(error))}", file=sys.stderr)
                return FAILED
            except KeyboardInterrupt as stop:
                print(f"{ending.word}{printable(str(stop))}", file=sys.stderr)
                return ending.status
