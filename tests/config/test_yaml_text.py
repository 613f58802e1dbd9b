"""The text of configurations against OmegaConf's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from vanishgrad.config.compose import to_yaml
from vanishgrad.config.plan import plan_of

STRINGS = [
    "1e3", "1.", "0x1f", "1_000", "1:30", "off", "null", "~", "nan", ".inf", "", " a ", "${x}", "a: b", "# a",
    "ümlaut", "'", "two\nlines", "x" * 200,
]  # fmt: skip
CONFIGS: list[Any] = [
    {}, [], {"numbers": [1, 1e-5, 1e22, float("inf"), None, True]}, {1: 2, "1": 3},
    {"later": {"b": 1, "a": [{}, [[]]]}}, {"strings": STRINGS},
]  # fmt: skip


@pytest.mark.parametrize("content", CONFIGS, ids=str)
def test_it_is_the_text_that_omegaconf_writes(content: Any) -> None:
    assert to_yaml(content) == OmegaConf.to_yaml(OmegaConf.create(content))


def test_a_whole_configuration_is_too(tmp_path: Path) -> None:
    config = plan_of(["depth=20", 'name="1e3"', f"hydra.sweep.dir={tmp_path}"], multirun=True).config
    container = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    assert isinstance(container, dict)
    assert to_yaml(container) == OmegaConf.to_yaml(config)
