"""`python -m vanishgrad`."""

import sys

from vanishgrad.cli import main

if __name__ == "__main__":
    sys.exit(main())
