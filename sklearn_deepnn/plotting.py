"""Displays of a trained network, as scikit-learn has them: `TrainingCurveDisplay` and `NetworkDisplay`.

Conventions: rows are samples here, as in the estimator. matplotlib is imported where something is drawn, and nothing of
its global settings is changed; colours and text follow the style in use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .checks import check_choice, check_flag, reject
from .inspection.diagnosis import BOUNDS, dead_units, saturated_units
from .typing import Array, Auto, MatrixLike, Maybe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from sklearn.base import BaseEstimator

    from .estimators.classifier import DeepNNClassifier

FEW_EPOCHS = 30  # at most so many are drawn as points too
WIDE_RANGE = 20.0  # highest over lowest learning rate, from which on its axis is logarithmic
N_BINS = 80
LEFT_OUT = 0.001  # of the activations of a layer, at either end: a few can be far from all others
ROW_HEIGHT = 0.85  # of the distance between two layers
SCORE_PANEL, RATE_PANEL, LEGEND_ROOM = "validation score", "learning rate", "room for the legend"


class TrainingCurveDisplay:
    """Costs by epoch, the best epoch, and where there are such the validation score and the learning rate.

    Make it with `from_estimator`.

    Parameters
    ----------
    loss_curve : sequence of float
        Training cost of every epoch.
    validation_loss_curve, validation_scores : sequence of float, optional
        nan, or nothing at the end, for epochs that were not validated.
    best_iter : int, optional
        The best epoch, counted from 1.
    learning_rate_curve : sequence of float, optional
    score_name : str, default="score"
    name : str, optional
        What the legend calls the network.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the costs.
    score_ax_, learning_rate_ax_ : matplotlib Axes or None
        With the validation score, below; with the learning rate, over `ax_`, scale on the right.
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

    ax_: Axes
    score_ax_: Axes | None
    learning_rate_ax_: Axes | None
    figure_: Figure
    lines_: dict[str, Line2D]

    def __init__(
        self,
        *,
        loss_curve: Sequence[float],
        validation_loss_curve: Maybe[Sequence[float]] = None,
        validation_scores: Maybe[Sequence[float]] = None,
        best_iter: int | None = None,
        learning_rate_curve: Maybe[Sequence[float]] = None,
        score_name: str = "score",
        name: str | None = None,
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.validation_scores = validation_scores
        self.best_iter = best_iter
        self.learning_rate_curve = learning_rate_curve
        self.score_name = score_name
        self.name = name

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
        estimator : DeepNNClassifier, or a Pipeline or search that ends in one
        ax, show_learning_rate, show_score, log_scale
            As in `plot`.
        name : str, optional
            What the legend calls the network, where several are drawn into one `ax`.

        Returns
        -------
        TrainingCurveDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        InvalidParameterError
            If there is no network in the estimator.
        NotFittedError
        """
        load_pyplot(f"{cls.__name__}.from_estimator")
        network, _ = find_network(estimator)
        display = cls(
            loss_curve=network.loss_curve_,
            validation_loss_curve=getattr(network, "validation_loss_curve_", None),
            validation_scores=None if is_loss(network.scoring) else getattr(network, "validation_scores_", None),
            best_iter=network.best_iter_,
            learning_rate_curve=network.learning_rate_curve_,
            score_name=score_name(network.scoring),
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
            Axes to draw the costs into, best of a figure with ``layout="constrained"``; None makes one. A panel for the
            score takes the lower part of its place.
        show_learning_rate : bool or "auto", default="auto"
            "auto" shows it if it varies, on a logarithmic scale if the highest is more than 20 times the lowest.
        show_score : bool, default=True
            Whether to draw the validation score, if epochs were judged by another than the cost.
        log_scale : bool, default=False
            Whether the scale of costs is logarithmic.

        Returns
        -------
        self : TrainingCurveDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        InvalidParameterError
        """
        plt = load_pyplot(f"{type(self).__name__}.plot")
        show_rate = self._shows_rate(show_learning_rate)
        check_flag("show_score", show_score)
        check_flag("log_scale", log_scale)
        self.ax_ = plt.subplots(layout="constrained")[1] if ax is None else ax
        self.figure_, self.lines_ = self.ax_.figure, {}
        self.score_ax_ = self.learning_rate_ax_ = None
        self._plot_costs(log_scale)
        if show_score and has_values(self.validation_scores):
            self._plot_score()
        if show_rate:
            self._plot_learning_rate()
        number_epochs(self.ax_, labelled=self.score_ax_ is None)
        put_legend_above(self.ax_)
        return self

    def _shows_rate(self, wanted: bool | Auto) -> bool:
        if not isinstance(wanted, (bool, np.bool_)):
            check_choice("show_learning_rate", wanted, ["auto"], otherwise=", True or False")
            return has_values(self.learning_rate_curve) and not np.allclose(
                self.learning_rate_curve, self.learning_rate_curve[0], rtol=1e-6, atol=0
            )
        return bool(wanted) and has_values(self.learning_rate_curve)

    def _plot_costs(self, log_scale: bool) -> None:
        ax = self.ax_
        self.lines_["training"] = plot_curve(ax, self.loss_curve, label=self._label("training"), linestyle="--")
        if has_values(self.validation_loss_curve):
            label = self._label("validation")
            self.lines_["validation"] = plot_curve(ax, self.validation_loss_curve, label=label)
        ax.set_ylabel("cross-entropy")
        if log_scale:
            scale_log(ax)
        if self.best_iter is not None:
            curve = self.validation_loss_curve if self._is_validated(self.best_iter) else self.loss_curve
            label = self._label(f"best epoch: {self.best_iter}")
            self.lines_["best"] = mark_epoch(ax, self.best_iter, curve, self._color(), label=label)

    def _plot_score(self) -> None:
        ax = self.score_ax_ = panel(self.ax_, SCORE_PANEL, partial(split_axes, side="bottom", share=0.38))
        validation = self.lines_.get("validation", self.lines_["training"])
        self.lines_["score"] = plot_curve(ax, self.validation_scores, color=validation.get_color())
        ax.set_ylabel(self.score_name.replace(" ", "\n"))
        number_epochs(ax)
        if self.best_iter is not None and self._is_validated(self.best_iter):
            mark_epoch(ax, self.best_iter, self.validation_scores, self._color())

    def _plot_learning_rate(self) -> None:
        ax = self.learning_rate_ax_ = panel(self.ax_, RATE_PANEL, twin_behind)
        rates, label = np.asarray(self.learning_rate_curve, float), self._label("learning rate")
        style = {"color": self._color(), "alpha": 0.6, "linestyle": ":", "marker": None if len(rates) > 1 else "."}
        style["drawstyle"] = "steps-mid"  # a rate holds for an epoch
        self.lines_["learning_rate"] = plot_curve(ax, rates, label=label, **style)
        ax.set_ylabel("learning rate")
        positive = rates[rates > 0]
        if len(positive) and positive.max() > WIDE_RANGE * positive.min():
            scale_log(ax)

    def _is_validated(self, epoch: int) -> bool:
        curve = self.validation_loss_curve
        return has_values(curve) and epoch <= len(curve) and np.isfinite(curve[epoch - 1])

    def _color(self) -> Any:
        """Return the colour of what is no cost: that of text, or where networks have names, one for each."""
        return text_color(self.ax_) if self.name is None else self.lines_["training"].get_color()

    def _label(self, text: str) -> str:
        return text if self.name is None else f"{self.name}: {text}"


class LayerValues(NamedTuple):
    """What `NetworkDisplay` shows of one layer; the members of an ensemble are pooled.

    Parameters
    ----------
    number, n_units : int
    activation : str
    weights : ndarray
    activations : ndarray or None
        None for the output layer.
    dead, saturated : float or None
        Shares of units; None where the activation has no such units.
    """

    number: int
    n_units: int
    activation: str
    weights: Array
    activations: Array | None = None
    dead: float | None = None
    saturated: float | None = None


class NetworkDisplay:
    """Layers of a network from top to bottom: how their weights and their activations are distributed.

    Beside the activations stands which share of the units is dead (ReLU units that are 0 for all samples) or saturated
    (tanh or sigmoid units within 1 % of a bound for 95 % of samples). Heights are square roots of frequencies, so that
    what is rare beside a peak can be seen. The lowest and the highest thousandth of a layer's activations are left out.
    Make it with `from_estimator`.

    Parameters
    ----------
    layers : list of LayerValues
    n_features : int
    ensemble_size : int, default=1

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Weights, and activations if there is a hidden layer.
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

    axes_: Array
    figure_: Figure

    def __init__(self, *, layers: list[LayerValues], n_features: int, ensemble_size: int = 1) -> None:
        self.layers = layers
        self.n_features = n_features
        self.ensemble_size = ensemble_size

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: MatrixLike,
        *,
        layers: int | Sequence[int] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the weights of a fitted network and its activations over samples.

        Weights of the first layer are for scaled inputs, if the network scales them; batch normalisation is folded in.

        Parameters
        ----------
        estimator : DeepNNClassifier, or a Pipeline or search that ends in one
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            What the estimator takes: steps of a Pipeline before the network are applied. A few thousand samples tell
            enough.
        layers : int or sequence of int, default=None
            Layers to draw, from 1 to the output layer; None draws all.
        ax : matplotlib Axes, default=None
            As in `plot`.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        InvalidParameterError
            If there is no network in the estimator, or no such layer in the network.
        NotFittedError
        """
        load_pyplot(f"{cls.__name__}.from_estimator")
        network, steps = find_network(estimator)
        numbers = layer_numbers(layers, len(network.network_["layer_dims"]) - 1)
        for step in steps:
            X = step.transform(X)
        display = cls(
            layers=[layer_values(network, X, l) for l in numbers],
            n_features=network.n_features_in_,
            ensemble_size=network.network_["ensemble_size"],
        )
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the layers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw the weights into, best of a figure with ``layout="constrained"``; None makes one. The
            activations take the right part of its place.

        Returns
        -------
        self : NetworkDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        plt = load_pyplot(f"{type(self).__name__}.plot")
        if ax is None:
            width, height = plt.rcParams["figure.figsize"]
            size = width, max(height, 0.35 * len(self.layers) + 1)
            ax = plt.subplots(figsize=size, layout="constrained")[1]
        self.axes_, self.figure_ = np.array([ax]), ax.figure
        plot_rows(ax, [layer.weights for layer in self.layers])
        ax.set_yticks(range(len(self.layers)), [f"{l.number}: {l.n_units} {l.activation}" for l in self.layers])
        ax.set(xlabel="weight", ylabel="layer: units, activation")
        networks = f"{self.ensemble_size} networks, " if self.ensemble_size > 1 else ""
        ax.set_title(f"{networks}{self.n_features} inputs", loc="left", fontsize="medium")
        if any(layer.activations is not None for layer in self.layers):
            self._plot_activations(split_axes(ax, side="right", share=0.5))
        return self

    def _plot_activations(self, ax: Axes) -> None:
        self.axes_ = np.append(self.axes_, ax)
        plot_rows(ax, [layer.activations for layer in self.layers], left_out=LEFT_OUT)
        ax.set_xlabel("activation")
        ax.tick_params(left=False, labelleft=False)
        for row, layer in enumerate(self.layers):
            shares = {"dead": layer.dead, "saturated": layer.saturated}
            text = "".join(f"{percent(share)} {name}" for name, share in shares.items() if share is not None)
            ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize="small")


def load_pyplot(caller: str) -> Any:
    """Return matplotlib.pyplot.

    Raises
    ------
    ImportError
        That says who needs it and how to install it.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f"{caller} needs matplotlib: pip install 'sklearn-deepnn[plot]'") from error
    return plt


# The network, and what is shown of it.


def find_network(estimator: BaseEstimator) -> tuple[DeepNNClassifier, list[Any]]:
    """Return the fitted network that an estimator is, or that a Pipeline or a search ends in; and what comes before it.

    Returns
    -------
    network : DeepNNClassifier
    steps : list of Pipeline
        What transforms X for the network, in their order.

    Raises
    ------
    InvalidParameterError
        If there is no network.
    NotFittedError
    """
    inner, steps = estimator, []
    while not hasattr(inner, "hidden_layer_dims"):
        if hasattr(inner, "best_estimator_"):
            inner = inner.best_estimator_
        elif hasattr(inner, "refit"):
            check_is_fitted(inner, "cv_results_")
            reject("estimator", "a search that fits the best anew (refit=True)", estimator)
        elif hasattr(inner, "steps"):
            steps += [inner[:-1]] if len(inner) > 1 else []
            inner = inner[-1]
        else:
            reject("estimator", "a DeepNNClassifier, or a Pipeline or search that ends in one", estimator)
    check_is_fitted(inner)
    return inner, steps


def layer_numbers(layers: Any, n_layers: int) -> Sequence[int]:
    """Return the numbers of the layers to draw, in order.

    Raises
    ------
    InvalidParameterError
        If there is no such layer.
    """
    if layers is None:
        return range(1, n_layers + 1)
    numbers = [layers] if np.ndim(layers) == 0 else list(layers)
    for l in numbers:
        rule = f"an integer from 1 to {n_layers}"
        if isinstance(l, bool) or not isinstance(l, (int, np.integer)) or not 1 <= l <= n_layers:
            reject("each of layers", rule, l)
    if not numbers:
        reject("layers", "None or at least one layer", layers)
    return sorted({int(l) for l in numbers})


def layer_values(network: DeepNNClassifier, X: MatrixLike, l: int) -> LayerValues:
    """Return the `LayerValues` of layer l of a fitted network, over samples X."""
    fields, W = network.network_, network.coefs_[l - 1]
    if l == 1 and hasattr(network, "input_scale_"):
        scale = network.input_scale_
        W = W * np.where(np.isfinite(scale), scale, 0)[..., np.newaxis]
    n_units = fields["layer_dims"][l]
    if l == len(fields["layer_dims"]) - 1:
        return LayerValues(l, n_units, network.out_activation_, W)
    activation, A = fields["activation"][l - 1], network.hidden_activations(X, l)
    columns = np.swapaxes(A, -1, -2)
    dead = float(dead_units(columns, activation).mean()) if activation == "relu" else None
    saturated = float(saturated_units(columns, activation).mean()) if activation in BOUNDS else None
    return LayerValues(l, n_units, activation, W, A, dead, saturated)


def is_loss(scoring: object) -> bool:
    """Say whether epochs are judged by the cost."""
    return isinstance(scoring, str) and scoring == "loss"


def score_name(scoring: object) -> str:
    """Return what an axis calls a score."""
    name = scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")
    return "score" if name == "<lambda>" else name.replace("_", " ")


def percent(share: float) -> str:
    """Return a share as text; what is little is not rounded to nothing."""
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def has_values(curve: Sequence[float] | None) -> bool:
    """Say whether there is a number in a curve."""
    return curve is not None and bool(np.isfinite(curve).any())


# Drawing.


def text_color(ax: Axes) -> Any:
    """Return the colour that the style gives to text of axes."""
    return ax.xaxis.label.get_color()


def plot_curve(ax: Axes, curve: Sequence[float] | Array, **style: Any) -> Line2D:
    """Draw a curve over epochs counted from 1, with points where a line alone could be missed; return the line."""
    marker = "." if len(curve) <= FEW_EPOCHS or np.isnan(curve).any() else None
    return ax.plot(np.arange(1, len(curve) + 1), curve, **{"marker": marker, **style})[0]


def mark_epoch(ax: Axes, epoch: int, curve: Sequence[float], color: Any, label: str | None = None) -> Line2D:
    """Draw a vertical line at an epoch and a point on the curve; return the point."""
    ax.axvline(epoch, color=color, linewidth=0.8, alpha=0.5, zorder=1)
    style = {"marker": "o", "linestyle": "", "color": color, "zorder": 3, "clip_on": False}
    return ax.plot([epoch], [curve[epoch - 1]], label=label, **style)[0]


def number_epochs(ax: Axes, labelled: bool = True) -> None:
    """Give the axis of epochs integers, from 1 to the last that is drawn."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(0.5, max(max(line.get_xdata()) for line in ax.lines) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.tick_params(labelbottom=labelled)
    ax.set_xlabel("epoch" if labelled else "")


def scale_log(ax: Axes) -> None:
    """Make the y axis logarithmic, with ticks at 1 and 3 times powers of ten, written as decimals."""
    from matplotlib.ticker import LogLocator, NullLocator

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter("{x:g}")


def panel(ax: Axes, label: str, make: Callable[[Axes], Axes]) -> Axes:
    """Return the axes of a label that share their epochs with `ax`, made if there are none yet.

    Parameters
    ----------
    ax : matplotlib Axes
    label : str
    make : callable
        Takes `ax`, returns new axes.
    """
    found = panels(ax, label) or [make(ax)]
    found[0].set_label(label)
    return found[0]


def panels(ax: Axes, label: str) -> list[Axes]:
    """Return the axes of a label that share their epochs with `ax`: one, or none."""
    return [other for other in ax.get_shared_x_axes().get_siblings(ax) if other.get_label() == label]


def split_axes(ax: Axes, *, share: float, side: Literal["bottom", "right"]) -> Axes:
    """Return new axes in a part of the place of `ax`, which keeps the rest, as do others that lie over it.

    Parameters
    ----------
    ax : matplotlib Axes
    share : float
        Of the place, for the new axes.
    side : {"bottom", "right"}
        Axes at the bottom share the x axis, axes on the right the y axis.
    """
    figure, place, parts = ax.figure, ax.get_subplotspec(), (1 - share, share)
    if place is None:
        left, bottom, right, top = ax.get_position().extents
        make, twins = partial(figure.add_gridspec, left=left, right=right, bottom=bottom, top=top), [ax]
    else:
        make, twins = place.subgridspec, [other for other in figure.axes if other.get_subplotspec() == place]
    grid = make(2, 1, height_ratios=parts) if side == "bottom" else make(1, 2, width_ratios=parts, wspace=0.1)
    for twin in twins:
        twin.set_subplotspec(grid[0])
    return figure.add_subplot(grid[1], **{"sharex" if side == "bottom" else "sharey": ax})


def twin_behind(ax: Axes) -> Axes:
    """Return axes with a scale of their own on the right, which draw behind `ax`."""
    twin = ax.twinx()
    twin.set_facecolor(ax.get_facecolor())
    twin.set_zorder(ax.get_zorder() - 1)
    twin.patch.set_visible(True)
    ax.patch.set_visible(False)
    return twin


def put_legend_above(ax: Axes) -> None:
    """Put a legend above `ax`, where it hides nothing, of what is drawn there and of learning rates."""
    handles = [handle for one in (ax, *panels(ax, RATE_PANEL)) for handle in one.get_legend_handles_labels()[0]]
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}
    ax.legend(handles=handles, **place, fontsize="small", frameon=False)
    if LEGEND_ROOM not in [child.get_label() for child in ax.child_axes]:
        # axes lift the title above their child axes, but not above a legend
        room = ax.inset_axes((0, 1, 1, 0.1), label=LEGEND_ROOM)
        room.axis("off")
        room.set_axes_locator(partial(legend_room, ax))


def legend_room(ax: Axes, _: object, renderer: Any) -> Any:
    """Return the place of the legend of `ax` in the figure, for invisible axes that are there to take it up."""
    legend = ax.get_legend()
    if legend is None:
        return ax.get_position()
    return legend.get_window_extent(renderer).transformed(ax.figure.transSubfigure.inverted())


def plot_rows(ax: Axes, rows: Sequence[Array | None], left_out: float = 0.0) -> None:
    """Draw a histogram of each row's values, one below the other.

    Parameters
    ----------
    ax : matplotlib Axes
    rows : list of ndarray or None
        None leaves a row empty.
    left_out : float, default=0.0
        Share of each row's values that is left out at either end.
    """
    limits: list[Any] = [None if values is None else np.quantile(values, (left_out, 1 - left_out)) for values in rows]
    ends = np.concatenate([pair for pair in limits if pair is not None])
    bin_width = (np.ptp(ends) or 1.0) / N_BINS
    ax.axvline(0, color=text_color(ax), linewidth=0.8, alpha=0.5, zorder=0)
    for row, values in enumerate(rows):
        if values is not None:
            low, high = limits[row]
            edges, base = bin_edges(values.size, low, high, bin_width), row + ROW_HEIGHT / 2
            heights = np.sqrt(np.histogram(values, edges)[0])
            top = base - ROW_HEIGHT * heights / heights.max()
            ax.stairs(top, edges, baseline=base, fill=True, color="C0")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.locator_params(axis="x", nbins=3)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.tick_params(labelsize="small")


def bin_edges(n: int, low: float, high: float, narrowest: float) -> Array:
    """Return the edges of about sqrt(n) bins of equal width, none narrower than that."""
    n_bins = int(min(max(np.sqrt(n), 8), max((high - low) / narrowest, 1)))
    margin = max(narrowest - (high - low), 0) / 2  # around values that are all but the same
    return np.linspace(low - margin, high + margin, n_bins + 1)
