"""Remedies: pure functions from one `Run` to another, usually with one field replaced."""

from vanishgrad.remedies.activations import UseELU, UseLeakyReLU, UsePReLU, UseReLU, UseSELU, UseTanh
from vanishgrad.remedies.descent import SmallRate, UseAdagrad, UseAdam, UseClipping, UseL1, UseL2, UseRMSprop
from vanishgrad.remedies.remedy import Remedy, Untreated
from vanishgrad.remedies.starts import UseCritical, UseHe, UsePretraining, UseXavier
from vanishgrad.remedies.structures import UseBatchNorm, UseGRU, UseLayerNorm, UseLSTM, UseResidual, UseRezero

__all__ = [
    "Remedy",
    "SmallRate",
    "Untreated",
    "UseAdagrad",
    "UseAdam",
    "UseBatchNorm",
    "UseClipping",
    "UseCritical",
    "UseELU",
    "UseGRU",
    "UseHe",
    "UseL1",
    "UseL2",
    "UseLSTM",
    "UseLayerNorm",
    "UseLeakyReLU",
    "UsePReLU",
    "UsePretraining",
    "UseRMSprop",
    "UseReLU",
    "UseResidual",
    "UseRezero",
    "UseSELU",
    "UseTanh",
    "UseXavier",
]
