"""The pages of the site: what they link, list and include is there. Building it is left to .ci/run."""

import ast
import importlib
import inspect
import re
from functools import partial
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier
from test_architecture import FOLDERS, LEVELS, ORDER

import sklearn_deepnn
import sklearn_deepnn.callbacks
from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.estimators import defaults
from sklearn_deepnn.training.schedules import inverse_scaling

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {page.name: page.read_text("utf-8") for page in sorted(DOCS.glob("*.md"))}
API = re.findall(r"^   ~?(sklearn_deepnn\.[\w.]+)$", (DOCS / "api.rst").read_text("utf-8"), re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INCLUDE = re.compile(r"^```\{include\} (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def find(name):
    """Return what a dotted name stands for, or raise."""
    home, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(home), last)
    except (ModuleNotFoundError, AttributeError):
        return importlib.import_module(name)


def without_code(page):
    """Return a page without its blocks of code."""
    return re.sub(r"^```\w+\n.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


def anchor(heading):
    """Return what a heading is called in links, as GitHub and the site do."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("module", [sklearn_deepnn, sklearn_deepnn.callbacks], ids=lambda module: module.__name__)
def test_every_public_name_has_a_page_of_the_api(module):
    assert {f"{module.__name__}.{name}" for name in module.__all__} <= set(API)


def test_the_api_lists_nothing_twice_and_nothing_that_is_not_there():
    assert len(API) == len(set(API))
    for name in API:
        if name != "sklearn_deepnn.onnx" and not name.startswith("sklearn_deepnn.onnx."):
            assert find(name)


def test_onnx_is_listed_as_it_is():
    onnx = pytest.importorskip("sklearn_deepnn.onnx", exc_type=ImportError)
    listed = [name.rpartition(".")[2] for name in API if name.startswith("sklearn_deepnn.onnx.")]
    assert listed
    assert all(hasattr(onnx, name) for name in listed)


def test_every_class_of_the_api_has_an_example():
    classes = [name for name in API if not name.startswith("sklearn_deepnn.onnx") and inspect.isclass(find(name))]
    assert len(classes) > 10
    assert not [name for name in classes if ">>>" not in inspect.getdoc(find(name))]


def test_the_page_of_the_classifier_lists_all_its_methods():
    template = (DOCS / "_templates" / "autosummary" / "class.rst").read_text("utf-8")
    listed = re.search(r":members: (.+)", template)[1].split(", ")
    methods = inspect.getmembers(sklearn_deepnn.DeepNNClassifier, inspect.isfunction)
    own = {name for name, method in methods if method.__module__.startswith("sklearn_deepnn.")}
    assert sorted(listed) == sorted({name for name in own if not name.startswith("_")} | {"set_callbacks"})


def test_scikit_learn_s_link_to_the_documentation_leads_to_a_page_of_the_api():
    link = sklearn_deepnn.DeepNNClassifier()._get_doc_link()
    assert link.rpartition("/")[2].removesuffix(".html") in API


@pytest.mark.parametrize("name", PAGES)
def test_links_between_pages_resolve(name):
    headings = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", PAGES[name], re.MULTILINE)}
    for target in LINK.findall(without_code(PAGES[name])):
        file, _, place = target.partition("#")
        if "://" in target:
            continue
        if file:
            assert (DOCS / file).exists(), target
        else:
            assert place in headings or find(place), target


def test_links_are_looked_at():
    assert sum(len(LINK.findall(without_code(page))) for page in PAGES.values()) > 50


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if INCLUDE.search(page)])
def test_what_pages_include_is_there_once(name):
    for file, options in INCLUDE.findall(PAGES[name]):
        text = (DOCS / file).read_text("utf-8")
        for marker in re.findall(r'^:(?:start-after|end-before): "(.*)"$', options, re.MULTILINE):
            assert text.count(f"{marker}\n") == 1, f"{file}: {marker}"


def test_the_course_s_table_lists_functions_that_exist():
    page = PAGES["building_blocks.md"]
    _, _, rest = page.partition("## The course's names and ours\n")
    table = rest.partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*) \| (\[.*) \| `(sklearn_deepnn\.[\w.]+)` \|$", table, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\| `", table, re.MULTILINE)) >= 13
    for _, ours, module in rows:
        links = re.findall(r"\[`(\w+)`\]\(#([\w.]+)\)", ours)
        assert links
        for function, target in links:
            assert target == f"{module}.{function}"
            assert callable(getattr(importlib.import_module(module), function))


def test_the_course_s_functions_are_all_in_its_table():
    page = PAGES["building_blocks.md"]
    readme = (DOCS.parent / "README.md").read_text("utf-8")
    row = re.compile(r"^\| .* \| .*`(\w+)`.* \| `([\w.]+)` \|$", re.MULTILINE)
    listed = row.findall(readme)
    assert len(listed) >= 5
    for function, module in listed:
        assert f"](#sklearn_deepnn.{module}.{function})" in page


def test_the_first_page_quotes_what_was_measured():
    report = (DOCS / "benchmarks" / "report.md").read_text("utf-8")
    mlp, torch = re.search(r"^\| geometric mean [ |]*([\d.]+) \| ([\d.]+) ", report, re.MULTILINE).groups()
    first_page = " ".join(PAGES["index.md"].split())
    assert f"{float(mlp):.1f} times faster than `MLPClassifier`" in first_page
    assert f"{float(torch):.1f} times faster than torch" in first_page
    row = r"^\| \**{}\** \| [^|]* \| \**(\d\.\d+)\** \|"
    for model in ("`DeepNNClassifier\\(\\)`", "MLPClassifier behind StandardScaler", "HistGradientBoostingClassifier"):
        assert re.search(row.format(model), PAGES["defaults.md"], re.MULTILINE)[1] in PAGES["index.md"]


def rows_of_auto(text, edge, cell):
    """Return the rows of a table of what "auto" stands for, by parameter."""
    rows = [[part.strip() for part in re.split(cell, row.strip(edge))] for row in text.splitlines()]
    return {row[0].strip("`"): row[1:] for row in rows if row[0].startswith("`")}


AUTO_TABLES = {
    "docs/defaults.md": rows_of_auto(PAGES["defaults.md"].split("\n## ")[2], "| ", r" \| "),
    "docstring": rows_of_auto(inspect.getdoc(DeepNNClassifier).partition("Parameters\n---")[0], "", r"\s{2,}"),
}


@pytest.mark.parametrize("rows", AUTO_TABLES.values(), ids=AUTO_TABLES)
def test_the_tables_of_auto_have_every_parameter_that_may_be_auto(rows):
    parameters = inspect.signature(DeepNNClassifier).parameters.values()
    assert rows.keys() == {parameter.name for parameter in parameters if parameter.default == "auto"}


@pytest.mark.parametrize("rows", AUTO_TABLES.values(), ids=AUTO_TABLES)
def test_the_tables_of_auto_tell_the_numbers_of_each_rule(rows):
    for name, numbers in {
        "hidden_layer_dims": [defaults.SMALL_SAMPLES],
        "ensemble_size": [defaults.LARGEST_ENSEMBLE],
        "learning_rate": [*defaults.FASTEST, defaults.RATE_TIMES_WIDTH],
        "batch_size": [defaults.SMALLEST_BATCH, *defaults.BATCH_DOUBLINGS],
        "weight_decay": [defaults.WEIGHT_DECAY, "0.0001"],
        "weight_averaging": [round(defaults.AVERAGING_EPOCHS)],
        "label_smoothing": [defaults.SMOOTHING, round(defaults.SMOOTHED_SAMPLES / defaults.SMOOTHING)],
        "early_stopping": [defaults.FEW_SAMPLES, defaults.MANY_SAMPLES],
        "validation_fraction": [defaults.HELD_OUT, defaults.MANY_SAMPLES],
        "n_iter_no_change": [defaults.BATCH_DOUBLINGS[0], defaults.LARGE_SAMPLES],
        "dtype": [defaults.MANY_SAMPLES // 10, defaults.MANY_SAMPLES],
        "numeric_encoding": [defaults.MOST_BINNED],
    }.items():
        for number in numbers:
            text = number if isinstance(number, str) or number < 10_000 else f"{number:_}".replace("_", " ")
            assert re.search(rf"(?<![\d.]){re.escape(str(text))}(?!\d|\.\d)", " ".join(rows[name])), (name, number)


def test_the_table_of_levels_is_that_of_the_imports():
    rows = re.findall(r"^\| \d \| (.*) \| .* \|$", PAGES["design.md"], re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [set(level) for level in LEVELS]


def test_the_table_of_rooms_is_that_of_the_imports():
    rows = dict(re.findall(r"^\| `(\w+)/` \| (.*) \|$", PAGES["design.md"], re.MULTILINE))
    rows["network"] = re.sub(r" \(.*?\)", "", rows["network"]).replace("/", "")
    assert {room: row.split(", ") for room, row in rows.items()} == {r: f for r, f in ORDER.items() if r not in FOLDERS}


NAMESPACE = {name: getattr(home, name) for home in (sklearn_deepnn, sklearn_deepnn.callbacks) for name in home.__all__}
NAMESPACE |= {"partial": partial, "inverse_scaling": inverse_scaling, "path": "history.csv"}
ASSIGNMENT = re.compile(r"(\w+)=(?!=)(.+)")


def rows_of(section):
    """Return the rows of the first table below a heading of the page on other libraries, as lists of cells."""
    text = PAGES["coming_from.md"].partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    table = re.search(r"^\|.*\n\|-.*\n((?:\|.*\n)+)", text, re.MULTILINE)[1]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def spans(cell):
    """Return what stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


OURS = [span for section in ("MLPClassifier", "skorch", "Keras") for row in rows_of(section) for span in spans(row[1])]
SETTINGS = sorted({match.groups() for span in OURS if (match := ASSIGNMENT.fullmatch(span))})
OTHERS = sorted({span for span in OURS if not ASSIGNMENT.fullmatch(span)})


def test_every_parameter_of_mlp_classifier_has_a_row_with_its_default():
    left = [span for row in rows_of("MLPClassifier") for span in spans(row[0])]
    told = {}
    for name, value in (ASSIGNMENT.fullmatch(span).groups() for span in left):
        told.setdefault(name, []).append(ast.literal_eval(value))
    defaults = {name: parameter.default for name, parameter in inspect.signature(MLPClassifier).parameters.items()}
    assert told.keys() == defaults.keys()
    turned_on = {"verbose", "warm_start"}
    assert all(default in told[name] for name, default in defaults.items() if name not in turned_on)
    assert set(told["solver"]) == {"adam", "sgd", "lbfgs"}
    assert set(told["learning_rate"]) == {"constant", "invscaling", "adaptive"}


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_settings_in_place_of_those_of_other_libraries_work(name, value, capsys):
    setting = {name: eval(value, NAMESPACE)}
    small = {"hidden_layer_dims": (3,), "max_iter": 2, "random_state": 0}
    assert DeepNNClassifier(**small | setting).fit(*load_iris(return_X_y=True)).n_iter_ >= 1


@pytest.mark.parametrize("span", OTHERS)
def test_calls_and_attributes_in_place_of_those_of_other_libraries_exist(span):
    tree = ast.parse(span, mode="eval").body
    if not isinstance(tree, ast.Call):
        assert re.search(rf"^{tree.id} : ", inspect.getdoc(DeepNNClassifier), re.MULTILINE)
    elif tree.func.id in NAMESPACE:
        assert eval(span, NAMESPACE)
    else:
        keywords = {keyword.arg: keyword.value for keyword in tree.keywords}
        inspect.signature(getattr(DeepNNClassifier, tree.func.id)).bind(DeepNNClassifier(), *tree.args, **keywords)


def test_the_tables_of_other_libraries_are_looked_at():
    assert len(SETTINGS) > 35
    assert len(OTHERS) > 15
