"""The training loop: one for every variant, data set and model."""

import math

import torch

from ...errors import Interrupted
from ..device import with_generator
from ..precision import Diverged, GradientOverflow
from .checkpoint import Checkpoints
from .signals import StopRequest
from .state import Advance, TrainState

CHECK_EVERY = 50
"""Steps between looks at the loss: each look waits for the device."""


def train(run: TrainState, checkpoints: Checkpoints, *, advance: Advance = lambda run: None) -> None:
    """Train a run to its end, from wherever it stands.

    Args:
        run: a fresh or restored state; it is advanced in place.
        checkpoints: where to save, by time and on request.
        advance: called after every step and every epoch (progress bars).

    Raises:
        Diverged: a loss is not finite, in training or where it is measured.
        Interrupted: SIGINT or SIGTERM came, to one process of the run at least; the checkpoint is written.
    """
    oracle = run.oracle
    run.model.train()
    with StopRequest(once=run.process_group.size > 1) as stop, torch.random.fork_rng(with_generator(run.device)):
        for epoch in range(run.epoch, run.spec.epochs):
            run.clock.start()
            run.begin_epoch(epoch)
            sampler = run.sampler
            for step in range(run.step - run.timeline.start(epoch), sampler.steps):
                draw = sampler.draw(step, run.score)
                oracle.bind(run.batch(draw, step), epoch=epoch, step=run.step, more=run.fresh)
                run.set_schedules()
                try:
                    run.loss_sum += run.make_step()
                except GradientOverflow:
                    run.note_overflow()
                    oracle.skip_step()
                else:
                    run.note_passes()
                    oracle.finish_step()
                    sampler.observe(draw, oracle.scores)
                run.step += 1
                advance(run)
                last = step + 1 == sampler.steps
                if (last or run.step % CHECK_EVERY == 0) and not math.isfinite(run.total_loss()):
                    run.clock.stop()
                    raise Diverged(f"the training loss is not finite in epoch {epoch + 1}, by step {run.step}")
                stopping, due = run.process_group.sync_stop_and_save(run.step, stop.requested, checkpoints.due())
                if stopping or (due and not last):
                    run.clock.stop()
                    run.save(checkpoints)
                    if stopping:
                        raise Interrupted(f"stopped after step {run.step} of {oracle.total_steps}")
                    run.clock.start()
            run.end_epoch()
            advance(run)
            stopping, due = run.process_group.sync_stop_and_save(run.step, stop.requested, checkpoints.due(), now=True)
            if (stopping or due) and run.epoch < run.spec.epochs:
                run.save(checkpoints)
                if stopping:
                    raise Interrupted(f"stopped after step {run.step} of {oracle.total_steps}")
