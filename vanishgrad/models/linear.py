"""Linear layers and convolutions that leave their initial values to `initialize_`."""

from __future__ import annotations

from torch import nn


class Linear(nn.Linear):
    """`nn.Linear` whose constructor draws no random numbers; its values are undefined until they are set."""

    def reset_parameters(self) -> None:
        return None


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` whose constructor draws no random numbers; its values are undefined until they are set."""

    def reset_parameters(self) -> None:
        return None
