"""The summary of a fitted network: its numbers, its text, its HTML, in a browser, next to scikit-learn's HTML."""

import html
import json
import pickle
import re
import shutil
import subprocess
from dataclasses import FrozenInstanceError, replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from one_network import one_network
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import EarlyStopping
from sklearn_deepnn.estimators.scaling import SCALINGS
from sklearn_deepnn.inspection.summary import HEADER, NetworkSummary, readable_bytes
from sklearn_deepnn.network.activations import ACTIVATIONS
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.model import initialize_parameters

rng = np.random.default_rng(0)
X, y = rng.normal(size=(60, 7)), np.arange(60) % 3


def fitted(hidden_layer_dims=(5, 4), targets=y, **parameters):
    parameters = {"max_iter": 2, "random_state": 0} | parameters
    return one_network(hidden_layer_dims, **parameters).fit(X, targets)


def summary_of(layer_dims, *, notes=(), **parameters):
    """Return the summary of a network that was never trained, and whose arrays take no memory."""
    network = Network(layer_dims, **parameters)
    small = initialize_parameters([1] * len(layer_dims), batch_norm=network.batch_norm, dtype=np.float32)
    arrays = {}
    for name in small:
        n = layer_dims[int(re.sub(r"\D", "", name))]
        shape = (network.ensemble_size, n, layer_dims[int(name[1:]) - 1] if name.startswith("W") else 1)
        arrays[name] = np.broadcast_to(np.float32(0), shape[network.ensemble_size == 1 :])
    saved = dict.fromkeys(("parameters", "average", "best", "optimizer_state"))
    saved |= {"preparation": {"scaling": None, "moments": None}, "best": {}}
    saved["call"] = {"optimizer": "Adam", "stopped_by": ""}
    return NetworkSummary.of(
        SimpleNamespace(
            network_=network.to_dict(),
            parameters_=arrays,
            training_state_=saved,
            n_iter_=7,
            best_iter_=3,
            report_=notes,
        )
    )


MANY_LAYERS = summary_of((64, *range(20, 0, -1), 10), activation="leaky_relu", batch_norm=True, dropout_rate=0.25)
MANY_UNITS = summary_of((1_000, 1_000_000, 1_000_000, 10), ensemble_size=12)
PARTS = fitted((5, 4), activation=("tanh", "leaky_relu"), batch_norm=True, dropout_rate=(0, 0.25)).summary()


# What is counted.


def test_parameters_are_those_of_scikit_learns_network():
    mlp = MLPClassifier((5, 4)).partial_fit(X, y, classes=[0, 1, 2])
    counts = [W.size + b.size for W, b in zip(mlp.coefs_, mlp.intercepts_)]
    summary = fitted().summary()
    assert [row.n_parameters for row in summary.rows] == [0, *counts]
    assert summary.n_parameters == sum(counts)


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize(("dtype", "itemsize"), [("float32", 4), ("float64", 8)])
def test_memory_is_that_of_the_weights_that_predict(ensemble_size, dtype, itemsize):
    model = fitted(ensemble_size=ensemble_size, dtype=dtype)
    summary, one = model.summary(), 7 * 5 + 5 + 5 * 4 + 4 + 4 * 3 + 3
    assert summary.n_parameters == ensemble_size * one == sum(W.size for W in model.coefs_ + model.intercepts_)
    assert summary.n_bytes == ensemble_size * one * itemsize
    assert sum(row.n_bytes for row in summary.rows) == one * itemsize
    assert summary.dtype == dtype


def test_batch_normalisation_has_four_numbers_per_unit_and_no_biases():
    n_parameters = {row.name: row.n_parameters for row in PARTS.rows}
    assert n_parameters == {
        "input": 0, "dense 1": 35, "batch norm 1": 20, "dense 2": 20, "batch norm 2": 16, "dropout 2": 0, "output": 15,
    }  # fmt: skip
    assert PARTS.n_statistics == 2 * (5 + 4)
    assert "18 parameters of a network are running statistics" in " ".join(str(PARTS).split())


def test_activations_stand_where_they_act():
    activations = {row.name: row.activation for row in PARTS.rows if row.activation}
    assert activations == {"batch norm 1": "tanh", "batch norm 2": "leaky_relu", "output": "softmax"}
    plain = fitted(activation="silu").summary()
    assert [row.activation for row in plain.rows] == ["", "silu", "silu", "softmax"]


def test_units_are_those_of_the_layer():
    assert [row.units for row in PARTS.rows] == [7, 5, 5, 4, 4, 4, 3]


@pytest.mark.parametrize(
    ("targets", "units", "link"),
    [(y, 3, "softmax"), (y == 1, 1, "sigmoid"), (np.stack([y == 0, y > 0, y > 1], axis=1), 3, "sigmoid")],
    ids=["classes", "two", "labels"],
)
def test_the_output_has_the_link_of_its_targets(targets, units, link):
    output = fitted(targets=targets).summary().rows[-1]
    assert (output.kind, output.units, output.activation) == ("output", units, link)


@pytest.mark.parametrize(
    ("scale_inputs", "words"), [*((name, f"{name} scaling") for name in SCALINGS), (None, "not scaled")]
)
def test_the_inputs_scaling_is_the_one_that_was_fitted(scale_inputs, words):
    model = fitted(scale_inputs=scale_inputs)
    model.set_params(scale_inputs="standard" if scale_inputs is None else None)
    assert model.summary().rows[0].detail == words


def of_columns(**parameters):
    """Return a network of numbers with gaps, of few categories, and of two columns with many categories."""
    X = pd.DataFrame({"width": rng.normal(size=200), "height": rng.normal(size=200)})
    X["width"] = X["width"].mask(X["width"] > 1)
    X["colour"] = np.array(["red", "green"], object)[np.arange(200) % 2]
    X["town"] = [f"town {i % 40}" for i in range(200)]
    X["street"] = [f"street {i % 50}" for i in range(200)]
    return one_network((5,), **{"max_iter": 2, "random_state": 0} | parameters).fit(X, np.arange(200) % 3)


@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_the_embedding_layer_has_a_row_with_its_parameters(ensemble_size):
    model = of_columns(ensemble_size=ensemble_size)
    summary = model.summary()
    n_inputs = 2 + 1 + 2  # numbers, gaps of one column, one-hot categories
    assert [(row.name, row.detail, row.units, row.n_parameters) for row in summary.rows] == [
        ("input", "5 columns encoded", n_inputs + 2, 0),
        ("embedding", "vectors of 8", n_inputs + 16, 8 * (40 + 50 + 1)),
        ("dense 1", "", 5, (n_inputs + 16) * 5 + 5),
        ("output", "", 3, 5 * 3 + 3),
    ]
    assert summary.n_parameters == sum(array.size for array in model.parameters_.values())
    assert summary.n_bytes == sum(array.nbytes for array in model.parameters_.values())
    assert "Columns of X: 2 of numbers, 3 of categories, 1 with gaps." in flat(summary)


def test_bins_are_counted():
    summary = of_columns(numeric_encoding="piecewise_linear").summary()
    n_bins = int(re.search(r"2 of numbers \((\d+) bins\), 3 of categories", flat(summary))[1])
    assert summary.rows[0].units == 2 + n_bins + 1 + 2 + 2


def test_one_column_is_no_plural():
    model = one_network((5,), max_iter=1).fit(np.arange(60).reshape(-1, 1) % 4, y)
    assert model.summary().rows[0].detail == "standard scaling"
    model.set_params(categorical_features=[0]).fit(np.arange(60).reshape(-1, 1) % 4, y)
    assert model.summary().rows[0].detail == "1 column encoded"
    assert "Columns of X: 1 of categories." in flat(model.summary())


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
def test_a_saved_model_is_as_large_as_the_summary_says(optimizer):
    model = fitted((150, 100), optimizer=optimizer, warm_start=True, early_stopping=True, max_iter=3)
    summary = model.summary()
    said = summary.n_bytes + summary.n_optimizer_bytes + summary.n_copy_bytes
    assert said > 2 * summary.n_bytes
    assert said < len(pickle.dumps(model)) < 1.02 * said + 5000


def test_the_memory_kept_to_continue_training_is_reported():
    done, going_on = fitted().summary(), fitted(warm_start=True).summary()
    assert done.n_optimizer_bytes == done.n_copy_bytes == 0
    assert going_on.n_optimizer_bytes == 2 * going_on.n_bytes  # Adam has two moments
    assert "Training can continue" in str(going_on)
    assert "Training can continue" not in str(done)
    parts = one_network((5,)).partial_fit(X, y, classes=[0, 1, 2]).summary()
    assert "Training can continue" in str(parts)


def test_the_best_epoch_is_told_with_what_is_kept():
    validated = fitted(early_stopping=True, max_iter=5)
    assert f"for 5 epochs. Epoch {validated.best_iter_} was best; its weights are kept." in flat(validated.summary())
    trained = fitted(max_iter=1, optimizer="sgd")
    assert "Trained by SGD for 1 epoch. Epoch 1 had the lowest training cost; the last" in flat(trained.summary())
    watched = one_network((5, 4), early_stopping=True, max_iter=5).set_callbacks(EarlyStopping(restore_best=False))
    best = watched.fit(X, y).best_iter_
    assert f"for 5 epochs. Epoch {best} was best; the last weights are kept." in flat(watched.summary())


def flat(summary):
    return " ".join(str(summary).split())


def test_an_estimator_that_is_not_fitted_has_no_summary():
    with pytest.raises(NotFittedError):
        DeepNNClassifier().summary()


# As something to compute on.


def test_rows_make_a_data_frame():
    frame = pd.DataFrame(PARTS.rows)
    assert list(frame.columns) == ["kind", "layer", "detail", "units", "activation", "n_parameters", "n_bytes"]
    assert frame["n_parameters"].sum() == PARTS.n_parameters
    assert frame.loc[frame["kind"] == "dropout", "detail"].tolist() == ["rate 0.25"]


def test_a_summary_cannot_be_changed_and_does_not_change_with_its_estimator():
    model = fitted(warm_start=True)
    summary = model.summary()
    before = str(summary)
    model.fit(X, y)
    assert str(summary) == before != str(model.summary())
    with pytest.raises(FrozenInstanceError):
        summary.n_iter = 3


def test_a_summary_survives_pickling():
    assert pickle.loads(pickle.dumps(PARTS)) == PARTS


# As text.


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1024, "1.0 kB"), (184_608, "184.6 kB"), (999_949, "999.9 kB"),
        (999_950, "1.0 MB"), (48 * 10**9, "48.0 GB"), (12_345 * 10**12, "12,345.0 TB"),
    ],
)  # fmt: skip
def test_memory_is_told_in_units_of_a_thousand(n_bytes, words):
    assert readable_bytes(n_bytes) == words


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_ordinary_network_fits_80_columns_of_ascii(activation):
    dims = (10_000, 4096, 1000, 100, 1000)
    summary = summary_of(dims, activation=activation, dropout_rate=0.125, batch_norm=True, ensemble_size=12)
    lines = replace(summary, notes=("A long sentence, " * 20,)).__str__().encode("ascii").decode().splitlines()
    assert len(lines) > 20
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("summary", [PARTS, MANY_LAYERS, MANY_UNITS], ids=["parts", "layers", "units"])
def test_columns_are_aligned_whatever_is_in_them(summary):
    blocks = re.split(r"\n-+\n", str(summary))
    header, *lines = [line for block in blocks[1:4] for line in block.splitlines()]
    ends = {name: header.index(name) + len(name) for name in HEADER}
    assert header.split() == list(HEADER)
    assert len(lines) == len(summary.rows) + (1 if summary.ensemble_size == 1 else 2)
    for line, row in zip(lines, summary.rows):
        assert line.startswith(row.name)
        assert line[: ends["Units"]].endswith(f" {row.units:,}")
        assert line[header.index("Activation") :].startswith(row.activation)
        if row.n_parameters:
            assert line[: ends["Parameters"]].endswith(f" {row.n_parameters:,}")
            assert line[: ends["Memory"]].endswith(f" {readable_bytes(row.n_bytes)}")
    assert lines[-1][: ends["Parameters"]].endswith(f" {summary.n_parameters:,}")
    assert not [line for line in str(summary).splitlines() if line != line.rstrip()]


def test_a_million_units_are_told_with_separators():
    text = flat(MANY_UNITS)
    assert "dense 2 1,000,000 relu 1,000,001,000,000 4.0 TB" in text
    assert f"all 12 networks {12 * (1_001_000_000 + 1_000_001_000_000 + 10_000_010):,} 48.0 TB" in text


def test_the_console_shows_what_printing_does():
    assert repr(PARTS) == str(PARTS)


def test_notes_are_shown_below_where_the_estimator_has_them():
    model = fitted()
    model.report_ = []
    before = str(model.summary())
    model.report_ = ["The first.", "The <b>second</b> & last."]
    assert str(model.summary()) == before + "\n- The first.\n- The <b>second</b> & last."


# As HTML.


class Reader(HTMLParser):
    """Reads tags, attributes and the table's cells."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes, self.rows, self.open = [], [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("th", "td"):
            self.rows[-1][-1] += data


@pytest.mark.parametrize("summary", [PARTS, MANY_LAYERS, MANY_UNITS], ids=["parts", "layers", "units"])
def test_the_html_is_the_table_that_is_printed(summary):
    page = Reader(summary._repr_html_())
    assert not page.open
    printed = [line for block in re.split(r"\n-+\n", str(summary))[1:4] for line in block.splitlines()]
    assert [" ".join(cell for cell in row if cell) for row in page.rows] == [" ".join(line.split()) for line in printed]


def test_the_html_runs_nothing_and_loads_nothing():
    source = PARTS._repr_html_()
    page = Reader(source)
    assert set(page.tags) <= {
        "div",
        "style",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "p",
        "ul",
        "li",
    }
    assert set(page.attributes) == {"class", "scope"}
    assert "@import" not in source
    assert "url(" not in source


def test_the_html_escapes_what_it_is_given():
    given = "<script>alert('&')</script>"
    source = replace(PARTS, title=given, notes=(given,))._repr_html_()
    assert "<script" not in source
    assert source.count(html.escape(given)) == 2


# In a browser.

JUPYTERLAB = """
.jp { color: var(--font); font: 14px/1.5 sans-serif; padding-right: 20px; }
.jp table { border-collapse: collapse; border: none; color: var(--font); font-size: 12px; table-layout: fixed; }
.jp :is(td, th, tr) { vertical-align: middle; text-align: right; padding: .5em; white-space: normal; max-width: none; }
.jp tbody tr:nth-child(odd) { background: var(--odd); } .jp tbody tr:nth-child(even) { background: var(--even); }
"""
VS_CODE = """
table { border-collapse: collapse; } table, th, tr { vertical-align: middle; text-align: right; }
th, td { padding: 4px 6px; } thead { font-weight: bold; background-color: rgba(130, 130, 130, 0.16); }
tbody > tr:nth-child(even) { background-color: rgba(130, 130, 130, 0.08); } body { font: 13px sans-serif; }
"""
SURROUNDINGS = {
    "jupyterlab-light": f"<style>{JUPYTERLAB}body {{ --font: #212121; --odd: white; --even: #f5f5f5 }}</style>"
    '<body style="background: white"><div class="jp">',
    "jupyterlab-dark": f"<style>{JUPYTERLAB}body {{ --font: white; --odd: #111; --even: #424242 }}</style>"
    '<body style="background: #111"><div class="jp">',
    "vs-code-light": f'<style>{VS_CODE}</style><body style="color: #3b3b3b; background: white">',
    "vs-code-dark": f'<style>{VS_CODE}</style><body style="color: #ccc; background: #1f1f1f">',
    "page-light": '<meta name="color-scheme" content="light"><body>',
    "page-dark": '<meta name="color-scheme" content="dark"><body>',
    # as in pages without a doctype, whose tables do not inherit, and with Bootstrap
    "page-dark-with-black-tables": "<style>table { color: black } caption { color: #777 }</style>"
    '<body style="color: white; background: black">',
}
MEASURE = """
const numbers = (colour) => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
const over = ([r, g, b, a], below) => [r, g, b].map((c, i) => a * c + (1 - a) * below[i]);
function luminance(rgb) {
  const [r, g, b] = rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const background = (view, element) => numbers(view.getComputedStyle(element).backgroundColor);
function backdrop(view, element) {
  if (element) return over(background(view, element), backdrop(view, element.parentElement));
  const canvas = view.document.body.appendChild(view.document.createElement("i"));
  canvas.style.background = "Canvas";
  const colour = background(view, canvas);
  canvas.remove();
  return colour.slice(0, 3);
}
function contrast(view, element) {
  const below = backdrop(view, element), text = over(numbers(view.getComputedStyle(element).color), below);
  const [low, high] = [luminance(below), luminance(text)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
const has_text = (e) => e.tagName != "STYLE" && [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim());
addEventListener("load", () => {
  const measured = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const view = frame.contentWindow, root = view.document.documentElement;
    const table = view.document.querySelector("table");
    const texts = [...view.document.body.querySelectorAll("*")].filter(has_text);
    const link = [...view.document.querySelectorAll("a.sk-estimator-doc-link")].at(-1);
    measured[frame.title] = {
      page: root.clientWidth, content: root.scrollWidth, table: table && table.getBoundingClientRect().right,
      texts: texts.map(e => e.textContent), contrast: Math.min(...texts.map(e => contrast(view, e))),
      link: link && [link.href, link.getBoundingClientRect().width],
    };
  }
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = JSON.stringify(measured);
});
"""


def find_browser():
    """Return the path of a chromium that starts, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0:
            return path
    return None


def pages():
    """Return the estimator's HTML in its forms."""
    network = one_network((5,), max_iter=1)
    return {
        "unfitted": clone(network)._repr_html_(),
        "fitted": clone(network).fit(X, y)._repr_html_(),
        "pipeline": make_pipeline(StandardScaler(), PCA(3), network).fit(X, y)._repr_html_(),
    }


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What a browser makes of summaries and estimators in the surroundings that notebooks give them."""
    browser = find_browser()
    if browser is None:
        pytest.skip("there is no chromium here to look at HTML with")
    noted = replace(PARTS, notes=("A sentence that is a good deal longer than the table is wide. " * 2,))
    contents = {
        ("summary", 400): noted._repr_html_(),
        ("summary", 900): noted._repr_html_(),
        ("black", 900): noted._repr_html_() + "<style>td.number { color: black !important; }</style>",
        ("wide", 200): MANY_UNITS._repr_html_(),
        ("rigid", 200): "<table><tr><td><div style='width: 300px'>rigid</div></table>",
        **{(form, 900): source for form, source in pages().items()},
    }
    frames = ""
    for (content, width), source in contents.items():
        for surroundings, before in SURROUNDINGS.items():
            page = html.escape(f"<!doctype html><meta charset=utf-8>{before}{source}")
            attributes = f'title="{content} {surroundings} {width}" style="width: {width}px; height: 2000px; border: 0"'
            frames += f'<iframe {attributes} srcdoc="{page}"></iframe>'
    folder = tmp_path_factory.mktemp("browser")
    (folder / "page.html").write_text(f"<!doctype html><body>{frames}<script>{MEASURE}</script>", "utf-8")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    robust = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"]
    place = f"--user-data-dir={folder / 'profile'}"
    command = [browser, *robust, *quiet, place, "--dump-dom", (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=180)
    found = re.search(r"<pre>(.*)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_the_table_fits_a_narrow_page(measured, surroundings):
    for width in (400, 900):
        at = measured[f"summary {surroundings} {width}"]
        assert at["page"] == width
        assert at["table"] <= at["page"]
        assert at["content"] <= at["page"]


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_a_table_too_wide_for_the_page_does_not_widen_it(measured, surroundings):
    narrow, rigid = measured[f"wide {surroundings} 200"], measured[f"rigid {surroundings} 200"]
    assert narrow["table"] > narrow["page"] >= narrow["content"]
    assert rigid["content"] > rigid["page"]  # so that is noticed


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_the_summary_can_be_read_in_light_and_dark(measured, surroundings):
    at = measured[f"summary {surroundings} 900"]
    assert {"Layer", "batch norm 1", "leaky_relu", "softmax", "total"} <= set(at["texts"])
    assert at["contrast"] >= 7  # what WCAG 2 asks of enhanced contrast, level AAA
    if "dark" in surroundings:
        assert measured[f"black {surroundings} 900"]["contrast"] < 2.5  # so that is noticed


@pytest.mark.parametrize("form", ["unfitted", "fitted", "pipeline"])
@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_the_link_to_the_documentation_can_be_seen(measured, surroundings, form):
    address, width = measured[f"{form} {surroundings} 900"]["link"]
    assert address == DeepNNClassifier()._get_doc_link()
    assert width > 8


def test_gaps_of_categories_are_counted_like_those_of_numbers():
    frame = pd.DataFrame({"x": [None, *range(59)], "c": [None, "a", "b"] * 20, "d": ["a", "b"] * 30})
    model = DeepNNClassifier(random_state=0, max_iter=2).fit(frame, np.arange(60) % 2)
    assert "2 of categories, 2 with gaps." in flat(model.summary())


def test_rare_categories_are_no_gaps():
    frame = pd.DataFrame({"x": np.arange(100.0), "c": ["a"] * 50 + ["b"] * 48 + ["r", "s"]})
    model = DeepNNClassifier(random_state=0, max_iter=2).fit(frame, np.arange(100) % 2)
    assert "1 of categories." in flat(model.summary())
