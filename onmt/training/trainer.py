"""The training loop (OpenNMT Lua's onmt/train/Trainer.lua)."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
from torch import Tensor

from onmt.data.dataset import Batch
from onmt.errors import DataError
from onmt.models.base import Model, stored_tensors
from onmt.modules.noise import Noise, TrainingStep
from onmt.runtime.random import torch_generator
from onmt.signals import SignalHandler, handling_signals
from onmt.training.checkpoints import Saver, TrainingState
from onmt.training.data import Epoch, Epochs, naming_batches
from onmt.training.distributed import Interrupted, Replicas
from onmt.training.evaluation import Evaluator
from onmt.training.gradients import Attempt, GradientGraphs, LossScale, NotFiniteError, SkippedSteps
from onmt.training.optim import Optimizer
from onmt.training.progress import Progress
from onmt.training.recipe import Recipe


@dataclass(frozen=True)
class StepResult:
    """The measurements of a step, as tensors that have not been read from the device.

    loss: this replica's summed loss, 0 if the step was skipped because a number was not finite; grad_norm: L2
    norm of all gradients together, divided but not clipped; words: the divisor of the loss in a perplexity;
    src_words: source words read.
    """

    loss: Tensor
    grad_norm: Tensor
    words: int
    src_words: int


@dataclass
class _Sums:
    """Sums over this replica's batches of a step. loss: 0-dim; divisor: that of the gradients, see `Loss`."""

    loss: Tensor
    words: int = 0
    divisor: int = 0
    src_words: int = 0


_READ_FAILED: Final = 1 << 10
"""Sent in place of a signal number by a replica that could not read its batch; all of those are lower."""


class _ValidationStopped(Exception):  # noqa: N818 - not an error: a signal asks the training to stop
    """Ends a validation early."""


class Trainer:
    """Trains a model from the position in `state`, which it keeps up to date, to the last epoch."""

    def __init__(
        self,
        model: Model,
        optimizer: Optimizer,
        epochs: Epochs,
        evaluator: Evaluator | None,
        recipe: Recipe,
        state: TrainingState,
        saver: Saver,
        progress: Progress,
        replicas: Replicas,
    ) -> None:
        """`evaluator`: None without validation data."""
        self.model = model
        self.optimizer = optimizer
        self.epochs = epochs
        self.evaluator = evaluator
        self.options = recipe.options
        self.sampling = recipe.sampling
        self._coverage_weight = recipe.coverage_weight
        self.schedule = recipe.schedule
        self.state = state
        self.saver = saver
        self.progress = progress
        self.replicas = replicas
        self._device = optimizer.parameters[0].device
        self._clipping = recipe.clipping(model, optimizer)
        self._loss_scale = LossScale(self._device, state.loss_scale) if recipe.options.fp16 else None
        self._output_words: Tensor | None = None
        self._probes_memory = self._device.type == "cuda"  # a CPU has no out-of-memory error to catch
        self._skipped = SkippedSteps(replicas, progress.logger, self._device)
        self._running_statistics = [
            buffer for _, buffer in model.named_buffers() if buffer.is_floating_point()
        ]
        self._average = recipe.moving_average(optimizer, state.trained_weights)
        self._graphs: GradientGraphs | None = None
        if self.options.cuda_graphs:
            self._graphs = GradientGraphs(model, optimizer.parameters, self._device, progress.logger)
        self._signals = SignalHandler(held=True)
        self._started = time.monotonic() - 60 * state.minutes

    def train(self) -> None:
        """Train. Raises Interrupted, after saving a checkpoint, if a signal asks to stop."""
        last = self.options.end_epoch or None
        with handling_signals() as self._signals, self._signals.holding():
            while last is None or self.state.epoch <= last:
                epoch = self.state.epoch
                iterations = self._train_epoch(epoch)
                score = self._validate(epoch)
                rate_too_small = self._decay(epoch, score)
                is_best = self.state.validation.record(self.options.validation_metric, score)
                stops = rate_too_small or self._no_longer_improves()
                if self.state.iteration > iterations:  # otherwise -train_steps cut the epoch short
                    self.state.epoch, self.state.iteration = epoch + 1, 1
                # The best model first: a run resumed from the epoch's model would not save it again.
                if is_best and self.options.keep_best:
                    self._save_best()
                if epoch == last or stops or self._saves_epoch(epoch):
                    self._save_epoch(epoch, score, is_last=epoch == last or stops)
                self.progress.log_profile()
                if rate_too_small:
                    self.progress.logger.warning("Stopping training due to a too small learning rate value.")
                if epoch == last or stops:
                    return
                self._stop_if_asked()

    def _train_epoch(self, epoch: int) -> int:
        """Do the iterations that are left of an epoch; return the number of iterations of a whole epoch."""
        options, state = self.options, self.state
        with self.progress.phases.during("data"):
            data = self.epochs.load(epoch)
        iterations, self._output_words = data.batches.iterations, data.output_words
        if state.batching is not None:
            state.batching = replace(state.batching, iterations=iterations)
        self.progress.start_epoch(epoch, iterations, state.iteration, state.unreported)
        self._set_gold_probability(epoch)
        if self._probes_memory:
            self._try_largest_batch(epoch, data)
        upcoming = data.take(epoch, state.iteration)
        steps_before = (epoch - 1) * iterations if options.counts_steps else 0
        for batches_or_error in self.progress.phases.waiting("data", upcoming):
            self._stop_if_asked(batches_or_error)
            assert not isinstance(batches_or_error, DataError)
            iteration = state.iteration
            with naming_batches(batches_or_error, f"epoch {epoch}, iteration {iteration}"):
                result = self.step(batches_or_error, epoch, iteration)
            state.iteration += 1
            self.progress.add(result.loss, result.words, result.src_words)
            if iteration % options.report_every == 0:
                self._report(iteration)
                state.unreported = None
            if options.save_every > 0 and (steps_before + iteration) % options.save_every == 0:
                self._save_checkpoint_unless_skipped()
        self._stop_if_asked()
        is_whole = state.iteration > iterations
        if not is_whole:  # -train_steps ends here; a longer training reports these steps again
            self._note_unreported()
        self._report(state.iteration - 1)
        if is_whole:
            state.unreported = None
        self.progress.end_epoch()
        return iterations

    def _try_largest_batch(self, epoch: int, data: Epoch) -> None:
        """Run the epoch's largest batch forward and backward, so that a lack of memory shows at the start.

        Training is not affected: gradients are dropped, buffers restored, and the random numbers are those of
        iteration 0, which no step uses.
        """
        self._probes_memory = False
        batch = data.largest_batch().to(self._device)
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        with naming_batches([batch], f"epoch {epoch}, before the first step"):
            self.model.loss(batch, self._training_step(epoch, 0)).total.backward()
        for parameter in self.optimizer.parameters:
            parameter.grad = None
        for buffer, before in buffers:
            buffer.copy_(before)

    def _report(self, iteration: int) -> None:
        loss = self._skipped.read(self.progress.loss)
        self.progress.report(iteration, self.state.rate.value, self._skipped.take_words(), loss)

    def step(self, batches: Sequence[Batch], epoch: int, iteration: int) -> StepResult:
        """Make an update from `-accum_count` batches per replica, fewer where its share of the epoch ends."""
        parameters = self.optimizer.parameters
        for parameter in parameters:
            parameter.grad = None
        # A skipped step must not change the statistics of batch normalisation.
        statistics = [values.clone() for values in self._running_statistics]
        sums = self._backpropagate(batches, epoch, iteration)
        with self.progress.phases.during("update"):
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            divisor = self.replicas.sum_gradients(gradients, sums.divisor, sums.loss)
            if self._loss_scale is not None:
                divisor = self._loss_scale.divisor(divisor)
            grad_norm = self._clipping.apply(gradients, divisor)
            lowered = None if self._loss_scale is None else self._loss_scale.update(grad_norm)
            if self.schedule is not None:
                self.state.rate.value = self.schedule.after(self.optimizer.steps)
            rate = self.state.rate.value
            finite = torch.isfinite(grad_norm + 0 * sums.loss)  # 0 * loss is NaN unless the loss is finite
            if not self.optimizer.can_use(rate):
                finite = torch.zeros_like(finite)
            self.optimizer.step(gradients, rate, finite)
            if self._average is not None:
                self.state.updates += 1
                self._average.update(self.state.updates)
            for values, before in zip(self._running_statistics, statistics, strict=True):
                values.copy_(torch.where(finite, values, before))
        indices = [batch.indices for batch in batches]
        self._skipped.record(
            Attempt(epoch, iteration, indices, rate, sums.loss, grad_norm, finite, sums.words, lowered)
        )
        return StepResult(torch.where(finite, sums.loss, 0), grad_norm, sums.words, sums.src_words)

    def _backpropagate(self, batches: Sequence[Batch], epoch: int, iteration: int) -> _Sums:
        """Sum the gradients of the (scaled) losses of the batches in `grad` of the parameters."""
        step = self._training_step(epoch, iteration)
        sums = _Sums(torch.zeros((), device=self._device))
        for batch in batches:
            measured = self._graphs.compute(batch, step) if self._graphs is not None else None
            if measured is None:
                with self.progress.phases.during("forward"):
                    measured = self.model.loss(batch, step)
                with self.progress.phases.during("backward"):
                    scale = self._loss_scale
                    (measured.total if scale is None else scale.scaled(measured.total)).backward()
            self.epochs.measure(iteration, batch, measured.per_sentence)
            loss = measured.total.detach()
            sums.loss = sums.loss + loss if sums.words else loss  # one batch needs no addition
            sums.words += measured.words
            sums.divisor += measured.divisor
            sums.src_words += batch.src_words
        return sums

    def _training_step(self, epoch: int, iteration: int) -> TrainingStep:
        generator = torch_generator(
            self.options.seed, "step", epoch, iteration, self.replicas.rank, device=self._device
        )
        return TrainingStep(
            Noise(generator),
            self.state.gold_probability,
            self.sampling.scope,
            self._output_words,
            self.options.label_smoothing,
            None if self._loss_scale is None else self._loss_scale.scale,
            coverage_weight=self._coverage_weight,
        )

    def _set_gold_probability(self, epoch: int) -> None:
        self.state.gold_probability = self.sampling.gold_probability(epoch)
        if self.state.gold_probability != 1:
            self.progress.logger.info(f"Set Scheduled Sampling rate: {self.state.gold_probability:.3f}")

    def _validate(self, epoch: int) -> float | None:
        if self.evaluator is None:
            return None
        score = failure = None
        scores: dict[str, float] = {}
        if self.replicas.is_first:
            self.progress.logger.info("Evaluating on the validation dataset...")
            try:
                with (
                    self.progress.phases.during("validation"),
                    self._averaged(),
                    suppress(_ValidationStopped),
                ):
                    scores = self.evaluator.scores(self.model, epoch, self._stop_validation_if_asked)
                    score = next(iter(scores.values()))
            except DataError as error:
                failure = error
        # The other replicas wait here for the score, None if the first one has none.
        score = self.replicas.broadcast(score)
        if score is None:
            self._stop_if_asked(failure)
        if score is not None and self.replicas.is_first:
            for name, value in scores.items():
                self.progress.log_validation(name, value)
        return score

    def _decay(self, epoch: int, score: float | None) -> bool:
        """Apply the decay rules; return whether the learning rate became too small to go on."""
        if self.schedule is not None or not self.optimizer.decays:
            return False
        decayed = self.state.rate.after_epoch(self.options, self.options.validation_metric, epoch, score)
        if decayed and self.options.decay_method == "restart":
            self.optimizer.restart()
        return self.state.rate.value < self.options.min_learning_rate

    def _no_longer_improves(self) -> bool:
        """Return whether `-early_stopping` ends the training; if so, log it."""
        patience, history = self.options.early_stopping, self.state.validation
        if not patience or history.since_best < patience:
            return False
        result = "had no finite score" if history.best is None else f"were not better than {history.best:.2f}"
        self.progress.logger.info(f"Stopping early: {history.since_best} validations in a row {result}")
        return True

    def _saves_epoch(self, epoch: int) -> bool:
        return self.options.save_every_epochs > 0 and epoch % self.options.save_every_epochs == 0

    def _save_epoch(self, epoch: int, score: float | None, is_last: bool) -> None:
        self._prepare_to_save()
        if self._skipped.in_a_row and score is not None and not math.isfinite(score):
            message = (
                f"The model after epoch {epoch} is not saved: it scores {score}, the last step was skipped"
            )
            if is_last:
                raise NotFiniteError(message + self._last_saved())
            self.progress.logger.warning(message)
            return
        self._save(partial(self.saver.save_epoch, epoch, score))

    def _save_best(self) -> None:
        self._prepare_to_save()
        self._save(self.saver.save_best)

    def _save_checkpoint_unless_skipped(self) -> None:
        """Save unless the last step was skipped: a good checkpoint must not be replaced by a bad one."""
        self._skipped.read()
        if self._skipped.in_a_row:
            self.progress.logger.warning("No checkpoint is saved now: the last step was skipped")
        else:
            self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        self._prepare_to_save()
        self._save(self.saver.save_checkpoint)

    def _save(self, save: Callable[[TrainingState], object]) -> None:
        """Call `save` with the current state in the first replica, with the moving average in the model."""
        self.epochs.gather_losses()
        if self.replicas.is_first:
            with self.progress.phases.during("saving"), self._averaged():
                self._bring_state_up_to_date()
                save(self.state)

    def _prepare_to_save(self) -> None:
        """Bring unreported counts up to date; raise NotFiniteError if a checkpoint would not be finite."""
        self._note_unreported()
        tensors = stored_tensors(self.model)
        for slot, tensors_of_slot in self.optimizer.slot_tensors.items():
            names = (f"{name} ({slot})" for name in self.optimizer.names)
            tensors |= dict(zip(names, tensors_of_slot, strict=True))
        self._skipped.require_finite(tensors, self._last_saved())

    def _last_saved(self) -> str:
        path = self.saver.last_saved
        return "" if path is None else f"; the last model saved is '{path}'"

    def _note_unreported(self) -> None:
        self._skipped.read()
        self.state.unreported = self.progress.unreported(self._skipped.take_words()) or self.state.unreported

    def _bring_state_up_to_date(self) -> None:
        self.state.minutes = (time.monotonic() - self._started) / 60
        self.state.optimizer = self.optimizer.to_state()
        self.state.loss_scale = None if self._loss_scale is None else self._loss_scale.to_state()
        self.state.sampler = self.epochs.sampler_state()
        self.state.trained_weights = None if self._average is None else self._average.trained()

    def _averaged(self) -> AbstractContextManager[None]:
        """Inside the context the model holds the moving average of its parameters, if there is one."""
        return nullcontext() if self._average is None else self._average.applied()

    def _stop_validation_if_asked(self) -> None:
        if self._signals.received is not None:
            raise _ValidationStopped

    def _stop_if_asked(self, read: Sequence[Batch] | DataError | None = None) -> None:
        """Save and stop if one of the replicas received a signal, or could not read its batch.

        read: what this replica read, a DataError if that failed.
        """
        failure = read if isinstance(read, DataError) else None
        number = self.replicas.maximum(_READ_FAILED if failure else self._signals.received or 0)
        if number == 0:
            return
        self.progress.end_epoch()
        failures = self.replicas.all_gather(None if failure is None else str(failure))
        self._save_checkpoint()
        self.replicas.maximum(0)  # no replica ends, or is killed, before the first one has saved
        goes_on = f"-train_from {self.saver.checkpoint_path} -continue goes on from there"
        for message in failures:
            if message is not None:
                raise DataError(f"{message}; {goes_on}")
        raise Interrupted(
            f"interrupted before epoch {self.state.epoch}, iteration {self.state.iteration}; {goes_on}",
            number,
        )
