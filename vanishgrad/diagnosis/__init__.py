"""Tables of a run -> what is wrong with it, with evidence and remedies. Knows pandas, and no torch."""

from vanishgrad.diagnosis.diagnose import diagnose
from vanishgrad.diagnosis.finding import PATHOLOGIES, Advice, Diagnosis, Finding
from vanishgrad.diagnosis.online import OnlineDiagnosis
from vanishgrad.records import Pathology

__all__ = ["PATHOLOGIES", "Advice", "Diagnosis", "Finding", "OnlineDiagnosis", "Pathology", "diagnose"]
