"""`python -m vanishgrad`."""

import sys

from vanishgrad.cli import command

if __name__ == "__main__":
    sys.exit(command())
