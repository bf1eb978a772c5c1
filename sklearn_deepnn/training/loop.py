"""`train`: the only loop. Epochs of batches: forward, cost, backward, update.

Conventions: columns are examples; the members of an ensemble train side by side, stacked on a first axis.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning

from ..checks import check_integer
from ..compilation import WAIT, count_compiled, is_loaded
from ..messages import warn_user
from ..network.architecture import Network
from ..network.prediction import keep_freed_memory, take_columns
from ..typing import Array, Arrays, Values
from .costs import CostMeter, baseline_loss, mean_cost, uninformed_cost
from .examples import Batches, Examples
from .recipe import Recipe
from .run import Finding, Hooks, Watch
from .state import Best, Call, Monitor, TrainingState, read_only
from .steps import GradientStep, LineSearchStep, threads_for

Validate: TypeAlias = Callable[[Arrays], Values]  # parameters to values for the history
Diagnose: TypeAlias = Callable[[list[Finding]], list[Finding]]  # what `train` has found to all that went wrong

N_PROBE = 200  # examples whose cost, before and after, tells whether training has diverged
LARGE_INPUTS = 3.0  # root mean square; inputs of unit variance have 1
FAR_WORSE = 10.0  # times the cost of knowing nothing; networks after few updates cost less


@np.errstate(over="ignore", invalid="ignore", under="ignore")  # divergence is reported once, in words
def train(
    state: TrainingState,
    examples: Examples,
    network: Network,
    recipe: Recipe,
    *,
    n_epochs: int,
    horizon: int | None = None,
    validate: Validate | None = None,
    monitor: Monitor = "auto",
    keeps_best: bool | None = None,
    callbacks: Sequence[Hooks] = (),
    settings: dict[str, Any] | None = None,
    snapshot: Callable[[], Any] | None = None,
    diagnose: Diagnose = list,
    continues: bool = True,
    resume: bool = False,
) -> list[Finding]:
    """Train a network: repeat forward, cost, backward, update over the batches of every epoch.

    Training stops early if a callback says so, if the optimizer has converged, or if the cost or a parameter is no
    longer finite. After an error or Ctrl-C, the state is that of the end of the last epoch.

    Parameters
    ----------
    state : TrainingState
        Where training starts. It is changed in place.
    examples : Examples
    network : Network
    recipe : Recipe
    n_epochs : int
    horizon : int, optional
        Epochs from the very first one that schedules are spread over, where other calls will follow. By default the
        last epoch of this call.
    validate : callable, optional
        Takes the parameters and returns values for the history, "validation_cost" among them.
    monitor : {"auto", "cost", "validation_cost", "validation_score"}, default="auto"
        What compares epochs; see `monitored_value`.
    keeps_best : bool, optional
        Whether to keep the parameters of the best epoch in `state.best`. By default, if epochs are validated.
    callbacks : sequence of Hooks
    settings, snapshot
        For the callbacks; see `Run`.
    diagnose : callable, optional
        Takes the findings of `train`, one or none, and returns all findings.
    continues : bool, default=True
        Whether the state must be complete after an error, for later calls or for snapshots. Otherwise only the
        parameters then return to the last complete epoch, which saves the time and memory of copies.
    resume : bool, default=False
        Whether to complete the call in `state.call`. `n_epochs` then includes the epochs that it has trained.

    Returns
    -------
    list of Finding
        What went wrong.

    Raises
    ------
    ValueError
        If training diverges, and no epoch was better than predicting a constant, such as the class frequencies.

    Warns
    -----
    ConvergenceWarning
        If training diverges after such an epoch, whose parameters are then kept; or if it ends with a cost that has
        fallen, but is far above that of a network that knows nothing: more epochs may help.
    """
    check_integer("n_epochs", n_epochs, 1)
    keep_freed_memory()
    if keeps_best is None:
        keeps_best = validate is not None
    state.adopt(recipe.optimizer, averages=recipe.averages)
    batches = Batches(examples, network, recipe, state.parameters.vector.dtype)
    probe = examples.spread_sample(N_PROBE)
    if not resume:
        state.call = Call(state.call.optimizer, state.epoch, mean_cost(probe, state.parameters, network))
    last_epoch = state.call.first_epoch + n_epochs
    schedule = recipe.schedule_over((horizon or last_epoch) * len(batches))
    make_step = LineSearchStep if recipe.optimizer.full_batch else GradientStep
    is_part = horizon is not None
    about = {"last_epoch": last_epoch, "validates": validate is not None, "monitor": monitor, "keeps_best": keeps_best}
    last_complete_epoch = Rollback(state, continues=continues)
    with (
        Watch(
            callbacks, state, resume=resume, settings=settings or {}, snapshot=snapshot, is_part=is_part, **about
        ) as watch,
        last_complete_epoch,
        threads_for(network, batches, state.parameters) as pool,
    ):
        step, waits_for_loops = make_step(state, batches, network, recipe, pool), True
        watch.begin()
        state.best = comparable_best(state, validate) if keeps_best else None
        while state.epoch < last_epoch and not state.call.stopped_by:
            last_complete_epoch.keep()
            if waits_for_loops and WAIT.is_over():
                watch.tell_loading(seconds_of_loading(step))
                waits_for_loops = False
            began_at = time.monotonic()
            watch.begin_epoch()
            meter, first_step = CostMeter(network.loss_function), state.epoch * len(batches)
            for index, positions in enumerate(batches.epoch(state.rng)):
                # named schedules count epochs: parts of different sizes, as for partial_fit, move by one epoch each
                at_step = state.step if callable(recipe.schedule) else first_step + index
                learning_rate = schedule(at_step) * state.rate_factor
                meter.add(step.backpropagate(positions))
                step.update(learning_rate)
                state.step += 1
            state.begin_epoch_entry(meter.mean(), learning_rate)
            last_complete_epoch.compare()
            state.call.stopped_by = end_epoch(state, validate, monitor if keeps_best else None)
            watch.end_epoch()
            if state.call.stopped_by != "divergence":
                last_complete_epoch.drop()
            if waits_for_loops:
                WAIT.seconds += time.monotonic() - began_at
        best = last_complete_epoch.lowest() if state.best is None else state.best
        uninformed = uninformed_cost(examples, network)
        failure = find_failure(state, best, probe, uninformed, network, recipe, finished=not is_part)
        findings = diagnose(end_training(state, failure))
        watch.tell(findings)
        return warn_of(findings)


def seconds_of_loading(step: GradientStep | LineSearchStep) -> float:
    """Let a step use compiled loops. Return how long importing numba and compiling took; 0 if neither was needed."""
    began_at, was_loaded = time.monotonic(), is_loaded()
    n_compiled = count_compiled()  # imports numba
    step.use_loops()
    did_nothing = was_loaded == is_loaded() and n_compiled == count_compiled()
    return 0.0 if did_nothing else time.monotonic() - began_at


class Rollback:
    """The state before an epoch, which an error or Ctrl-C during the epoch returns to. A context manager."""

    def __init__(self, state: TrainingState, *, continues: bool) -> None:
        self.state, self.continues = state, continues
        self.snapshot: dict[str, Any] | None = None
        self.current: Array | None = None  # the vector of `state.current`
        # the parameters after this epoch, before the epoch of the lowest cost: in case of divergence
        self.lowest_epoch, self.lowest_cost = 0, math.inf
        self.lowest_vector: Array | None = None

    def keep(self) -> None:
        """Take a snapshot of the state."""
        state = self.state
        # `best` is frozen, and a history only grows: neither needs a copy
        self.best, self.lengths = state.best, {name: len(curve) for name, curve in state.history.items()}
        self.snapshot = replace(state, best=None, history={}).to_dict(continues=self.continues)
        self.current = None if self.continues else state.current.vector.copy()

    def compare(self) -> None:
        """Keep the parameters before the epoch, without a copy, if the epoch had the lowest cost."""
        # the cost of an epoch is that of the parameters which it begins with, until its updates change them
        state, cost, epoch = self.state, self.state.history["cost"][-1], self.state.epoch - 1
        if epoch == state.call.first_epoch or (self.lowest_vector is not None and not cost < self.lowest_cost):
            return
        before = self.snapshot or {}
        name = "parameters" if state.average is None else "average"
        self.lowest_vector = before[name] if self.current is None else self.current
        self.lowest_epoch, self.lowest_cost = epoch, cost

    def lowest(self) -> Best | None:
        """Return the epoch before that of the lowest cost, or None if the call has trained one epoch only."""
        if self.lowest_vector is None:
            return None
        epoch, history = self.lowest_epoch, self.state.history.items()
        values = {name: curve[epoch - 1] for name, curve in history if len(curve) >= epoch}
        return Best(epoch, values, read_only(self.lowest_vector))

    def drop(self) -> None:
        """Forget the snapshot: the epoch is complete."""
        self.snapshot = self.current = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or self.snapshot is None:
            return
        state, history = self.state, self.state.history
        state.restore(self.snapshot)
        state.best, state.history = self.best, {name: history[name][:n] for name, n in self.lengths.items()}
        if self.current is not None:
            state.parameters = state.parameters.with_vector(self.current)
            state.optimizer_state, state.average = None, None


def comparable_best(state: TrainingState, validate: Validate | None) -> Best | None:
    """Return the best epoch of earlier calls, validated by this call's data, so that new epochs compare with it."""
    best = state.best
    if best is None:
        return None
    if validate is not None:
        of_training = {name: value for name, value in best.values.items() if not name.startswith("validation")}
        return replace(best, values=of_training | validate(state.kept_parameters()))
    return None if "validation_cost" in best.values else best


def end_epoch(state: TrainingState, validate: Validate | None, keep_best_by: Monitor | None) -> str:
    """Validate an epoch, keep it if it is the best, and return what stops training. Sets: state.history, state.best."""
    if not state.is_finite:
        return "divergence"
    if validate is not None:
        state.add_to_epoch(validate(state.current))
    if keep_best_by is not None:
        state.keep_if_best(keep_best_by)
    return "convergence" if (state.optimizer_state or {}).get("converged") else ""


class Failure(NamedTuple):
    """What went wrong in a training."""

    message: str
    best: Best | None  # the epoch to return to
    is_useless: bool  # whether there is none, and the parameters are not worth keeping


def find_failure(
    state: TrainingState,
    best: Best | None,
    probe: Examples,
    uninformed: float,  # the cost of a prediction that knows nothing
    network: Network,
    recipe: Recipe,
    *,
    finished: bool,
) -> Failure | None:
    """Return what went wrong, with what to try, if training has diverged or ends with a very high cost."""
    # A training has diverged if it became worse than its start and than predicting a constant, or if it blew
    # up and left a constant network. The best epoch is returned to if it is better than predicting a
    # constant; one that validation has chosen, also if it is better than the start. A very high cost that has fallen
    # since the start is of a training that has only begun.
    first = state.call.first_epoch
    cost = mean_cost(probe, state.parameters, network) if state.is_finite else math.nan
    start, costs = state.call.start_cost, state.history["cost"][first:]
    level, blow_up = max(start, uninformed), network.loss_function.blow_up

    def has_diverged(cost: float, costs: list[float]) -> bool:
        # units that died in an explosion leave a constant network, which costs the baseline loss
        blown_up = max([start, *costs]) > blow_up * level and cost > 0.95 * baseline_loss(probe, network)
        return not cost <= 1.25 * level or blown_up

    diverged = has_diverged(cost, costs)
    if not diverged and (cost <= FAR_WORSE * uninformed or not finished):
        return None
    if not math.isfinite(cost):
        problem = f"Training diverged: in epoch {state.epoch} the cost or the parameters were no longer finite."
    else:
        verdict = "Training diverged" if diverged else "Training ended with a very high cost"
        course = f"the cost began at {start:.3g}, reached {max([start, *costs, cost]):.3g} and ended at {cost:.3g}"
        problem = f"{verdict}: {course}; {network.loss_function.about_uninformed} cost {uninformed:.3g}."
    if diverged and best is not None:
        best_cost = mean_cost(probe, state.parameters.with_vector(best.vector.copy()), network)
        baseline = baseline_loss(probe, network)
        is_better = best_cost < (baseline if state.best is None else max(start, baseline))
        if is_better and not has_diverged(best_cost, costs[: max(best.epoch - first, 0)]):
            message = f"{problem} The weights of epoch {best.epoch} are kept. {remedies(probe, recipe)}"
            return Failure(message, best, is_useless=False)
    # one costly part of a stream is no error, as long as the cost has not exploded
    is_useless = diverged and (finished or not cost <= blow_up * level)
    return Failure(f"{problem} {remedies(probe, recipe)}", None, is_useless)


def remedies(probe: Examples, recipe: Recipe) -> str:
    """Return what to try against a cost that is too high."""
    advice = []
    if has_large_inputs(probe):
        advice.append("inputs scaled to unit variance (scale_inputs='standard', or StandardScaler)")
    if callable(recipe.schedule):
        advice.append("a learning_rate_schedule with lower rates")
    elif not recipe.optimizer.full_batch:
        advice.append(f"a lower learning_rate (it was {recipe.learning_rate:g})")
    advice.append("stronger weight_decay" if recipe.optimizer.full_batch else "max_grad_norm=1.0")
    return f"Try {' or '.join(', '.join(advice).rsplit(', ', 1))}."


def has_large_inputs(probe: Examples) -> bool:
    """Say whether the network gets inputs far larger than inputs of unit variance."""
    if probe.scaling is not None:
        return False
    # the examples of all members of an ensemble together
    columns = slice(None) if probe.columns is None else probe.columns.ravel()
    A0 = take_columns(probe.X, columns, np.float64)
    return bool(np.sqrt(np.mean(np.square(A0.data if issparse(A0) else A0))) > LARGE_INPUTS)


def end_training(state: TrainingState, failure: Failure | None) -> list[Finding]:
    """Return to the best epoch after a divergence; raise if nothing is worth keeping. See `train`."""
    if failure is None:
        return []
    if failure.is_useless:
        raise ValueError(failure.message)
    if failure.best is not None:
        state.best = failure.best
        state.parameters, state.optimizer_state, state.average = state.kept_parameters(), None, None
    return [Finding(failure.message, is_warning=True)]


def warn_of(findings: list[Finding]) -> list[Finding]:
    """Issue the warnings among findings, and return all."""
    for finding in findings:
        if finding.is_warning:
            warn_user(finding.text, ConvergenceWarning)
    return findings
