"""`Keeper`: what a call of `fit` or `partial_fit` leaves on its estimator.

Conventions: rows are samples in the fitted attributes, columns are examples in `Table` and `Start`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..inspection.diagnosis import diagnose
from ..inspection.gradients import column_importances, feature_importances
from ..network.model import fold_batch_norm
from ..network.parameters import is_weight
from ..network.scaling import fold_scaling
from ..saving import fitted_curves
from ..training.run import Finding
from ..training.state import Monitor, TrainingState
from ..typing import Array, Arrays
from .defaults import Plan
from .resuming import Earlier
from .scaling import input_moments
from .settings import OPTIONAL_ATTRIBUTES, with_attributes
from .starting import Start, Table

# most samples that `feature_importances_` is computed on, after `fit` and after `partial_fit`: with one network for the
# digits, 1000 samples take 0.2 % of the time of a fit, but 21 % of that of a part with 1000 samples
N_SAMPLED, N_SAMPLED_OF_PART = 1000, 100
SAMPLED_ELEMENTS = 2**23  # most numbers in these samples
SAMPLED_PRODUCTS = 2**31  # most products of these samples with weights: on two cores they take about 50 ms


@dataclass(frozen=True)
class Keeper:
    """The fitted attributes that a call of `fit` or `partial_fit` leaves on its estimator."""

    estimator: Any
    table: Table
    plan: Plan
    start: Start
    monitor: Monitor = "auto"  # what compares epochs
    data_hash: str = ""  # for checkpoints
    n_sampled: int = N_SAMPLED_OF_PART  # most samples that `feature_importances_` is computed on

    def __call__(self, findings: list[Finding], *, continues: bool) -> None:
        """Set the fitted attributes of the estimator, in one step."""
        fitted = self.all_attributes([finding.text for finding in findings], continues=continues)
        # the present attributes are read last, and copied at once: other threads may set parameters meanwhile
        kept = {name: v for name, v in vars(self.estimator).copy().items() if name not in OPTIONAL_ATTRIBUTES}
        self.estimator.__dict__ = kept | fitted

    @contextmanager
    def after_interrupt(self, earlier: Earlier | None) -> Iterator[None]:
        """Keep the last whole epoch after Ctrl-C, if there is one."""
        # a checkpoint that is resumed has epochs to keep, even if this call adds none
        first_epoch = 0 if earlier is not None and earlier.resumes else self.start.state.epoch
        try:
            yield
        except KeyboardInterrupt:
            if self.start.state.epoch > first_epoch:
                self([Finding(text) for text in self.start.findings], continues=self.estimator.warm_start)
            raise

    def attributes(self, report: list[str], *, continues: bool, data_hash: str = "") -> dict[str, Any]:
        """Return the fitted attributes, if training stops now; with what only a later call needs, or without."""
        state, network, preparation = self.start.state, self.plan.network, self.start.preparation
        best_iter, best = (state.best.epoch, state.best.values) if state.best else state.best_recorded(self.monitor)
        saved = state.to_dict(continues=continues)
        kept, targets, validation = state.kept_parameters(), self.table.targets, self.start.validation
        if validation is not None and self.plan.stops_by_validation:
            targets = targets.calibrated(validation, kept, network)
        parameters = fold_scaling(kept, preparation.scaling)
        return {
            **self.table.header,
            **targets.fitted_attributes(),
            "network_": network.to_dict(),
            "n_layers_": network.n_layers + 1,
            "n_outputs_": network.layer_dims[-1],
            "out_activation_": network.loss_function.link.name,
            "parameters_": dict(parameters),
            **self._encoding(),
            "n_iter_": state.epoch,
            "loss_": saved["history"]["cost"][-1],
            "best_iter_": best_iter,
            "best_loss_": best.get("validation_cost", best["cost"]),
            **fitted_curves(saved["history"]),
            "report_": report,
            "training_state_": {**saved, "preparation": {**preparation.to_dict(), "data_hash": data_hash}},
        }

    def attributes_of_columns(self) -> dict[str, Any]:
        """Return the fitted attributes that tell the columns of X as training has them: numbers, and codes."""
        return {"n_features_in_": self.table.header["n_features_in_"], **self._encoding()}

    def _encoding(self) -> dict[str, Any]:
        """Return the fitted attribute `encoding_`, if inputs are encoded."""
        return {} if self.plan.encoding is None else {"encoding_": self.plan.encoding.to_dict()}

    def all_attributes(self, report: list[str], *, continues: bool, data_hash: str = "") -> dict[str, Any]:
        """Return the fitted attributes with `feature_importances_`, which take longer than all others."""
        fitted = self.attributes(report, continues=continues, data_hash=data_hash)
        return {**fitted, "feature_importances_": self.feature_importances(fitted["parameters_"])}

    def feature_importances(self, parameters: Arrays) -> Array:
        """Return the importances (n_0,) of the features to the network with some parameters, for unscaled inputs."""
        examples, network = self.table.examples, replace(self.plan.network, batch_norm=False)
        labels = np.eye(network.layer_dims[-1], dtype=self.plan.dtype)[..., np.newaxis]
        outputs = [*labels] if self.table.targets.has_separate_outputs else [None]
        n_weights = sum(W.size for name, W in parameters.items() if is_weight(name))
        n_by_products = max(SAMPLED_PRODUCTS // n_weights, N_SAMPLED_OF_PART)
        n_most = min(self.n_sampled, SAMPLED_ELEMENTS // network.layer_dims[0], n_by_products) // len(outputs)
        sample = examples.spread_sample(max(n_most, 1))
        if self.plan.encoding is not None:
            return column_importances(sample, self.plan.encoding, fold_batch_norm(parameters), network, outputs)
        moments = self.start.preparation.moments or input_moments(sample)
        return feature_importances(sample, moments.deviation()[:, 0], fold_batch_norm(parameters), network, outputs)

    def diagnosis(self, findings: list[Finding], *, n_epochs: int | None) -> list[Finding]:
        """Return all that went wrong, from what `train` has found; see `diagnose`."""
        start, plan = self.start, self.plan
        others = diagnose(
            start.state,
            start.training,
            start.validation,
            plan.network,
            plan.recipe,
            n_epochs=n_epochs,
            is_scaled=start.preparation.scaling is not None,
            of_inputs=start.findings,
            has_failed=bool(findings),
        )
        return [*findings, *others]

    def snapshot(self, state: TrainingState | None = None) -> Any:
        """Return the estimator as `fit` would leave it if training stopped now, or a predictor in another state."""
        if state is None:
            fitted = self.all_attributes(self.start.findings, continues=True, data_hash=self.data_hash)
        else:
            keeper = replace(self, start=self.start._replace(state=state))
            fitted = keeper.attributes(self.start.findings, continues=False)
        return with_attributes(self.estimator, fitted)

    def copied_attributes(self) -> dict[str, Any]:
        """Return copies of the fitted attributes, if training stops now. None marks those that this fit removes."""
        fitted = self.all_attributes(self.start.findings, continues=False)
        lost = dict.fromkeys(name for name in OPTIONAL_ATTRIBUTES if name in vars(self.estimator))
        return copy.deepcopy(lost | fitted)
