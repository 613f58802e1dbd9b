"""A finding, a diagnosis, and the numbers in their sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from vanishgrad.records import FINDINGS, Pathology

QUANTITIES = {
    "weight_norm": "weights", "act_mean": "activations", "act_std": "activations",
    "delta_norm": "gradient", "grad_norm": "weight gradient", "bias_grad_norm": "bias gradient",
    "bias": "biases",
}  # fmt: skip


def factor(decades: float) -> str:
    """`4.3 x` for 0.63 decades."""
    return f"{10 ** abs(decades):.3g} x"


def small(part: float) -> str:
    """A fraction in percent, `0.0012 %`."""
    return "0 %" if part == 0 else f"{100 * part:.2g} %"


def counted(number: int, noun: str) -> str:
    """`1 step`, `400 steps`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def layers(numbers: Sequence[int]) -> str:
    """`layer 3`, `layers 1 to 4`, `layers 1, 2 and 5`."""
    if not numbers:
        return "no layer"
    if len(numbers) == 1:
        return f"layer {numbers[0]}"
    if list(numbers) == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 2:
        return f"layers {numbers[0]} to {numbers[-1]}"
    if len(numbers) > 6:
        return f"{len(numbers)} layers from {numbers[0]} to {numbers[-1]}"
    return f"layers {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


SLOWS, PREVENTS = 0.5, 1.0  # severities: training is slower; there is none
UNKNOWN = 0.8  # of the severity, where it is not known what came of it


def sure(value: float, threshold: float, full: float | None = None) -> float:
    """From 0.5 at the threshold to 1 at `full`, by default twice the threshold."""
    far = 2 * threshold if full is None else full
    return round(0.5 + 0.5 * _between((value - threshold) / (far - threshold)), 3)


def severe(value: float, threshold: float, *, certain: bool, full: float | None = None) -> float:
    """From SLOWS at the threshold to PREVENTS at `full`; less where it is not certain to have done harm."""
    far = 3 * threshold if full is None else full
    part = SLOWS + (PREVENTS - SLOWS) * _between((value - threshold) / (far - threshold))
    return round(part if certain else UNKNOWN * part, 3)


def _between(part: float) -> float:
    return min(1.0, max(0.0, part))


Evidence: TypeAlias = dict[str, float | int | str]
PATHOLOGIES = FINDINGS


@dataclass(frozen=True)
class Advice:
    """A remedy for what was found.

    Arguments:
        override: to type behind `vanishgrad train ...`, as `remedy=batchnorm` or `lr=0.01`; several are
            separated by a blank. For a model of somebody else's, in words of PyTorch.
        reason: why it helps against what was found, in a sentence.
    """

    override: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run.

    Arguments:
        finding: which of `PATHOLOGIES`.
        severity: from 0 to 1, comparable between pathologies: 0.5 slows training, 1 prevents it.
        confidence: from 0 to 1, how far the evidence is beyond the rule's threshold.
        layers: that show it, numbered as in gradients.csv; empty where it is no layer's own.
        first_step: the first logged step that shows it.
        evidence: the numbers that the rule looked at, by name.
        remedies: the most promising first.
        where: `layers`, or `time` for what happens from time step to time step.
        sentence: the evidence in words.
    """

    finding: Pathology
    severity: float
    confidence: float
    layers: tuple[int, ...]
    first_step: int
    evidence: Evidence
    remedies: tuple[Advice, ...] = ()
    where: Literal["layers", "time"] = "layers"
    sentence: str = ""

    @property
    def words(self) -> str:
        """What it is called in a sentence: `vanishing through time`, `dead units`."""
        return self.verdict.replace("_", " ")

    @property
    def verdict(self) -> str:
        """What it is called in a table: `vanishing`, `vanishing through time`, `dead_units`."""
        return self.finding + (" through time" if self.where == "time" else "")

    def plain(self) -> dict[str, Any]:
        """The finding as plain data: an entry of diagnosis.json."""
        return {
            "finding": self.finding,
            "severity": self.severity,
            "confidence": self.confidence,
            "where": self.where,
            "layers": list(self.layers),
            "first_step": self.first_step,
            "sentence": self.sentence,
            "evidence": dict(self.evidence),
            "remedies": [{"override": advice.override, "reason": advice.reason} for advice in self.remedies],
        }


@dataclass(frozen=True)
class Diagnosis:
    """All that was found in a run, the worst first; nothing when it is healthy.

    Arguments:
        findings: the worst first.
        learned: whether training achieved something; None where nothing tells.
    """

    findings: tuple[Finding, ...] = field(default=())
    learned: bool | None = None

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __bool__(self) -> bool:
        """Whether something was found."""
        return bool(self.findings)

    def __contains__(self, finding: object) -> bool:
        """Whether a pathology is among what was found: `"vanishing" in diagnosis`."""
        return any(finding in (one.finding, one) for one in self.findings)

    @property
    def verdict(self) -> str:
        """The worst finding, else `learns`, or `healthy` where it is not known to have learned."""
        if self.findings:
            return self.findings[0].verdict
        return "learns" if self.learned else "healthy"

    def plain(self) -> list[dict[str, Any]]:
        """The content of diagnosis.json."""
        return [finding.plain() for finding in self.findings]
