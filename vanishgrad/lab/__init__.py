"""The lab: the subject as chapters, each with experiments, figures, and claims that numbers decide."""

from vanishgrad.report import backend  # noqa: F401

# isort: split
from vanishgrad.lab.chapter import PROFILES, Chapter, Plate, Probe, Profile, Training, probes, trainings
from vanishgrad.lab.chapters import CHAPTERS
from vanishgrad.lab.claim import PROBE, Claim, Conclusion, Evidence, Expected, RunTables, Tables
from vanishgrad.lab.write import is_written, write_book, write_chapter

__all__ = [
    "CHAPTERS",
    "PROBE",
    "PROFILES",
    "Chapter",
    "Claim",
    "Conclusion",
    "Evidence",
    "Expected",
    "Plate",
    "Probe",
    "Profile",
    "RunTables",
    "Tables",
    "Training",
    "is_written",
    "probes",
    "trainings",
    "write_book",
    "write_chapter",
]
