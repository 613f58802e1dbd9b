"""The weight matrices of any `nn.Module`, and which layer each belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized


@dataclass(frozen=True)
class WeightMatrix:
    """One weight matrix (or convolution kernel) inside a model.

    `layer` counts from 1, nearest the input; matrices of one layer share it and differ by `name`, the
    module path (with the parameter's name where that is not simply `weight`).
    """

    layer: int
    name: str
    module: nn.Module
    attribute: str = "weight"

    @property
    def weight(self) -> Tensor:
        """The effective weight, `(outputs, inputs, ...)`: with weight normalization g v / ||v||."""
        weight: Tensor = getattr(self.module, self.attribute)
        return weight

    @property
    def bias(self) -> Tensor | None:
        """The bias that goes with the weight, `(outputs,)`."""
        name = self.attribute.replace("weight", "bias")
        bias = getattr(self.module, name, None)
        return bias if isinstance(bias, Tensor) and name != self.attribute else None

    @property
    def parametrization(self) -> ParametrizationList | None:
        """The module that computes an effective weight at each forward pass, if there is one."""
        if not is_parametrized(self.module, self.attribute):
            return None
        owner = self.module.parametrizations[self.attribute]  # type: ignore[index]
        assert isinstance(owner, ParametrizationList)
        return owner


def weight_matrices(model: nn.Module) -> list[WeightMatrix]:
    """Every weight matrix of `model`: parameters of two or more dimensions.

    A model that numbers its layers has `layer_of`, a dictionary from module path to layer; in any other
    model each module that owns weight matrices is a layer of its own, in order of registration.
    """
    numbers: dict[str, int] = dict(getattr(model, "layer_of", {}))
    matrices = []
    for path, module, attribute in _owned(model):
        layer = numbers.setdefault(path, len(numbers) + 1)
        name = path if attribute == "weight" else f"{path}.{attribute}".lstrip(".")
        matrices.append(WeightMatrix(layer, name, module, attribute))
    return matrices


def _owned(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """(path, module, attribute) of each matrix; what belongs to a parametrization counts as its module's."""
    for path, module in model.named_modules():
        if ".parametrizations" in f".{path}":
            continue
        if is_parametrized(module):
            for attribute in module.parametrizations:
                yield path, module, str(attribute)
        for attribute, parameter in module.named_parameters(recurse=False):
            if parameter.ndim >= 2:
                yield path, module, attribute


class Linear(nn.Linear):
    """`nn.Linear` whose constructor draws no random numbers; its values are undefined until they are set.

    Unlike `torch.nn.utils.skip_init` it takes no memory under `torch.device("meta")`, where parameters are
    counted.
    """

    def reset_parameters(self) -> None:
        return None


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` whose constructor draws no random numbers; its values are undefined until they are set."""

    def reset_parameters(self) -> None:
        return None
