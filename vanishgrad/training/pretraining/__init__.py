"""Greedy layer-wise pretraining of a plain perceptron."""

from vanishgrad.training.pretraining.filters import first_layer_filters
from vanishgrad.training.pretraining.greedy import LayerEpoch, pretrain_

__all__ = ["LayerEpoch", "first_layer_filters", "pretrain_"]
