"""The version, and the one place that has it: the wheel, `--version` and run.json take it from here."""

__version__ = "0.1.0"
