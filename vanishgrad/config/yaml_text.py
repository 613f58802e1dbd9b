"""YAML as OmegaConf writes it, by libyaml where that is there: in a quarter of the time."""

from __future__ import annotations

from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf._utils import OmegaConfDumper


class Dumper(getattr(yaml, "CDumper", yaml.Dumper)):  # type: ignore[misc]
    """Quotes strings that would be read as something else."""


Dumper.add_representer(str, OmegaConfDumper.str_representer)


def to_yaml(container: dict[Any, Any] | list[Any]) -> str:
    """The text of `OmegaConf.to_yaml`, for what `OmegaConf.to_container` gives."""
    text: str = yaml.dump(
        container, Dumper=Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False
    )
    return text
