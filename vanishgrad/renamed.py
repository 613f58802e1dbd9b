"""Public names of 0.1 that have moved: they answer, with a DeprecationWarning, until the next release.

To end that, delete this file and its two lines in `vanishgrad/__init__.py`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, cast

MODULES = {  # that are gone, and where what they showed is now
    "vanishgrad.data": "vanishgrad.choices.data",
    "vanishgrad.layers": "vanishgrad.modules.weights",
    "vanishgrad.models": "vanishgrad.choices.model.build",
    "vanishgrad.monitor": "vanishgrad.measure",
    "vanishgrad.norms": "vanishgrad.modules.norms",
    "vanishgrad.training": "vanishgrad.engine",
}
NAMES = {  # that modules which are still there had
    "vanishgrad.choices.activation": {"ErrorFunction": "Erf"},
    "vanishgrad.choices.clipping": {"ByNorm": "ClipByNorm", "ByValue": "ClipByValue"},
    "vanishgrad.choices.data": {"Copy": "CopyMemory"},
    "vanishgrad.choices.data.sequences": {"Copy": "CopyMemory"},
    "vanishgrad.choices.normalization": {
        "Batch": "BatchNorm", "Group": "GroupNorm", "Instance": "InstanceNorm", "Layer": "LayerNorm",
        "RMS": "RMSNorm", "Weight": "WeightNorm",
    },
    "vanishgrad.choices.residual": {
        "Dense": "DenseShortcut", "Highway": "HighwayShortcut", "Scaled": "ScaledShortcut",
    },
    "vanishgrad.choices.schedule": {"Constant": "ConstantLR", "Cosine": "CosineLR", "Step": "StepLR"},
}  # fmt: skip


def install() -> None:
    """Have imports of the former names answered."""
    if not any(isinstance(finder, FormerNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, FormerNames())


class FormerNames:
    """Finds the modules that are gone, and those that have former names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MODULES:
            return ModuleSpec(fullname, cast(Any, MovedModule()))
        spec = PathFinder.find_spec(fullname, path) if fullname in NAMES else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = RenamedClasses(spec.loader.name, spec.loader.path)
        return spec


class MovedModule:  # of no base: importlib.abc takes as long to import as all of this
    """Loads an empty module that shows what another one has."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        place = MODULES[module.__name__]
        _warn(f"{module.__name__} is {place} now")
        module.__getattr__ = lambda name: getattr(import_module(place), name)  # type: ignore[method-assign]


class RenamedClasses(SourceFileLoader):
    """Loads a module whose former names answer too."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        names, place = NAMES[module.__name__], module.__name__

        def former(name: str) -> Any:
            if name not in names:
                raise AttributeError(f"module {place!r} has no attribute {name!r}")
            _warn(f"{place}.{name} is {names[name]} now")
            return getattr(module, names[name])

        module.__getattr__ = former  # type: ignore[method-assign]


def _warn(message: str) -> None:
    """Warn of the line that asked for the name, which is two calls up; importlib's own do not count."""
    warnings.warn(message, DeprecationWarning, stacklevel=3)
