"""Displays of a trained network, in scikit-learn's manner: `TrainingCurveDisplay` and `NetworkDisplay`.

Conventions: rows are samples. matplotlib is imported only where something is drawn. Its global settings do not change;
colors follow the style in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .checks import check_choice, check_flag, reject
from .estimators.base import BaseDeepNN
from .inspection.diagnosis import flat_units
from .network.activations import activation_name, find_activation
from .network.architecture import Network
from .typing import Array, Auto, MatrixLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
else:  # so that typing.get_type_hints works without importing matplotlib
    Axes = Line2D = Any

FEW_EPOCHS = 30  # curves with at most so many epochs have markers
WIDE_RANGE = 20.0  # highest over lowest learning rate from which on their axis is logarithmic
MIN_BINS, MAX_BINS = 8, 80
LEFT_OUT = 0.001  # fraction of a layer's activations at either end that do not determine the axis


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingCurveDisplay:
    """Costs of each epoch, the best epoch and, if available, the validation score and the learning rate.

    Parameters
    ----------
    loss_curve : sequence of float
        Training cost of every epoch.
    validation_loss_curve, validation_scores : sequence of float, optional
        nan, or missing at the end, for epochs without validation.
    best_iter : int, optional
        The best epoch, counted from 1.
    learning_rate_curve : sequence of float, optional
    score_name : str, default="score"
    loss_name : str, default="cross-entropy"
        Label of the axis with the costs.
    name : str, optional
        Name of the network in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the costs.
    score_ax_, learning_rate_ax_ : matplotlib Axes or None
        Axes with the validation score, below `ax_`; with the learning rate, over `ax_` with a scale on the right.
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        "training" and, if drawn, "validation", "score", "learning_rate", "best".

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.plotting import TrainingCurveDisplay
    >>> model = DeepNNClassifier(max_iter=20, random_state=0).fit(*load_wine(return_X_y=True))
    >>> display = TrainingCurveDisplay.from_estimator(model)
    >>> sorted(display.lines_)
    ['best', 'training', 'validation']
    """

    loss_curve: Sequence[float]
    validation_loss_curve: Sequence[float] | None = None
    validation_scores: Sequence[float] | None = None
    best_iter: int | None = None
    learning_rate_curve: Sequence[float] | None = None
    score_name: str = "score"
    loss_name: str = "cross-entropy"
    name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        ax: Axes | None = None,
        show_learning_rate: bool | Auto = "auto",
        show_score: bool = True,
        log_scale: bool = False,
        name: str | None = None,
    ) -> Self:
        """Draw the training of a fitted network.

        Parameters
        ----------
        estimator : DeepNNClassifier or DeepNNRegressor, or a Pipeline or search that ends in one
        ax, show_learning_rate, show_score, log_scale
            As in `plot`.
        name : str, optional
            Name of the network in the legend, for several networks in one `ax`.

        Returns
        -------
        TrainingCurveDisplay
        """
        network, _ = find_network(estimator)
        scoring = network.scoring if isinstance(network.scoring, str) else "score"
        display = cls(
            loss_curve=network.loss_curve_,
            validation_loss_curve=getattr(network, "validation_loss_curve_", None),
            validation_scores=None if scoring == "loss" else getattr(network, "validation_scores_", None),
            best_iter=network.best_iter_,
            learning_rate_curve=network.learning_rate_curve_,
            score_name=scoring.replace("_", " "),
            loss_name=Network.restore(network.network_).loss_function.label,
            name=name,
        )
        return display.plot(ax, show_learning_rate=show_learning_rate, show_score=show_score, log_scale=log_scale)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        show_learning_rate: bool | Auto = "auto",
        show_score: bool = True,
        log_scale: bool = False,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes for the costs, best in a figure with ``layout="constrained"``; None creates them. The score takes the
            lower part of their area.
        show_learning_rate : bool or "auto", default="auto"
            "auto" draws the learning rate if it varies.
        show_score : bool, default=True
            Whether to draw the validation score, if `scoring` is not "loss".
        log_scale : bool, default=False
            Whether the axis of the costs is logarithmic.

        Returns
        -------
        self : TrainingCurveDisplay
        """
        plt = load_pyplot(type(self).__name__)
        draws_rate = self._draws_rate(show_learning_rate)
        draws_score = check_flag("show_score", show_score) and has_values(self.validation_scores)
        check_flag("log_scale", log_scale)
        ax = self.ax_ = plt.subplots(layout="constrained")[1] if ax is None else ax
        self.figure_ = ax.figure
        self.lines_: dict[str, Line2D] = {}
        panels = vars(ax).setdefault("_deepnn_panels", {})  # what all displays in `ax` have added to it
        self._plot_costs(log_scale)
        self.score_ax_ = self._plot_score(panels) if draws_score else None
        self.learning_rate_ax_ = self._plot_learning_rate(panels) if draws_rate else None
        ax.set_xlim(0.5, max(max(line.get_xdata()) for line in ax.lines) + 0.5)
        ax.locator_params("x", integer=True, min_n_ticks=1)
        panels.get("score", ax).set_xlabel("epoch")
        add_legend(ax, panels)
        return self

    def _draws_rate(self, show: bool | Auto) -> bool:
        if not isinstance(show, (bool, np.bool_)):
            check_choice("show_learning_rate", show, ["auto"], otherwise=", True or False")
        rates: Any = self.learning_rate_curve
        return bool(show) and has_values(rates) and (show != "auto" or np.ptp(rates) > 1e-6 * np.max(rates))

    def _plot_costs(self, log_scale: bool) -> None:
        ax, best, curve = self.ax_, self.best_iter, self.loss_curve
        self.lines_["training"] = plot_curve(ax, curve, label=self._label("training"), linestyle="--")
        if has_values(self.validation_loss_curve):
            self.lines_["validation"] = plot_curve(ax, self.validation_loss_curve, label=self._label("validation"))
        ax.set_ylabel(self.loss_name)
        if log_scale:
            scale_log(ax)
        if best is not None:
            curve = self.validation_loss_curve if has_values(self.validation_loss_curve, best) else curve
            self.lines_["best"] = mark_epoch(ax, best, curve, self._color(), self._label(f"best epoch: {best}"))

    def _plot_score(self, panels: dict[str, Axes]) -> Axes:
        if "score" not in panels:
            panels["score"] = split_axes(self.ax_, 2, 1, share="sharex", height_ratios=(0.62, 0.38))
            self.ax_.tick_params(labelbottom=False)
            self.ax_.set_xlabel("")
        ax, color = panels["score"], self.lines_.get("validation", self.lines_["training"]).get_color()
        self.lines_["score"] = plot_curve(ax, self.validation_scores, color=color)
        ax.set_ylabel(self.score_name.replace(" ", "\n"))
        if self.best_iter is not None and has_values(self.validation_scores, self.best_iter):
            mark_epoch(ax, self.best_iter, self.validation_scores, self._color())
        return ax

    def _plot_learning_rate(self, panels: dict[str, Axes]) -> Axes:
        if "learning rate" not in panels:
            panels["learning rate"] = self.ax_.twinx()
        ax, rates = panels["learning rate"], np.asarray(self.learning_rate_curve, float)
        style = {"color": self._color(), "alpha": 0.6, "linestyle": ":", "drawstyle": "steps-mid"}
        marker = "." if len(rates) == 1 else None
        self.lines_["learning_rate"] = plot_curve(ax, rates, label=self._label("learning rate"), marker=marker, **style)
        ax.set_ylabel("learning rate")
        if rates.max() > WIDE_RANGE * rates[rates > 0].min(initial=np.inf):
            scale_log(ax)
        return ax

    def _color(self) -> Any:
        """Return the color of the best epoch and the learning rate: that of text, or one for each named network."""
        return self.ax_.xaxis.label.get_color() if self.name is None else self.lines_["training"].get_color()

    def _label(self, text: str) -> str:
        return text if self.name is None else f"{self.name}: {text}"


class LayerValues(NamedTuple):
    """The values of one layer that `NetworkDisplay` draws, of all members of an ensemble together."""

    number: int
    n_units: int
    activation: str
    weights: Array
    activations: Array | None = None  # None for the output layer
    dead: float | None = None  # fraction of the units; None if the activation has two bounds, or no flat end
    saturated: float | None = None  # fraction of the units; None if the activation has not two bounds


@dataclass(kw_only=True, eq=False, repr=False)
class NetworkDisplay:
    """Histograms of the weights and the activations of each layer, from the first layer down to the output.

    Next to the activations stands the percentage of units that are dead (at the lower end of their activation, such as
    0 of relu, for all samples) or saturated (within 1 % of a bound of tanh or sigmoid for 95 % of the samples). Heights
    are square roots of frequencies, so that small bars remain visible next to a peak. Create it with `from_estimator`.

    Parameters
    ----------
    layers : list of LayerValues
    n_features : int
        Columns of X.
    ensemble_size : int, default=1

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Axes with the weights and, if there is a hidden layer, axes with the activations.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.plotting import NetworkDisplay
    >>> X, y = load_wine(return_X_y=True)
    >>> model = DeepNNClassifier((16, 8), activation="tanh", max_iter=20, random_state=0).fit(X, y)
    >>> display = NetworkDisplay.from_estimator(model, X)
    >>> [layer.n_units for layer in display.layers]
    [16, 8, 3]
    """

    layers: list[LayerValues]
    n_features: int
    ensemble_size: int = 1

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: MatrixLike,
        *,
        layers: int | Sequence[int] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the weights of a fitted network, and its activations for samples.

        The weights of the first layer apply to scaled inputs, if the network scales them, or to encoded inputs, if it
        encodes the columns of X. Batch normalization is folded into the weights.

        Parameters
        ----------
        estimator : DeepNNClassifier or DeepNNRegressor, or a Pipeline or search that ends in one
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Input of the estimator; the steps of a Pipeline before the network are applied. A few thousand samples are
            enough.
        layers : int or sequence of int, default=None
            Layers to draw, from 1 to the output layer; None draws all.
        ax : matplotlib Axes, default=None
            As in `plot`.

        Returns
        -------
        NetworkDisplay
        """
        network, steps = find_network(estimator)
        n_layers = len(network.network_["layer_dims"]) - 1
        numbers = np.unique(range(1, n_layers + 1) if layers is None else layers)
        if numbers.dtype.kind not in "iu" or numbers[0] < 1 or numbers[-1] > n_layers:
            reject("layers", f"integers from 1 to {n_layers}", layers)
        for step in steps:
            X = step.transform(X)
        display = cls(
            layers=[layer_values(network, X, l) for l in numbers.tolist()],
            n_features=network.n_features_in_,
            ensemble_size=network.network_["ensemble_size"],
        )
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the layers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes for the weights, best in a figure with ``layout="constrained"``; None creates them. The activations
            take the right half of their area.

        Returns
        -------
        self : NetworkDisplay
        """
        plt = load_pyplot(type(self).__name__)
        if ax is None:
            width, height = plt.rcParams["figure.figsize"]
            ax = plt.subplots(figsize=(width, max(height, 0.35 * len(self.layers) + 1)), layout="constrained")[1]
        self.axes_, self.figure_ = np.array([ax]), ax.figure
        networks = f"{self.ensemble_size} networks, " if self.ensemble_size > 1 else ""
        ax.set_title(f"{networks}{self.n_features} inputs", loc="left", fontsize="medium")
        plot_rows(ax, [layer.weights for layer in self.layers])
        ax.set(xlabel="weight", ylabel="layer: units, activation")
        ax.set_yticks(range(len(self.layers)), [f"{l.number}: {l.n_units} {l.activation}" for l in self.layers])
        if any(layer.activations is not None for layer in self.layers):
            self._plot_activations(split_axes(ax, 1, 2, share="sharey", wspace=0.1))
        return self

    def _plot_activations(self, ax: Axes) -> None:
        self.axes_ = np.append(self.axes_, ax)
        plot_rows(ax, [layer.activations for layer in self.layers], left_out=LEFT_OUT)
        ax.set_xlabel("activation")
        ax.tick_params(left=False, labelleft=False)
        for row, layer in enumerate(self.layers):
            fraction, state = (layer.saturated, "saturated") if layer.dead is None else (layer.dead, "dead")
            if fraction is not None:
                text = f"<1% {state}" if 0 < fraction < 0.01 else f"{fraction:.0%} {state}"
                ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize="small")


def load_pyplot(display: str) -> Any:
    """Return matplotlib.pyplot, or raise an ImportError that says how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f"{display} needs matplotlib: pip install 'sklearn-deepnn[plot]'") from error
    return plt


def find_network(estimator: Any) -> tuple[BaseDeepNN, list[Any]]:
    """Return the fitted network in an estimator, a Pipeline or a search, and the Pipelines of the steps before it."""
    if isinstance(estimator, BaseDeepNN):
        check_is_fitted(estimator)
        return estimator, []
    if hasattr(estimator, "refit"):  # a search
        check_is_fitted(estimator, "cv_results_")
        if not estimator.refit:
            reject("estimator", "a search with refit=True", estimator)
        return find_network(estimator.best_estimator_)
    if not hasattr(estimator, "steps"):
        reject("estimator", "an estimator of sklearn_deepnn, or a Pipeline or search that ends in one", estimator)
    network, steps = find_network(estimator[-1])
    return network, [estimator[:-1], *steps] if len(estimator) > 1 else steps


def layer_values(network: BaseDeepNN, X: MatrixLike, l: int) -> LayerValues:
    """Return the `LayerValues` of layer l of a fitted network for samples X."""
    fields, W = network.network_, network.coefs_[l - 1]
    if l == 1 and hasattr(network, "input_scale_") and not hasattr(network, "encoding_"):
        scale = network.input_scale_
        W = W * np.where(np.isfinite(scale), scale, 0)[..., np.newaxis]
    n_units = fields["layer_dims"][l]
    if l == len(fields["layer_dims"]) - 1:
        return LayerValues(l, n_units, network.out_activation_, W)
    activation, A = fields["activation"][l - 1], network.hidden_activations(X, l)
    n_flat_ends, flat = len(find_activation(activation).flat_at), float(flat_units(A.mT, activation).mean())
    dead, saturated = (flat if n_flat_ends == n else None for n in (1, 2))
    return LayerValues(l, n_units, activation_name(activation), W, A, dead, saturated)


def has_values(curve: Any, epoch: int | None = None) -> bool:
    """Return whether a curve has a finite number, in any epoch or in the given one."""
    values = [] if curve is None else curve if epoch is None else curve[epoch - 1 : epoch]
    return bool(np.isfinite(values).any())


def plot_curve(ax: Axes, curve: Any, **style: Any) -> Line2D:
    """Draw a curve over epochs counted from 1, with markers if it is short or has gaps; return the line."""
    marker = "." if len(curve) <= FEW_EPOCHS or np.isnan(curve).any() else None
    return ax.plot(np.arange(1, len(curve) + 1), curve, **{"marker": marker, **style})[0]


def mark_epoch(ax: Axes, epoch: int, curve: Any, color: Any, label: str | None = None) -> Line2D:
    """Draw a vertical line at an epoch and a point on the curve; return the point."""
    ax.axvline(epoch, color=color, linewidth=0.8, alpha=0.5, zorder=1)
    style = {"marker": "o", "linestyle": "", "color": color, "zorder": 3, "clip_on": False}
    return ax.plot([epoch], [curve[epoch - 1]], label=label, **style)[0]


def scale_log(ax: Axes) -> None:
    """Make the y axis logarithmic, with labels at 1 and 3 times powers of ten."""
    ax.set_yscale("log")
    ax.locator_params("y", subs=(1, 3))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")


def split_axes(ax: Axes, n_rows: int, n_columns: int, *, share: Literal["sharex", "sharey"], **settings: Any) -> Axes:
    """Return new axes below or beside `ax` that take a part of its area. The settings are those of `subgridspec`."""
    if ax.get_subplotspec() is None:
        left, bottom, right, top = ax.get_position().extents
        ax.set_subplotspec(ax.figure.add_gridspec(left=left, right=right, bottom=bottom, top=top)[0])
    area = ax.get_subplotspec()
    grid = area.subgridspec(n_rows, n_columns, **settings)
    for other in ax.figure.axes:
        if other.get_subplotspec() == area:  # `ax`, and the axes of the learning rate
            other.set_subplotspec(grid[0])
    return ax.figure.add_subplot(grid[1], **{share: ax})


def add_legend(ax: Axes, panels: dict[str, Axes]) -> None:
    """Put a legend of costs and learning rates above `ax`, below its title."""
    handles = [handle for one in (ax, *panels.values()) for handle in one.get_legend_handles_labels()[0]]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize="small", frameon=False)
    if not ax.child_axes:  # matplotlib draws a title above child axes, but not above a legend
        spacer = ax.inset_axes((0, 1, 1, 0.1))
        spacer.axis("off")
        spacer.set_axes_locator(partial(legend_area, ax))


def legend_area(ax: Axes, _: object, renderer: Any) -> Any:
    """Return the area of the legend of `ax`, or of `ax` if the legend was removed."""
    legend = ax.get_legend()
    if legend is None:
        return ax.get_position()
    return legend.get_window_extent(renderer).transformed(ax.figure.transSubfigure.inverted())


def plot_rows(ax: Axes, rows: Sequence[Array | None], left_out: float = 0.0) -> None:
    """Draw histograms below each other, None as a gap; a fraction at either end does not determine the x axis."""
    drawn = {row: values.ravel() for row, values in enumerate(rows) if values is not None}
    ends = [np.quantile(values, (left_out, 1 - left_out)) for values in drawn.values()]
    n_bins = np.clip(np.sqrt(np.median([values.size for values in drawn.values()])), MIN_BINS, MAX_BINS)
    edges = np.histogram_bin_edges(ends, int(n_bins))
    ax.axvline(0, color=ax.xaxis.label.get_color(), linewidth=0.8, alpha=0.5, zorder=0)
    for row, values in drawn.items():
        heights = np.sqrt(np.histogram(values, edges)[0])
        base = row + 0.42  # rows are 1 apart
        ax.stairs(base - 0.85 * heights / heights.max(), edges, baseline=base, fill=True, color="C0")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.locator_params(axis="x", nbins=3)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.tick_params(labelsize="small")
