"""Export to ONNX: a fitted `DeepNNClassifier`, alone or in a Pipeline, becomes a graph that predicts without Python.

skl2onnx converts estimators, and calls `convert` for this one. Conventions: rows are samples, `X` (m, n_0); weights
have shape (n_{l-1}, n_l); the members of an ensemble are stacked on a first axis. A variable that stands for a value of
the graph, such as `Z`, `A` or `ZL`, holds its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .checks import check_choice, reject
from .estimators.classifier import DeepNNClassifier
from .network.activations import LEAKY_RELU_SLOPE, SELU_ALPHA, SELU_SCALE
from .network.architecture import Network
from .network.model import fold_batch_norm, names_of
from .typing import Array

if TYPE_CHECKING:
    from onnx import ModelProto
else:  # so that typing.get_type_hints works without importing onnx
    ModelProto = Any

OLDEST_OPSET = 13  # Softmax over one axis, axes of ReduceSum as input
AXES_AS_INPUT = 18  # the first opset in which ReduceLogSumExp has its axes as an input
OPTIONS: dict[str, list[Any]] = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}


def to_onnx(
    model: BaseEstimator, X: ArrayLike | None = None, *, options: dict[str, Any] | None = None, **settings: Any
) -> ModelProto:
    """Convert a fitted estimator that is, or contains, a `DeepNNClassifier`.

    The graph takes any number of rows. Its outputs are the label and the probability of each class; for multilabel
    targets, the labels are zeros and ones.

    Parameters
    ----------
    model : estimator
        A `DeepNNClassifier`, or a Pipeline, search or meta-estimator whose other steps skl2onnx can convert.
    X : array-like of shape (n_samples, n_features), default=None
        Sample inputs; one row is enough. The graph takes their dtype. float32 is fastest. Without X, give skl2onnx's
        `initial_types`.
    options : dict, default=None
        Options of skl2onnx. "zipmap" is False by default: probabilities are an array, not a list of dicts.
        "raw_scores" returns logits instead of probabilities.
    **settings
        Settings of `skl2onnx.to_onnx`: `initial_types`, `target_opset` (13 or newer), `name`, ...

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ImportError
        Without skl2onnx.
    NotFittedError
    ValueError
        If the opset is too old, an activation has no ONNX expression, or labels are neither strings nor numbers.
    """
    register_converter()
    import skl2onnx

    check_is_fitted(model)
    return skl2onnx.to_onnx(model, X, options={"zipmap": False, **(options or {})}, **settings)


def register_converter() -> None:
    """Register the converter of `DeepNNClassifier`, for programs that call skl2onnx themselves.

    Raises
    ------
    ImportError
        Without skl2onnx.
    """
    try:
        from skl2onnx import update_registered_converter
        from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    except ImportError as error:
        raise ImportError("Conversion to ONNX needs skl2onnx: pip install 'sklearn-deepnn[onnx]'") from error
    shapes = calculate_linear_classifier_output_shapes  # of the label and the probability of each class
    update_registered_converter(DeepNNClassifier, "SklearnDeepNNClassifier", shapes, convert, options=OPTIONS)


class Graph:
    """A graph under construction; a call adds a node: ``Z = graph("Add", graph("MatMul", A_prev, W), b)``."""

    def __init__(self, scope: Any, container: Any, dtype: DTypeLike) -> None:
        self.scope, self.container = scope, container  # skl2onnx's: makes unique names, holds nodes and constants
        self.dtype = np.dtype(dtype)  # of inputs that are Python numbers

    def __call__(self, op_type: str, *inputs: str | float | Array, output: str | None = None, **attributes: Any) -> str:
        """Add a node whose inputs are names, arrays or numbers; return the name of its output."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = output or self.scope.get_unique_variable_name(op_type)
        name = self.scope.get_unique_operator_name(op_type)
        self.container.add_node(op_type, names, [output], name=name, **attributes)
        return output

    def constant(self, value: float | Array) -> str:
        """Add an array, or a number in the graph's dtype; return its name."""
        from onnx.helper import np_dtype_to_tensor_dtype

        array = value if isinstance(value, np.ndarray) else np.asarray(value, self.dtype)
        name, values = self.scope.get_unique_variable_name("constant"), array.ravel()
        if array.dtype.kind in "OU":
            values = [text.encode() for text in values]
        kind = np_dtype_to_tensor_dtype(np.dtype(object) if array.dtype.kind == "U" else array.dtype)  # of strings
        self.container.add_initializer(name, kind, array.shape, values)
        return name

    def cast(self, value: str, dtype: DTypeLike, **settings: Any) -> str:
        """Convert a value to a dtype; return the name of the result."""
        from onnx.helper import np_dtype_to_tensor_dtype

        return self("Cast", value, to=np_dtype_to_tensor_dtype(np.dtype(dtype)), **settings)

    def log_sum_exp(self, value: str) -> str:
        """Return the name of log(sum(exp(value))), summed over the first axis."""
        if self.container.target_opset < AXES_AS_INPUT:
            return self("ReduceLogSumExp", value, axes=[0], keepdims=0)
        return self("ReduceLogSumExp", value, np.zeros(1, np.int64), keepdims=0)


# Activations take the graph and Z, and return A. onnxruntime has LeakyRelu, Elu, Selu and Softplus for float32 only.


def elu(graph: Graph, Z: str, alpha: float = 1.0) -> str:
    """Apply the exponential linear unit: A = max(Z, 0) + alpha (exp(min(Z, 0)) - 1)."""
    negative_part = graph("Mul", graph("Sub", graph("Exp", graph("Min", Z, 0)), 1), alpha)
    return graph("Add", graph("Relu", Z), negative_part)


def gelu(graph: Graph, Z: str) -> str:
    """Apply the Gaussian error linear unit: A = Z/2 (1 + erf(Z / sqrt(2)))."""
    scaled = graph("Mul", Z, 0.5**0.5)
    if graph.dtype == np.float32:
        erf = graph("Erf", scaled)
    else:  # onnxruntime implements Erf for float32 only
        erf = graph.cast(graph("Erf", graph.cast(scaled, np.float32)), graph.dtype)
    return graph("Mul", graph("Mul", Z, 0.5), graph("Add", erf, 1))


def silu(graph: Graph, Z: str) -> str:
    """Apply the sigmoid-weighted linear unit: A = Z sigmoid(Z) = Z / (1 + exp(-Z))."""
    if graph.dtype == np.float32:  # onnxruntime fuses these two nodes: the default network takes a quarter less time
        return graph("Mul", Z, graph("Sigmoid", Z))
    # onnxruntime 1.19 cannot run the fused node in float64
    return graph("Div", Z, graph("Add", graph("Exp", graph("Neg", Z)), 1))


def softplus(graph: Graph, Z: str) -> str:
    """Compute A = log(1 + exp(Z)) = max(Z, 0) + log(1 + exp(-|Z|))."""
    return graph("Add", graph("Relu", Z), graph("Log", graph("Add", graph("Exp", graph("Neg", graph("Abs", Z))), 1)))


EXPRESSIONS: dict[str, Callable[[Graph, str], str]] = {  # for each of `ACTIVATIONS`
    "relu": lambda graph, Z: graph("Relu", Z),
    "leaky_relu": lambda graph, Z: graph("Max", Z, graph("Mul", Z, LEAKY_RELU_SLOPE)),
    "elu": elu,
    "selu": lambda graph, Z: graph("Mul", elu(graph, Z, SELU_ALPHA), SELU_SCALE),
    "gelu": gelu,
    "silu": silu,
    "mish": lambda graph, Z: graph("Mul", Z, graph("Tanh", softplus(graph, Z))),
    "softplus": softplus,
    "tanh": lambda graph, Z: graph("Tanh", Z),
    "sigmoid": lambda graph, Z: graph("Sigmoid", Z),
    "identity": lambda graph, Z: Z,
}


def expression_of(activation: Any) -> Callable[[Graph, str], str]:
    """Return the function in `EXPRESSIONS` that adds an activation to a graph."""
    return EXPRESSIONS[check_choice("activation", activation, EXPRESSIONS, otherwise=" for export to ONNX")]


LINKS: dict[str, Callable[[Graph, str], str]] = {  # each takes the graph and ZL, and returns AL
    "sigmoid": lambda graph, ZL: graph("Sigmoid", ZL),
    "softmax": lambda graph, ZL: graph("Softmax", ZL, axis=1),
}


def joint_logits(graph: Graph, ZL: str, link: str, ensemble_size: int) -> str:
    """Compute the logits of an ensemble's mean probability, as `joint_logits` of the network does."""
    if link == "softmax":
        return graph("Sub", graph.log_sum_exp(graph("LogSoftmax", ZL, axis=2)), np.log(ensemble_size))
    log_p = graph("Neg", softplus(graph, graph("Neg", ZL)))  # log(sigmoid(ZL))
    log_1_minus_p = graph("Neg", softplus(graph, ZL))
    return graph("Sub", graph.log_sum_exp(log_p), graph.log_sum_exp(log_1_minus_p))


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a fitted `DeepNNClassifier` to a graph. This is the converter that skl2onnx calls."""
    from skl2onnx.common.data_types import DoubleTensorType
    from skl2onnx.common.utils_classifier import get_label_classes

    if container.target_opset < OLDEST_OPSET:
        reject("target_opset", f"at least {OLDEST_OPSET}", container.target_opset)
    model, takes_double = operator.raw_operator, isinstance(operator.inputs[0].type, DoubleTensorType)
    # float64 only if both the input and the network are float64
    graph = Graph(scope, container, model.parameters_["W1"].dtype if takes_double else np.float32)
    ZL = logits(graph, operator.inputs[0], model)
    if model.n_outputs_ < len(model.classes_):  # one logit for two classes
        ZL = graph("Concat", graph("Neg", ZL), ZL, axis=1)
    label, scores = (variable.full_name for variable in operator.outputs)
    if model.multilabel_:
        graph.cast(graph("Greater", ZL, 0), np.int64, output=label)
    else:
        classes = get_label_classes(scope, model)
        classes = classes if classes.dtype.kind in "OU" else classes.astype(np.int64)
        graph("Gather", classes, graph("ArgMax", ZL, axis=1, keepdims=0), output=label)
    raw = container.get_options(model, {"raw_scores": False})["raw_scores"]
    outputs = ZL if raw else LINKS[model.out_activation_](graph, ZL)
    graph.cast(outputs, np.float64 if takes_double else np.float32, output=scores)


def logits(graph: Graph, variable: Any, model: DeepNNClassifier) -> str:
    """Add the layers without the link; return the name of the logits (m, n_L), of an ensemble the joint logits."""
    network = Network.restore(model.network_)
    parameters = fold_batch_norm({name: array.astype(np.float64) for name, array in model.parameters_.items()})
    A, center = centered_input(graph, variable, model)
    parameters["b1"] = parameters["b1"] + parameters["W1"] @ center
    for l in range(1, network.n_layers + 1):
        name = names_of(l)
        W, b = (parameters[key].mT.astype(graph.dtype) for key in (name.W, name.b))
        Z = graph("Add", graph("MatMul", A, W), b)
        A = Z if l == network.n_layers else expression_of(network.activation[l - 1])(graph, Z)
    return A if network.ensemble_size == 1 else joint_logits(graph, A, model.out_activation_, network.ensemble_size)


def centered_input(graph: Graph, variable: Any, model: DeepNNClassifier) -> tuple[str, Array]:
    """Subtract the centers of the features from the input; return the name of A0 (m, n_0), and the centers (n_0, 1)."""
    from skl2onnx.common.data_types import BooleanTensorType, DoubleTensorType, FloatTensorType

    single = isinstance(variable.type, (FloatTensorType, BooleanTensorType))
    dtype, A0 = np.dtype(np.float32 if single else np.float64), variable.full_name
    if not isinstance(variable.type, (FloatTensorType, DoubleTensorType)):
        A0 = graph.cast(A0, dtype)
    center = np.zeros(model.n_features_in_, dtype)
    if hasattr(model, "input_center_"):
        # in the input's dtype: the graph's float32 would lose the variation of features far from 0
        center = model.input_center_.astype(dtype)
        A0 = graph("Sub", A0, center)
    return A0 if dtype == graph.dtype else graph.cast(A0, graph.dtype), center[:, np.newaxis].astype(np.float64)
