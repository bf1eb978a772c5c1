"""The displays: that they draw what the fitted network has, into whatever axes, and refuse what has no network."""

import builtins
import pickle

import numpy as np
import pandas as pd
import pytest
from one_network import one_network
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.inspection.gradients import hidden_activation
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.plotting import LayerValues, NetworkDisplay, TrainingCurveDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

X, y = load_iris(return_X_y=True)
STYLES = ["default", "dark_background"]


def draw_curves(model, **options):
    return TrainingCurveDisplay.from_estimator(model, **options)


def draw_layers(model, **options):
    return NetworkDisplay.from_estimator(model, X, **options)


DISPLAYS = [draw_curves, draw_layers]


def hidden_activations(self, X, layer):
    network = Network.restore(self.network_)
    return np.swapaxes(hidden_activation(np.asarray(X, float).T, self.parameters_, network, layer), -1, -2)


@pytest.fixture(scope="module", autouse=True)
def with_hidden_activations():
    with pytest.MonkeyPatch.context() as patch:
        if not hasattr(DeepNNClassifier, "hidden_activations"):
            patch.setattr(DeepNNClassifier, "hidden_activations", hidden_activations, raising=False)
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind():
    settings = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == settings
    plt.close("all")


def deepnn(dims=(6, 4), **parameters):
    return one_network(dims, **{"max_iter": 8, "learning_rate": 0.02, "random_state": 0, **parameters})


@pytest.fixture(scope="module")
def plain():
    return deepnn().fit(X, y)


@pytest.fixture(scope="module")
def scored():
    """Validated by a score, with a learning rate that varies."""
    model = deepnn(early_stopping=True, scoring="balanced_accuracy", learning_rate_schedule="one_cycle", max_iter=40)
    return model.fit(X, y)


@pytest.fixture(scope="module")
def ensemble():
    return DeepNNClassifier(max_iter=3, random_state=0).fit(X, y)


def drawn(line):
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def assert_draws(line, curve):
    epochs, values = drawn(line)
    np.testing.assert_array_equal(epochs, range(1, len(curve) + 1))
    np.testing.assert_array_equal(values, curve)


def texts(display):
    """Return what is written in the legend."""
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def boxes_of(figure):
    """Return each text that is seen, and its place in pixels."""
    figure.canvas.draw()
    texts = []
    for ax in figure.axes:
        for axis in (axis for axis in (ax.xaxis, ax.yaxis) if axis.get_visible()):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            texts += [axis.label, *(label for tick in ticks for label in (tick.label1, tick.label2))]
        texts += [*ax.texts, ax.title, *(ax.get_legend().get_texts() if ax.get_legend() else [])]
    return [(text.get_text(), text.get_window_extent()) for text in texts if text.get_visible() and text.get_text()]


# Training curves.


def test_curves_are_those_of_the_network(scored):
    display = TrainingCurveDisplay.from_estimator(scored)
    assert display.loss_curve is scored.loss_curve_
    assert_draws(display.lines_["training"], scored.loss_curve_)
    assert_draws(display.lines_["validation"], scored.validation_loss_curve_)
    assert_draws(display.lines_["score"], scored.validation_scores_)
    assert_draws(display.lines_["learning_rate"], scored.learning_rate_curve_)
    epoch = scored.best_iter_
    assert 1 < epoch < scored.n_iter_
    assert drawn(display.lines_["best"]) == ([epoch], [scored.validation_loss_curve_[epoch - 1]])
    assert texts(display) == ["training", "validation", f"best epoch: {epoch}", "learning rate"]


def test_axes_say_what_they_show(scored):
    display = TrainingCurveDisplay.from_estimator(scored)
    assert display.ax_.get_ylabel() == "cross-entropy"
    assert display.score_ax_.get_ylabel() == "balanced\naccuracy"
    assert display.learning_rate_ax_.get_ylabel() == "learning rate"
    assert (display.ax_.get_xlabel(), display.score_ax_.get_xlabel()) == ("", "epoch")


def test_the_best_epoch_is_marked_in_the_panel_of_the_score_too(scored):
    display = TrainingCurveDisplay.from_estimator(scored)
    for ax in (display.ax_, display.score_ax_):
        assert [scored.best_iter_, scored.best_iter_] in [list(line.get_xdata()) for line in ax.lines]


def test_without_validation_the_training_cost_stands_alone(plain):
    display = TrainingCurveDisplay.from_estimator(plain)
    assert set(display.lines_) == {"training", "best"}
    assert drawn(display.lines_["best"]) == ([plain.best_iter_], [min(plain.loss_curve_)])
    assert display.score_ax_ is display.learning_rate_ax_ is None
    assert display.figure_.axes == [display.ax_]


def test_no_panel_shows_the_score_where_the_cost_is_the_score(ensemble):
    display = TrainingCurveDisplay.from_estimator(ensemble)
    assert "validation" in display.lines_
    assert display.score_ax_ is None


@pytest.mark.parametrize(("scoring", "name"), [("accuracy", "accuracy"), (lambda model, X, y: 1.0, "score")])
def test_scores_have_names(scoring, name):
    model = deepnn(early_stopping=True, scoring=scoring, max_iter=2).fit(X, y)
    assert TrainingCurveDisplay.from_estimator(model).score_ax_.get_ylabel() == name


def test_what_is_not_wanted_is_not_drawn(scored):
    display = TrainingCurveDisplay.from_estimator(scored, show_score=False, show_learning_rate=False)
    assert display.score_ax_ is display.learning_rate_ax_ is None
    assert set(display.lines_) == {"training", "validation", "best"}


def test_a_constant_learning_rate_is_drawn_when_asked_for(plain):
    display = TrainingCurveDisplay.from_estimator(plain, show_learning_rate=True)
    assert_draws(display.lines_["learning_rate"], [0.02] * plain.n_iter_)
    assert display.learning_rate_ax_.get_yscale() == "linear"


@pytest.mark.parametrize(("lowest", "scale"), [(0.06, "linear"), (0.04, "log")])
def test_learning_rates_over_more_than_a_factor_of_20_have_a_logarithmic_scale(lowest, scale):
    display = TrainingCurveDisplay(loss_curve=[3.0, 2.0, 1.0], learning_rate_curve=[1.0, lowest, 0.0]).plot()
    assert display.learning_rate_ax_.get_yscale() == scale
    display.figure_.canvas.draw()


@pytest.mark.parametrize("log_scale", [False, True])
def test_the_scale_of_costs_is_logarithmic_on_request(plain, log_scale):
    display = TrainingCurveDisplay.from_estimator(plain, log_scale=log_scale)
    assert display.ax_.get_yscale() == ("log" if log_scale else "linear")


@pytest.mark.parametrize("n_epochs", [1, 2, 7, 100])
def test_ticks_are_epochs(n_epochs):
    display = TrainingCurveDisplay(loss_curve=np.linspace(2, 1, n_epochs)).plot()
    low, high = display.ax_.get_xlim()
    ticks = [tick for tick in display.ax_.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == round(tick) and 1 <= tick <= n_epochs for tick in ticks)


def test_epochs_that_were_not_validated_leave_gaps_and_single_ones_are_points():
    validation = [np.nan, 0.9, np.nan, 0.7] * 10
    display = TrainingCurveDisplay(loss_curve=np.linspace(1, 0, 50), validation_loss_curve=validation, best_iter=50)
    display.plot()
    assert_draws(display.lines_["validation"], validation)
    assert display.lines_["validation"].get_marker() == "."
    assert display.lines_["training"].get_marker() == "None"
    assert drawn(display.lines_["best"]) == ([50], [0.0])  # on the training curve


def test_a_network_that_learned_in_parts_after_validation_is_drawn():
    model = deepnn(early_stopping=True, scoring="accuracy").fit(X, y)
    n_validated = model.n_iter_
    for _ in range(3):
        model.partial_fit(X, y)
    display = TrainingCurveDisplay.from_estimator(model)
    assert len(drawn(display.lines_["training"])[0]) == n_validated + 3
    assert np.isfinite(drawn(display.lines_["validation"])[1]).sum() == n_validated


def test_two_networks_share_axes_and_are_told_apart(scored, ensemble):
    first = TrainingCurveDisplay.from_estimator(scored, name="one")
    second = TrainingCurveDisplay.from_estimator(scored, ax=first.ax_, name="two")
    third = TrainingCurveDisplay.from_estimator(ensemble, ax=first.ax_, name="three")
    assert first.ax_ is second.ax_ is third.ax_
    assert first.score_ax_ is second.score_ax_
    assert first.learning_rate_ax_ is second.learning_rate_ax_
    assert len(first.figure_.axes) == 3
    assert {"one: training", "two: training", "three: training", "two: learning rate"} <= set(texts(first))
    curves = [display.lines_[name] for display in (first, second, third) for name in ("training", "validation")]
    assert len({line.get_color() for line in curves}) == 6


def test_only_displays_in_one_axes_share_panels(scored):
    _, axes = plt.subplots(1, 2, sharex=True, layout="constrained")
    first, second = (TrainingCurveDisplay.from_estimator(scored, ax=ax) for ax in axes)
    assert first.score_ax_ is not second.score_ax_
    assert first.learning_rate_ax_ is not second.learning_rate_ax_
    assert texts(second) == texts(first)


def test_a_network_without_scores_leaves_the_label_of_epochs_below_the_scores_of_another(scored, plain):
    first = TrainingCurveDisplay.from_estimator(scored, name="one")
    TrainingCurveDisplay.from_estimator(plain, ax=first.ax_, name="two")
    assert (first.ax_.get_xlabel(), first.score_ax_.get_xlabel()) == ("", "epoch")


# Layers.


def test_layers_are_those_of_the_network(plain):
    display = NetworkDisplay.from_estimator(plain, X)
    assert [layer.number for layer in display.layers] == [1, 2, 3]
    assert [layer.n_units for layer in display.layers] == [6, 4, 3]
    assert [layer.activation for layer in display.layers] == ["relu", "relu", "softmax"]
    for l in (2, 3):
        np.testing.assert_array_equal(display.layers[l - 1].weights, plain.coefs_[l - 1])
    for l in (1, 2):
        np.testing.assert_array_equal(display.layers[l - 1].activations, plain.hidden_activations(X, l))
    assert display.layers[2].activations is None
    labels = [label.get_text() for label in display.axes_[0].get_yticklabels()]
    assert labels == ["1: 6 relu", "2: 4 relu", "3: 3 softmax"]


def test_weights_of_the_first_layer_are_those_for_scaled_inputs():
    flat = np.column_stack([X, np.ones(len(X))])
    inside = deepnn().fit(flat, y)
    outside = deepnn(scale_inputs=None).fit(StandardScaler().fit_transform(flat), y)
    weights = NetworkDisplay.from_estimator(inside, flat).layers[0].weights
    np.testing.assert_allclose(weights[:4], outside.coefs_[0][:4], rtol=1e-6)
    assert np.abs(weights[:4] - inside.coefs_[0][:4]).max() > 0.01
    np.testing.assert_array_equal(weights[4], 0)


@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_inputs_are_columns_also_where_the_network_encodes_them(ensemble_size):
    frame = pd.DataFrame(X, columns=list("abcd")).mask(X > 6).assign(flower=[f"flower {i % 40}" for i in range(len(X))])
    model = deepnn(ensemble_size=ensemble_size, numeric_encoding="piecewise_linear").fit(frame, y)
    assert {"bins", "gaps", "codes"} <= set(model.encoding_["parts"])
    display = NetworkDisplay.from_estimator(make_pipeline(model), frame)
    assert display.axes_[0].get_title(loc="left").endswith("5 inputs")
    np.testing.assert_array_equal(display.layers[0].weights, model.coefs_[0])
    assert display.layers[0].weights.shape[-2:] == (model.network_["layer_dims"][0], 6)
    np.testing.assert_array_equal(display.layers[1].activations, model.hidden_activations(frame, 2))


def test_members_of_an_ensemble_are_pooled(ensemble):
    display = NetworkDisplay.from_estimator(ensemble, X)
    assert display.layers[1].weights.shape == (12, 48, 24)
    assert display.layers[0].activations.shape == (12, len(X), 48)
    assert display.axes_[0].get_title(loc="left") == "12 networks, 4 inputs"


def test_dead_and_saturated_units_are_told_beside_their_layer():
    model = deepnn((4, 5, 3), activation=("relu", "tanh", "silu")).fit(X, y)
    model.parameters_["W1"][0], model.parameters_["b1"][0] = 0, -1  # never above 0
    model.parameters_["b2"][:2] = [[1000], [-1000]]
    display = NetworkDisplay.from_estimator(model, X)
    assert [layer.dead for layer in display.layers] == [0.25, None, 0, None]
    assert [layer.saturated for layer in display.layers] == [None, 0.4, None, None]
    beside = {text.get_position()[1]: text.get_text() for text in display.axes_[1].texts}
    assert beside == {0: "25% dead", 1: "40% saturated", 2: "0% dead"}


def test_a_small_share_is_not_rounded_to_nothing():
    layer = LayerValues(1, 400, "relu", np.zeros(3), np.ones((2, 400)), dead=0.0025)
    display = NetworkDisplay(layers=[layer], n_features=2).plot()
    assert display.axes_[1].texts[0].get_text() == "<1% dead"


def test_histograms_count_every_weight():
    weights = np.array([-1.0, -1.0, -1.0, -1.0, 0.0, 1.0])
    display = NetworkDisplay(layers=[LayerValues(1, 2, "sigmoid", weights)], n_features=3).plot()
    values, edges, baseline = display.axes_[0].patches[0].get_data()
    heights = baseline - values
    counts = (heights / heights.max()) ** 2 * 4
    np.testing.assert_allclose(counts[[0, -1]], [4, 1])
    np.testing.assert_allclose(counts.sum(), 6)
    assert (edges[0], edges[-1]) == (-1, 1)


def test_outlying_activations_do_not_squeeze_the_others():
    A = np.linspace(0, 1, 10_000)
    A[-1] = 1e6
    display = NetworkDisplay(layers=[LayerValues(1, 1, "relu", np.ones(2), A, dead=0.0)], n_features=2).plot()
    assert display.axes_[1].get_xlim()[1] < 2


def test_values_that_are_all_the_same_have_a_bar():
    model = deepnn().fit(X, y)
    for array in model.parameters_.values():
        array[...] = 0
    display = NetworkDisplay.from_estimator(model, X)
    for ax in display.axes_:
        for bar in ax.patches:
            tops, edges, baseline = bar.get_data()
            (at,) = np.flatnonzero(tops < baseline)
            assert edges[at] <= 0 <= edges[at + 1]
    assert [layer.dead for layer in display.layers] == [1.0, 1.0, None]


@pytest.mark.parametrize(("layers", "numbers"), [(2, [2]), ([3, 1], [1, 3]), (np.array([1, 1]), [1])])
def test_layers_can_be_chosen(plain, layers, numbers):
    display = NetworkDisplay.from_estimator(plain, X, layers=layers)
    assert [layer.number for layer in display.layers] == numbers


def test_a_network_without_hidden_layers_has_weights_alone():
    display = NetworkDisplay.from_estimator(deepnn(()).fit(X, y), X)
    assert len(display.axes_) == len(display.figure_.axes) == 1


def test_batch_normalisation_is_folded_into_the_weights_shown():
    model = deepnn(batch_norm=True).fit(X, y)
    np.testing.assert_array_equal(NetworkDisplay.from_estimator(model, X).layers[1].weights, model.coefs_[1])
    assert np.abs(model.coefs_[1] - model.parameters_["W2"].T).max() > 0.01


# Both displays.


def test_the_network_is_found_in_a_pipeline_and_in_a_search():
    pipeline = make_pipeline(MinMaxScaler(), make_pipeline(StandardScaler(), deepnn(scale_inputs=None)))
    search = GridSearchCV(pipeline, {"pipeline__deepnnclassifier__learning_rate": [0.02]}, cv=2).fit(X, y)
    network = search.best_estimator_[-1][-1]
    transformed = StandardScaler().fit_transform(MinMaxScaler().fit_transform(X))
    for model in (search, search.best_estimator_):
        assert TrainingCurveDisplay.from_estimator(model).loss_curve is network.loss_curve_
        layers = NetworkDisplay.from_estimator(model, X).layers
        np.testing.assert_allclose(layers[1].activations, network.hidden_activations(transformed, 2))


def test_a_pipeline_of_the_network_alone_will_do(plain):
    model = make_pipeline(plain)
    assert TrainingCurveDisplay.from_estimator(model).loss_curve is plain.loss_curve_
    np.testing.assert_array_equal(NetworkDisplay.from_estimator(model, X).layers[1].weights, plain.coefs_[1])


@pytest.mark.parametrize("draw", DISPLAYS)
@pytest.mark.parametrize("model", [LogisticRegression(), KMeans(), make_pipeline(StandardScaler()), None, "network"])
def test_what_holds_no_network_is_refused(draw, model):
    with pytest.raises(ValueError, match=r"^estimator must be an estimator of sklearn_deepnn, or a Pipeline"):
        draw(model)


@pytest.mark.parametrize("draw", DISPLAYS)
@pytest.mark.parametrize(
    "model",
    [deepnn(), make_pipeline(StandardScaler(), deepnn()), GridSearchCV(deepnn(), {}), RandomizedSearchCV(deepnn(), {})],
)
def test_what_is_not_fitted_is_refused(draw, model):
    with pytest.raises(NotFittedError):
        draw(model)
    assert not plt.get_fignums()


def test_a_search_without_a_refit_is_refused():
    search = GridSearchCV(deepnn(max_iter=1), {"tol": [0.1]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(ValueError, match="estimator must be a search with refit=True"):
        TrainingCurveDisplay.from_estimator(search)


@pytest.mark.parametrize("layers", [0, 4, [1, 4], 1.0, True, "1", []])
def test_layers_that_are_not_there_are_refused(plain, layers):
    with pytest.raises(ValueError, match=r"layers must be integers from 1 to 3, got "):
        NetworkDisplay.from_estimator(plain, X, layers=layers)


@pytest.mark.parametrize("option", ["show_learning_rate", "show_score", "log_scale"])
def test_options_that_are_no_flags_are_refused(plain, option):
    with pytest.raises(ValueError, match=f"{option} must be "):
        TrainingCurveDisplay.from_estimator(plain, **{option: "yes"})
    assert not plt.get_fignums()


@pytest.mark.parametrize("draw", DISPLAYS)
def test_without_matplotlib_the_error_tells_what_to_install(draw, plain, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"Display needs matplotlib: pip install 'sklearn-deepnn\[plot\]'"):
        draw(plain)


@pytest.mark.parametrize("draw", DISPLAYS)
@pytest.mark.parametrize("make", [lambda: plt.subplots()[1], lambda: plt.figure().add_axes((0.2, 0.2, 0.6, 0.6))])
def test_given_axes_are_used_and_nothing_leaves_their_place(draw, make, scored):
    ax = make()
    place = ax.get_position()
    display = draw(scored, ax=ax)
    display.figure_.canvas.draw()
    assert display.figure_ is ax.figure
    assert ax in (getattr(display, "ax_", None), getattr(display, "axes_", [None])[0])
    assert len(plt.get_fignums()) == 1
    others = [other for other in display.figure_.axes if other is not ax]
    assert others
    for other in [ax, *others]:
        (x0, y0), (x1, y1) = other.get_position().get_points()
        assert place.x0 - 1e-9 <= x0 < x1 <= place.x1 + 1e-9
        assert place.y0 - 1e-9 <= y0 < y1 <= place.y1 + 1e-9


@pytest.mark.parametrize("draw", DISPLAYS)
def test_displays_draw_into_subfigures(draw, scored):
    left, _ = plt.figure(layout="constrained").subfigures(1, 2)
    display = draw(scored, ax=left.subplots())
    assert display.figure_ is left
    left.figure.canvas.draw()


@pytest.mark.parametrize("size", [(4, 3), (10, 6)])
@pytest.mark.parametrize("draw", DISPLAYS)
@pytest.mark.parametrize("model", ["plain", "scored", "ensemble"])
def test_no_text_lies_on_another_or_is_cut_off(draw, model, size, request):
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    draw(request.getfixturevalue(model), ax=ax)
    boxes = boxes_of(figure)
    assert len(boxes) > 8
    for i, (text, box) in enumerate(boxes):
        assert (box.min > -1).all(), text
        assert (box.max < figure.bbox.max + 1).all(), text
        assert not [other for other, place in boxes[:i] if box.overlaps(place)], text


def test_the_legend_lies_outside_the_axes_and_a_title_above_it(scored):
    display = TrainingCurveDisplay.from_estimator(scored)
    title = display.ax_.set_title("a title")
    display.figure_.canvas.draw()
    legend = display.ax_.get_legend().get_window_extent()
    assert display.ax_.get_window_extent().y1 <= legend.y0 + 1
    assert title.get_window_extent().y0 >= legend.y1 - 1
    display.ax_.get_legend().remove()
    display.figure_.canvas.draw()


@pytest.mark.parametrize("style", STYLES)
def test_colours_follow_the_style(style, scored):
    with plt.style.context(style):
        text, cycle = plt.rcParams["text.color"], plt.rcParams["axes.prop_cycle"].by_key()["color"]
        curves, layers = (draw(scored) for draw in DISPLAYS)
        colours = [curves.lines_[name].get_color() for name in ("training", "validation", "score")]
        assert colours == [cycle[0], cycle[1], cycle[1]]
        assert {curves.lines_[name].get_color() for name in ("best", "learning_rate")} == {text}
        assert {bar.get_facecolor() for bar in layers.axes_[0].patches} == {matplotlib.colors.to_rgba(cycle[0])}


@pytest.mark.parametrize("draw", DISPLAYS)
def test_figures_can_be_pickled(draw, scored):
    display = pickle.loads(pickle.dumps(draw(scored)))
    display.figure_.canvas.draw()


# What scikit-learn draws itself.


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("response_method", ["auto", "predict", "predict_proba"])
def test_decision_boundary_display_of_scikit_learn_serves(n_classes, response_method):
    chosen = y < n_classes
    model = deepnn(max_iter=30).fit(X[chosen][:, 2:], y[chosen])
    of_class = 1 if response_method == "predict_proba" else None
    options = {"grid_resolution": 20, "response_method": response_method, "class_of_interest": of_class}
    display = DecisionBoundaryDisplay.from_estimator(model, X[chosen][:, 2:], **options)
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    if response_method == "predict":
        np.testing.assert_array_equal(display.response.ravel(), model.predict(grid))
        assert set(np.unique(display.response)) == set(range(n_classes))
    elif response_method == "predict_proba":
        np.testing.assert_allclose(display.response.ravel(), model.predict_proba(grid)[:, 1])
    display.figure_.canvas.draw()
