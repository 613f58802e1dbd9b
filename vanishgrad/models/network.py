"""A network as a sequence of named modules that knows which layer each weight matrix belongs to."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vanishgrad.modules.dropout import replay
from vanishgrad.modules.observer import Sequence

Parts = dict[str, nn.Module]
Context = AbstractContextManager[None]


class Network(Sequence):
    """Modules applied one after the other, `(batch, *example) -> (batch, outputs)`.

    Arguments:
        parts: the modules by name, in order.
        layer_of: the layer of every weight matrix by its module path, counted from 1 at the input.
        recompute_every: hidden layers (at least) per segment whose inner activations are not kept but
            computed again in the backward pass (Chen et al. 2016); 0 keeps everything.
    """

    def __init__(self, parts: Mapping[str, nn.Module], layer_of: Mapping[str, int], recompute_every: int = 0):
        super().__init__(OrderedDict(parts))
        self.layer_of = dict(layer_of)
        self.output_name = max(self.layer_of, key=self.layer_of.__getitem__)
        self.recompute_every = recompute_every

    def forward(self, x: Tensor) -> Tensor:
        if not (self.recompute_every and self.training):
            return super().forward(x)
        for segment in self._segments():
            x = checkpoint(
                segment, x, use_reentrant=False, preserve_rng_state=False, context_fn=_contexts(segment)
            )
        return x

    def _segment(self, children: list[nn.Module]) -> Sequence:
        segment = Sequence(*children)
        segment.observer = self.observer
        return segment

    def _segments(self) -> Iterator[Sequence]:
        """Modules in a row with `recompute_every` layers each, or a few more."""
        per_child = Counter(path.split(".")[0] for path in self.layer_of)
        children: list[nn.Module] = []
        layers = 0
        for name, child in self.named_children():
            if layers >= self.recompute_every and per_child[name]:
                yield self._segment(children)
                children, layers = [], 0
            children.append(child)
            layers += per_child[name]
        yield self._segment(children)


def _contexts(segment: nn.Module) -> Callable[[], tuple[Context, Context]]:
    """The contexts of a segment's first and second forward pass."""
    return lambda: (nullcontext(), replay(segment))
