"""Every choice of every group, under the name that the field has for it.

    >>> from vanishgrad import Run
    >>> from vanishgrad.choices import BatchNorm, LeakyReLU
    >>> Run(act=LeakyReLU(slope=0.1), norm=BatchNorm()).act
    LeakyReLU(slope=0.1)

A choice that is not here, such as your own, inherits its group's protocol and is used in the same way.
"""

from vanishgrad.choices.activation import (
    ELU,
    GELU,
    SELU,
    Erf,
    Identity,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)
from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue, Clipping, NoClip
from vanishgrad.choices.data import (
    CIFAR10,
    MNIST,
    Adding,
    CopyMemory,
    Digits,
    FashionMNIST,
    MovingDigits,
    Spirals,
    TemporalOrder,
    Text,
)
from vanishgrad.choices.initialization import (
    LSUV,
    Critical,
    Default,
    Gaussian,
    He,
    LeCun,
    Normal,
    Orthogonal,
    Xavier,
    Zeros,
)
from vanishgrad.choices.loss import BCE, MSE, CrossEntropy
from vanishgrad.choices.model import CNN, GRU, LSTM, MLP, RNN, ConvLSTM
from vanishgrad.choices.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    NoNorm,
    RMSNorm,
    WeightNorm,
)
from vanishgrad.choices.optimizer import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from vanishgrad.choices.pretraining import RBM, Autoencoder, DenoisingAutoencoder, NoPretraining
from vanishgrad.choices.protocol import (
    Activation,
    Data,
    Initialization,
    Loss,
    Model,
    Normalization,
    Pretraining,
    Residual,
    Setting,
)
from vanishgrad.choices.regularization import (
    L1,
    L2,
    Dropout,
    ElasticNet,
    NoReg,
    Regularization,
    WeightDecay,
)
from vanishgrad.choices.residual import (
    DenseShortcut,
    Fixup,
    HighwayShortcut,
    IdentityShortcut,
    NoResidual,
    Rezero,
    ScaledShortcut,
)
from vanishgrad.choices.schedule import ConstantLR, CosineLR, Schedule, StepLR

__all__ = [  # group by group, in the order in which `vanishgrad options` has them  # noqa: RUF022
    "MLP", "CNN", "RNN", "LSTM", "GRU", "ConvLSTM",
    "ReLU", "Sigmoid", "Tanh", "Softsign", "Softplus", "LeakyReLU", "PReLU", "ELU", "SELU", "GELU", "SiLU",
    "Mish", "Erf", "Identity",
    "Default", "Xavier", "He", "LeCun", "Orthogonal", "Gaussian", "Normal", "Zeros", "LSUV", "Critical",
    "NoNorm", "BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm", "WeightNorm",
    "NoResidual", "IdentityShortcut", "ScaledShortcut", "Rezero", "Fixup", "HighwayShortcut", "DenseShortcut",
    "NoClip", "ClipByNorm", "ClipByValue", "AGC",
    "NoReg", "L1", "L2", "ElasticNet", "WeightDecay", "Dropout",
    "NoPretraining", "RBM", "Autoencoder", "DenoisingAutoencoder",
    "SGD", "Adam", "AdamW", "Adagrad", "RMSprop",
    "ConstantLR", "CosineLR", "StepLR",
    "CrossEntropy", "BCE", "MSE",
    "Digits", "MNIST", "FashionMNIST", "CIFAR10", "Spirals", "Adding", "CopyMemory", "TemporalOrder", "Text",
    "MovingDigits",
    "Activation", "Clipping", "Data", "Initialization", "Loss", "Model", "Normalization", "Optimizer",
    "Pretraining", "Regularization", "Residual", "Schedule", "Setting",
]  # fmt: skip
