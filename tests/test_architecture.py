"""Directions of imports, what importing brings along, and that the course's functions are the ones that `fit` runs."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sklearn_deepnn
from sklearn_deepnn import DeepNNClassifier

ROOT = Path(sklearn_deepnn.__file__).parent
LEVELS = [  # a module imports from levels above its own
    ["typing"],
    ["messages", "checks"],
    ["threads", "compilation", "saving"],
    ["network"],
    ["training"],
    ["callbacks"],
    ["inspection"],
    ["estimators"],
    ["gradient_check", "plotting", "onnx"],
]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
ROOMS = {  # a module of a room also imports from those before it in this list
    "network": "activations links initializers parameters scaling layers encoding losses ensemble architecture kernels "
    "model prediction",
    "losses": "base classes numbers",
    "layers": "dense batchnorm dropout embedding piecewise",
    "training": "optimizers schedules regularizers recipe updates examples costs state run steps loop course",
    "callbacks": "base steering measuring progress logs checkpoints tuning scikit_learn",
    "inspection": "gradients diagnosis summary",
    "estimators": "columns categories inputs scaling encoding settings targets defaults validation resuming starting "
    "keeping prediction base classifier numbers regressor",
}
FOLDERS = {"losses", "layers"}  # of the room "network"
ORDER = {room: files.split() for room, files in ROOMS.items()}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]
MAY_IMPORT = {
    "plotting.py": {"matplotlib"},
    "callbacks/progress.py": {"tqdm"},
    "callbacks/logs.py": {"mlflow"},
    "callbacks/tuning.py": {"optuna"},
    "onnx.py": {"onnx", "skl2onnx"},
    "compilation.py": {"numba"},
}
OPTIONAL = [
    "pandas",
    "polars",
    "PIL",
    "torch",
    "rich",
    "onnxruntime",
    "skops",
    *sorted(set().union(*MAY_IMPORT.values())),
]
SECTION = re.compile(r"^(Parameters|Attributes|Returns|Yields|Raises)\n---", re.MULTILINE)
COURSE = [
    "initialize_parameters", "linear_forward", "linear_activation_forward", "model_forward", "compute_cost",
    "linear_backward", "linear_activation_backward", "model_backward", "update_parameters",
]  # fmt: skip


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Yield (module, name) for everything that a file imports, wherever in it, for annotations as well."""
    package = ".".join(path.relative_to(ROOT.parent).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            source = importlib.util.resolve_name(source, package) if node.level else source
            yield from ((source, alias.name) for alias in node.names)


def modules_imported(path):
    """Yield the modules of this package that a file imports from, as their parts below the package."""
    for source, name in imports(path):
        package, *inside = f"{source}.{name}".rstrip(".").split(".")
        if package == ROOT.name:
            yield inside


def parts_of(path):
    """Return the parts of a module's name below the package: ["network", "layers", "dense"]."""
    return module_name(path).split(".")[1:]


def public_objects():
    """Yield (name, object) for every public function, class and method that this package defines."""
    for path in FILES:
        module, imported = importlib.import_module(module_name(path)), {name for _, name in imports(path)}
        for name, value in vars(module).items():
            homes = (module.__name__, ROOT.name)  # classes that are exported call the package their home
            if name.startswith("_") or name in imported or getattr(value, "__module__", None) not in homes:
                continue
            if inspect.isfunction(value):
                yield f"{module.__name__}.{name}", value
            elif inspect.isclass(value):
                yield f"{module.__name__}.{name}", value
                for method, function in vars(value).items():
                    if not method.startswith("_") and inspect.isfunction(inspect.unwrap(function)):
                        yield f"{module.__name__}.{name}.{method}", inspect.unwrap(function)


PUBLIC = dict(public_objects())


def arguments(value):
    """Return the names of the arguments that a function, or a class to be made, takes by name."""
    kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    parameters = inspect.signature(value).parameters.values()
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind not in kinds and parameter.name not in ("self", "cls")
    ]


# Imports.


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_modules_import_only_from_levels_above(path):
    room = parts_of(path)[0]
    assert room in LEVEL_OF, f"{room} has no place in LEVELS"
    others = {inside[0] for inside in modules_imported(path) if inside and inside[0] != room}
    assert not {other for other in others if LEVEL_OF.get(other, 99) >= LEVEL_OF[room]}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_modules_of_a_room_import_only_from_those_before_them(path):
    parts = parts_of(path)
    for depth, room in enumerate(parts[:-1]):
        own = parts[depth + 1]
        assert own in ORDER[room], f"{own} has no place in ROOMS"
        for inside in modules_imported(path):
            if inside[: depth + 1] == parts[: depth + 1] and inside[depth + 1 : depth + 2] not in ([], [own]):
                assert ORDER[room].index(inside[depth + 1]) < ORDER[room].index(own), ".".join(inside)


def test_the_order_of_a_room_names_files_that_exist():
    for room, files in ORDER.items():
        folder = ROOT / "network" / room if room in FOLDERS else ROOT / room
        assert {
            path.stem for path in folder.glob("*") if path.stem != "__init__" and not path.stem.startswith("_")
        } == set(files)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_nothing_private_of_scikit_learn_is_imported(path):
    private = [
        f"{source}.{name}"
        for source, name in imports(path)
        if source.split(".")[0] == "sklearn" and any(part.startswith("_") for part in f"{source}.{name}".split("."))
    ]
    assert not private


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_optional_packages_are_imported_where_they_may_be(path):
    imported = {source.split(".")[0] for source, _ in imports(path)} & set(OPTIONAL)
    assert imported == MAY_IMPORT.get(path.relative_to(ROOT).as_posix(), set())


def run_in_a_fresh_interpreter(program):
    """Return what a program prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT.parent)}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout.strip()


def test_importing_the_package_imports_no_optional_package_beyond_those_of_scikit_learn():
    program = f"""
import sys
import sklearn.pipeline  # with its callbacks, which import rich
before = set(sys.modules)
import sklearn_deepnn
print([name for name in {OPTIONAL} if name in sys.modules and name not in before])
"""
    assert run_in_a_fresh_interpreter(program) == "[]"


def test_the_package_works_where_no_optional_package_is_installed():
    program = f"""
import sys

class Rest:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {OPTIONAL} else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Rest, sys.meta_path)
sys.stdout.isatty = lambda: True  # where there would be a bar
from sklearn_deepnn import DeepNNClassifier
print(DeepNNClassifier(max_iter=1, random_state=0, verbose=1).fit([[0.0], [1.0]], [0, 1]).n_iter_)
"""
    line, *_, outcome, n_iter = run_in_a_fresh_interpreter(program).splitlines()
    assert line.startswith("epoch    1  cost")
    assert outcome == "stopped by max_iter after 1 epoch"
    assert n_iter == "1"


@pytest.mark.parametrize("name", COURSE)
def test_the_source_of_the_course_s_functions_can_be_read(name):
    (function,) = {value for key, value in PUBLIC.items() if key.rpartition(".")[2] == name}
    assert inspect.getsource(function).startswith(f"def {name}(")


@pytest.mark.parametrize("name", ["fit", "partial_fit", "predict_proba"])
def test_the_source_of_the_estimator_s_methods_can_be_read(name):
    assert f"    def {name}(" in inspect.getsource(getattr(DeepNNClassifier, name))


def test_everything_exported_is_there():
    for name in sklearn_deepnn.__all__:
        assert getattr(sklearn_deepnn, name)


# What users hear.


def calls(path):
    """Yield (function as it is written, arguments) for every call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), [ast.unparse(argument) for argument in node.args]


def test_warnings_point_at_the_user_s_line_and_are_of_scikit_learn_s_categories():
    found = [(path.name, call, arguments) for path in FILES for call, arguments in calls(path)]
    warned = [arguments[-1] for _, call, arguments in found if call == "warn_user"]
    assert len(warned) > 5
    assert set(warned) <= {"ConvergenceWarning", "UserWarning", "RuntimeWarning"}
    assert [name for name, call, _ in found if call.endswith("warn")] == ["messages.py"]


def test_nothing_is_logged_or_printed_but_by_what_is_asked_to():
    found = {(path.name, call) for path in FILES for call, _ in calls(path)}
    assert {name for name, call in found if call == "print"} == {"messages.py"}
    assert {name for name, call in found if call == "print_line"} == {"progress.py", "course.py"}
    assert not [name for name, call in found if call.startswith("logging.") and call != "logging.getLogger"]


def test_loggers_are_this_package_s_own_and_without_handlers():
    program = """
import logging
logging.root.setLevel(0)
from sklearn_deepnn import DeepNNClassifier
DeepNNClassifier((4,), max_iter=2, verbose=1, random_state=0).fit([[0.0], [1.0]], [0, 1])
loggers = {name: logging.getLogger(name) for name in logging.root.manager.loggerDict if "deepnn" in name}
assert set(loggers) <= {"sklearn_deepnn"}
handlers = [handler for logger in (logging.root, *loggers.values()) for handler in logger.handlers]
assert all(isinstance(handler, logging.NullHandler) for handler in handlers)
assert logging.root.level == 0
print("quiet")
"""
    assert run_in_a_fresh_interpreter(program).splitlines()[-1] == "quiet"


# One network, not two.


@pytest.mark.parametrize("name", COURSE)
def test_fit_breaks_without_each_function_of_the_course(name, monkeypatch):
    class Deleted(Exception):
        pass

    def deleted(*args, **kwargs):
        raise Deleted

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), np.arange(20) % 2
    places = [
        module
        for key, module in sorted(sys.modules.items())
        if key.startswith("sklearn_deepnn") and name in vars(module)
    ]
    assert places
    for module in places:
        monkeypatch.setattr(module, name, deleted)
    with pytest.raises(Deleted):
        DeepNNClassifier().fit(X, y)


# Docstrings.


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_module_has_a_docstring(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_documented(name):
    doc = inspect.getdoc(PUBLIC[name])
    assert doc, "no docstring"
    assert doc.split("\n\n")[0].rstrip().endswith((".", ":", "?")), "the first paragraph is not a sentence"


@pytest.mark.parametrize("name", PUBLIC)
def test_longer_docstrings_have_sections_and_name_every_argument(name):
    value = PUBLIC[name]
    doc = inspect.getdoc(value)
    if "\n" in doc and arguments(value):
        assert SECTION.search(doc)
    if inspect.isfunction(value) and "Parameters\n---" in doc:
        assert not [argument for argument in arguments(value) if argument not in doc]
