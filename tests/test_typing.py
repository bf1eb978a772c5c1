"""Types: every public signature has them, type checkers accept what users write, and refuse what is wrong."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from test_architecture import FILES, PUBLIC, module_name

import sklearn_deepnn
from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.inspection.gradients import GRADIENTS_OF, GradientOf
from sklearn_deepnn.network.activations import ACTIVATIONS, ActivationName
from sklearn_deepnn.network.initializers import INITIALIZERS, InitializerName
from sklearn_deepnn.training.optimizers import OPTIMIZERS, OptimizerName
from sklearn_deepnn.training.schedules import SCHEDULES, ScheduleName

PACKAGE = Path(sklearn_deepnn.__file__).parent
CONFIGURATION = Path(__file__).parents[1] / "pyproject.toml"
NAMES = {
    "activation": (ActivationName, ACTIVATIONS),
    "weight_init": (InitializerName, INITIALIZERS),
    "of": (GradientOf, GRADIENTS_OF),
    "optimizer": (OptimizerName, OPTIMIZERS),
    "learning_rate_schedule": (ScheduleName, SCHEDULES),
}
RIGHT = """
from collections.abc import Sequence
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sklearn_deepnn import Adam, DeepNNClassifier, check_gradient, train_deep_network
from sklearn_deepnn.network.activations import ACTIVATIONS, ActivationName
from sklearn_deepnn.callbacks import Callback, EarlyStopping, Run, TimeBudget, load_checkpoint
from sklearn_deepnn.network.losses import compute_cost
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.model import initialize_parameters, model_backward, model_forward
from sklearn_deepnn.network.layers import linear_backward, linear_forward
from sklearn_deepnn.training.optimizers import Optimizer, update_parameters
from sklearn_deepnn.network.parameters import Parameters
from sklearn_deepnn.training.schedules import cosine
from sklearn_deepnn.inspection.summary import NetworkSummary
from sklearn_deepnn.training.state import TrainingState
from sklearn_deepnn.typing import Array

rows: list[list[float]] = [[0.0, 1.0], [1.0, 0.0]]
model = DeepNNClassifier((8, 4), ("relu", "tanh"), optimizer=Adam(beta_1=0.95), random_state=0).fit(rows, ["a", "b"])
assert_type(model, DeepNNClassifier)
assert_type(model.fit(np.array(rows), np.array([0, 1]), sample_weight=[1, 2]), DeepNNClassifier)
assert_type(model.fit(csr_array(rows), np.eye(2, dtype=int), X_val=rows, y_val=[0, 1]), DeepNNClassifier)
assert_type(model.partial_fit(rows, [0, 1], classes=[0, 1]), DeepNNClassifier)
assert_type(model.set_callbacks(TimeBudget(60), EarlyStopping("cost")).set_params(tol=0.0), DeepNNClassifier)
assert_type(model.set_fit_request(sample_weight=True), DeepNNClassifier)
assert_type(model.predict(rows), NDArray[Any])
assert_type(model.predict_proba(rows), NDArray[np.floating[Any]])
assert_type(model.score(rows, [0, 1]), float)
assert_type(model.summary(), NetworkSummary)
assert_type(model.parameters_, dict[str, NDArray[Any]])
assert_type(model.coefs_, list[NDArray[np.floating[Any]]])
assert_type(model.loss_curve_, list[float])
assert_type(model.n_iter_, int)
assert_type(model.report_, list[str])
resumed: DeepNNClassifier = load_checkpoint("folder")
assert_type(check_gradient(model, rows, [0, 1]), float)

DeepNNClassifier("128-64", weight_init={"W1": np.ones((2, 1)), "b1": np.zeros((1, 1))}, class_weight={"a": 2, "b": 1})
DeepNNClassifier(64, "silu", learning_rate_schedule=lambda step: 0.1 / (step + 1), dtype=np.float32, max_grad_norm=1)
DeepNNClassifier([32, 16], dropout_rate=[0.5, 0.2], scoring="accuracy", early_stopping=True, class_weight="balanced")


def of_any(activation: ActivationName, dims: Sequence[int], optimizer: Optimizer) -> DeepNNClassifier:
    return DeepNNClassifier(dims, activation, optimizer=optimizer)


class Patient(Callback):
    remembers_for_good = True

    def on_epoch_end(self, run: Run) -> bool:
        assert_type(run.memory, dict[str, Any])
        assert_type(run.state, TrainingState)
        assert_type(run.state.newest["cost"], float)
        return run.state.epoch > 3


X, Y = np.random.default_rng(0).normal(size=(2, 10)), np.ones((1, 10), int)
parameters: dict[str, Array] = initialize_parameters([2, 3, 1], rng=0)
for _ in range(3):
    AL, caches = model_forward(X, parameters)
    assert_type(compute_cost(AL, Y), float)
    parameters = update_parameters(parameters, model_backward(AL, Y, caches), learning_rate=0.1)
by_hand = {"W1": np.ones((1, 2)), "b1": np.zeros((1, 1))}
AL, caches = model_forward(X, by_hand, Network((2, 1), activation="relu"))
Z, cache = linear_forward(X, by_hand["W1"], by_hand["b1"])
dA_prev, dW, db = linear_backward(Z, cache)
by_hand["W1"] = by_hand["W1"] - 0.1 * dW
assert_type(train_deep_network(X, Y, [2, 3, 1], rng=0), tuple[Parameters, list[float]])
assert_type(train_deep_network(X, Y, [2, 3, 1], rng=0)[0].vector, NDArray[Any])
assert_type(cosine(3, 0.1, 100), float)
assert_type(ACTIVATIONS["relu"].forward(X)[0], NDArray[Any])
"""
WRONG = {  # a line of user code, and what is said of it
    "DeepNNClassifier(hidden_layer_dims=3.5)": '"hidden_layer_dims" .* incompatible type "float"',
    'DeepNNClassifier(activation="reluu")': "\"activation\" .* expected .*'relu', 'leaky_relu'",
    'DeepNNClassifier(activation=("relu", "tanhh"))': '"activation" .* incompatible type',
    'DeepNNClassifier(optimizer="adamw")': '"optimizer" .* incompatible type',
    "DeepNNClassifier(optimizer=3)": '"optimizer" .* incompatible type',
    'DeepNNClassifier(learning_rate="fast")': '"learning_rate" .* incompatible type',
    'DeepNNClassifier(learning_rate_schedule="cosin")': '"learning_rate_schedule" .* incompatible type',
    'DeepNNClassifier(weight_init="he")': '"weight_init" .* incompatible type',
    'DeepNNClassifier(scale_inputs="minmax")': '"scale_inputs" .* incompatible type',
    "DeepNNClassifier(max_iter=1.5)": '"max_iter" .* incompatible type "float"',
    "DeepNNClassifier(hidden_layer_sizes=(8,))": r'"hidden_layer_sizes" .* \[call-arg\]',
    'DeepNNClassifier((8,), "relu", 5)': r'"DeepNNClassifier" .*\[call-arg\]',
    "DeepNNClassifier().fit([[0.0]])": r'"y" .*\[call-arg\]',
    "DeepNNClassifier().fit(object(), [0])": '"fit" .* incompatible type "object"',
    "DeepNNClassifier().predict([[0.0]]).keys()": r'"keys" .*\[attr-defined\]',
    'DeepNNClassifier().input_gradients([[0.0]], of="odds")': '"of" .* incompatible type',
    'Adam(beta_1="0.9")': '"beta_1" .* incompatible type "str"',
    'EarlyStopping("loss")': '"EarlyStopping" has incompatible type',
    "TimeBudget(minutes=1)": r'"minutes" .*\[call-arg\]',
    "train_deep_network([[0.0]], [[0]], 3)": '"train_deep_network" has incompatible type "int"',
}
IMPORTS = [
    "from sklearn_deepnn import Adam, DeepNNClassifier, train_deep_network",
    "from sklearn_deepnn.callbacks import EarlyStopping, TimeBudget",
]


# Signatures.


def signatures(source):
    """Yield (name, function) for the functions of a module, and for the methods of its classes, that are public."""

    def of(node, prefix):
        for inner in ast.iter_child_nodes(node):
            name = getattr(inner, "name", "")
            if isinstance(inner, ast.FunctionDef) and (not name.startswith("_") or name == "__init__"):
                yield prefix + name, inner
            elif isinstance(inner, ast.If) or (isinstance(inner, ast.ClassDef) and not name.startswith("_")):
                yield from of(inner, f"{prefix}{name}." if name else prefix)

    yield from of(ast.parse(source), "")


def untyped(function):
    """Return the names of a function's arguments that lack a type, and "return" if that lacks one."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = [each.arg for each in every if each is not None and each.annotation is None]
    names = [name for name in names if name not in ("self", "cls")]
    return names if function.returns is not None else [*names, "return"]


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_public_signature_is_typed(path):
    lacking = {name: untyped(function) for name, function in signatures(path.read_text(encoding="utf-8"))}
    assert not {name: names for name, names in lacking.items() if names}


def test_signatures_without_types_are_found():
    source = """
def linear(A, *rest, W: int, b=0, **options): ...
class Layer:
    if True:
        def forward(self, A: int) -> int: ...
    def backward(self, dA: int): ...
    def __init__(self, n) -> None: ...
    def _private(self, n): ...
class _Private:
    def forward(self, A): ...
"""
    found = {name: untyped(function) for name, function in signatures(source)}
    assert found == {
        "linear": ["A", "b", "rest", "options", "return"],
        "Layer.forward": [],
        "Layer.backward": ["return"],
        "Layer.__init__": ["n"],
    }
    n_public = sum(len(list(signatures(path.read_text(encoding="utf-8")))) for path in FILES)
    assert n_public > 250


def test_every_fitted_attribute_has_a_type():
    documented = inspect.getdoc(DeepNNClassifier).partition("Attributes\n---")[2].partition("\nSee Also\n")[0]
    names = set(re.findall(r"^(\w+_) : ", documented, re.MULTILINE))
    assert {"classes_", "coefs_", "parameters_", "report_"} < names
    sources = [
        (PACKAGE / "estimators" / f"{file}.py").read_text(encoding="utf-8")
        for file in ("classifier", "base", "prediction")
    ]
    nodes = [node for source in sources for node in ast.parse(source).body]
    bodies = [
        node for node in nodes if getattr(node, "name", "") in ("DeepNNClassifier", "BaseDeepNN", "PredictionMixin")
    ]
    typed = (node.target for body in bodies for node in ast.walk(body) if isinstance(node, ast.AnnAssign))
    declared = {target.id for target in typed if isinstance(target, ast.Name)}
    properties = {name for name in names if isinstance(getattr(DeepNNClassifier, name, None), property)}
    assert names <= declared | properties


@pytest.mark.parametrize("parameter", NAMES)
def test_names_that_are_accepted_are_those_of_the_registry(parameter):
    literal, registry = NAMES[parameter]
    assert set(get_args(literal)) == set(registry)


@pytest.mark.parametrize("name", PUBLIC)
def test_type_hints_of_everything_public_are_found_when_it_runs(name):
    value = PUBLIC[name]
    get_type_hints(value)
    if inspect.isclass(value):
        get_type_hints(value.__init__)
        for member in vars(value).values():
            if isinstance(member, property):
                assert "return" in get_type_hints(member.fget)


@pytest.mark.parametrize("name", sklearn_deepnn.__all__)
def test_the_source_of_everything_exported_is_found(name):
    value = getattr(sklearn_deepnn, name)
    source = inspect.getsource(value)
    keyword = "class" if inspect.isclass(value) else "def"
    assert re.search(rf"^{keyword} {name}\b", source, re.MULTILINE)
    assert source in Path(inspect.getsourcefile(value)).read_text(encoding="utf-8")


def test_types_come_with_the_package():
    assert (PACKAGE / "py.typed").exists()


# What mypy says.


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What mypy says of the package, of code that is right and of code that is wrong: one run, of a few seconds."""
    pytest.importorskip("mypy", reason="mypy checks types")
    folder = tmp_path_factory.mktemp("typing")
    (folder / "right.py").write_text(RIGHT)
    (folder / "wrong.py").write_text("\n".join([*IMPORTS, *WRONG, ""]))
    command = [sys.executable, "-m", "mypy", "--config-file", CONFIGURATION, "--cache-dir", folder / "cache"]
    command += ["--no-error-summary", "--no-pretty", "-p", "sklearn_deepnn", "-m", "right", "-m", "wrong"]
    environment = dict(os.environ)
    if PACKAGE.parent.name != "site-packages":  # mypy looks there by itself, and refuses to be told of it
        environment["MYPYPATH"] = str(PACKAGE.parent)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr  # wrong.py is
    assert not done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_the_package_is_clean(said):
    assert not [line for line in said if "sklearn_deepnn" in line.partition(": error: ")[0]]


def test_user_code_that_is_right_is_accepted(said):
    assert not [line for line in said if line.startswith("right.py")]


@pytest.mark.parametrize("code", WRONG)
def test_user_code_that_is_wrong_is_refused(code, said):
    number = len(IMPORTS) + list(WRONG).index(code) + 1
    errors = [line for line in said if line.startswith(f"wrong.py:{number}: ")]
    assert len(errors) == 1
    assert re.search(WRONG[code], errors[0])
