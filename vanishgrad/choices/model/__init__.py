"""Network families. `depth` hidden layers of `width` units, the output layer on top."""

from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.feedforward import CNN, MLP
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.protocol import Model

__all__ = ["CNN", "GRU", "LSTM", "MLP", "RNN", "ConvLSTM", "Model"]
