"""Which steps do more than train."""

from __future__ import annotations

from dataclasses import dataclass

from vanishgrad.run import Run
from vanishgrad.training.batches import steps_of
from vanishgrad.training.checkpoint import snapshot_steps


@dataclass(frozen=True)
class Plan:
    """The steps of a run: 0 is the initial network, `total` the trained one, which is only measured."""

    run: Run
    total: int
    per_epoch: int
    snapshots: frozenset[int]

    @classmethod
    def of(cls, run: Run, examples: int) -> Plan:
        """The plan for so many training examples."""
        total, per_epoch = steps_of(run, examples)
        return cls(run, total, per_epoch, frozenset(snapshot_steps(run.snapshots, total)))

    def epoch(self, step: int) -> int:
        """Whole epochs that have been trained."""
        return step // self.per_epoch

    def logged(self, step: int) -> bool:
        return step == self.total or step % self.run.log_every == 0

    def evaluated(self, step: int) -> bool:
        return step == self.total or step % (self.run.eval_every or self.per_epoch) == 0

    def looked_at(self, step: int) -> bool:
        """Whether the network is looked at before the step, or saved."""
        every, points, last = self.run.dead_every, self.run.input_gradients, step == self.total
        observed = (every and (last or step % every == 0)) or (points and (last or step == 0))
        return bool(observed) or self.evaluated(step) or self.saved(step) or step in self.snapshots

    def saved(self, step: int) -> bool:
        return step == self.total or (
            self.run.save_every > 0 and step > 0 and step % self.run.save_every == 0
        )
