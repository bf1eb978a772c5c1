"""ONNX: a fitted `DeepNNClassifier`, alone or in a Pipeline, as a graph that serves without Python.

skl2onnx converts; this tells it how (`register_converter`). Conventions: rows are samples, as graphs are fed with them:
`X` (m, n_0), weights (n_{l-1}, n_l); the members of an ensemble are stacked on a first axis. The names of values in the
graph stand for the values: `Z`, `A`, `ZL`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.utils.validation import check_is_fitted

from .checks import reject
from .estimators.classifier import DeepNNClassifier
from .network.activations import LEAKY_RELU_SLOPE, SELU_ALPHA, SELU_SCALE
from .network.model import Network, fold_batch_norm, names_of
from .typing import Array

if TYPE_CHECKING:
    from onnx import ModelProto
    from sklearn.base import BaseEstimator

OLDEST_OPSET = 13  # Softmax over one axis, axes of ReduceSum as input
AXES_AS_INPUT = 18  # opset from which on ReduceLogSumExp takes them so
OPTIONS: dict[str, list[Any]] = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}


def to_onnx(
    model: BaseEstimator, X: ArrayLike | None = None, *, options: dict[str, Any] | None = None, **settings: Any
) -> ModelProto:
    """Convert a fitted estimator that is, or that contains, a `DeepNNClassifier`.

    The graph takes any number of rows and has two outputs, the label and the probability of each class. For several
    labels at once, the labels are zeros and ones.

    Parameters
    ----------
    model : estimator
        A `DeepNNClassifier`, or a Pipeline, search or meta-estimator of which skl2onnx converts all else.
    X : array-like of shape (n_samples, n_features), default=None
        Rows as they will come; one is enough. Their dtype is the graph's: float32 is what serves fastest. Other kinds
        of inputs are told by `initial_types` of skl2onnx.
    options : dict, default=None
        Those of skl2onnx; "zipmap" is False if it is not among them: probabilities are an array, not a list of dicts.
        "raw_scores" has the graph return logits in place of probabilities.
    **settings
        Of `skl2onnx.to_onnx`: `initial_types`, `target_opset` (13 or newer), `name`, ...

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ImportError
        Without skl2onnx.
    NotFittedError
    ValueError
        If the opset is too old, or labels are neither strings nor numbers.
    """
    register_converter()
    import skl2onnx

    check_is_fitted(model)
    return skl2onnx.to_onnx(model, X, options={"zipmap": False, **(options or {})}, **settings)


def register_converter() -> None:
    """Tell skl2onnx how a `DeepNNClassifier` is converted, for those who call it themselves.

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
    shapes = calculate_linear_classifier_output_shapes  # of a label and a probability for each class
    update_registered_converter(DeepNNClassifier, "SklearnDeepNNClassifier", shapes, convert, options=OPTIONS)


class Graph:
    """What nodes are added to by calling it: ``Z = graph("Add", graph("MatMul", A_prev, W), b)``.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
        Gives names.
    container : skl2onnx.common._container.ModelComponentContainer
        Holds nodes and constants.
    dtype : dtype
        Of Python's numbers among the inputs of nodes.
    """

    scope: Any
    container: Any
    dtype: np.dtype[Any]

    def __init__(self, scope: Any, container: Any, dtype: DTypeLike) -> None:
        self.scope, self.container, self.dtype = scope, container, np.dtype(dtype)

    def __call__(self, op_type: str, *inputs: str | float | Array, output: str | None = None, **attributes: Any) -> str:
        """Add a node whose inputs are names, arrays or numbers; return the name of its output."""
        inputs = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = output or self.scope.get_unique_variable_name(op_type)
        name = self.scope.get_unique_operator_name(op_type)
        self.container.add_node(op_type, inputs, [output], name=name, **attributes)
        return output

    def constant(self, value: float | Array) -> str:
        """Add an array, or a number in the graph's dtype; return its name."""
        from onnx import TensorProto
        from onnx.helper import np_dtype_to_tensor_dtype

        array = value if isinstance(value, np.ndarray) else np.asarray(value, self.dtype)
        name = self.scope.get_unique_variable_name("constant")
        if array.dtype.kind in "OU":
            kind, values = TensorProto.STRING, [text.encode() for text in array.ravel()]
        else:
            kind, values = np_dtype_to_tensor_dtype(array.dtype), array.ravel()
        self.container.add_initializer(name, kind, array.shape, values)
        return name

    def cast(self, value: str, dtype: DTypeLike, **settings: Any) -> str:
        """Convert what a name stands for; return the name of the result."""
        from onnx.helper import np_dtype_to_tensor_dtype

        return self("Cast", value, to=np_dtype_to_tensor_dtype(np.dtype(dtype)), **settings)

    def log_sum_exp(self, value: str) -> str:
        """Sum the exponentials of what is stacked on the first axis; return the name of their logarithm."""
        if self.container.target_opset < AXES_AS_INPUT:
            return self("ReduceLogSumExp", value, axes=[0], keepdims=0)
        return self("ReduceLogSumExp", value, np.zeros(1, np.int64), keepdims=0)


# Activations: each takes the graph and Z, and returns A. LeakyRelu, Elu, Selu and Softplus are not used, since
# onnxruntime has them for float32 alone.


def negative_part(graph: Graph, Z: str, factor: float) -> str:
    """Take factor (exp(Z) - 1) where Z < 0, else 0."""
    return graph("Mul", graph("Sub", graph("Exp", graph("Min", Z, 0)), 1), factor)


def selu(graph: Graph, Z: str) -> str:
    """Apply the scaled exponential linear unit: A = scale (Z where Z > 0, else alpha (exp(Z) - 1))."""
    return graph("Mul", graph("Add", graph("Relu", Z), negative_part(graph, Z, SELU_ALPHA)), SELU_SCALE)


def gelu(graph: Graph, Z: str) -> str:
    """Weigh by the normal distribution function: A = Z/2 (1 + erf(Z / sqrt(2)))."""
    scaled = graph("Mul", Z, 0.5**0.5)
    if graph.dtype == np.float32:
        erf = graph("Erf", scaled)
    else:  # onnxruntime has it for float32 alone
        erf = graph.cast(graph("Erf", graph.cast(scaled, np.float32)), graph.dtype)
    return graph("Mul", graph("Mul", Z, 0.5), graph("Add", erf, 1))


def silu(graph: Graph, Z: str) -> str:
    """Weigh by the sigmoid: A = Z sigmoid(Z) = Z / (1 + exp(-Z))."""
    if graph.dtype == np.float32:  # onnxruntime fuses these two: the automatic network takes a quarter less time
        return graph("Mul", Z, graph("Sigmoid", Z))
    # of float64 it cannot run what it fuses, as of 1.19
    return graph("Div", Z, graph("Add", graph("Exp", graph("Neg", Z)), 1))


def softplus(graph: Graph, Z: str) -> str:
    """Smooth the rectifier: A = log(1 + exp(Z)) = max(Z, 0) + log(1 + exp(-|Z|))."""
    return graph("Add", graph("Relu", Z), graph("Log", graph("Add", graph("Exp", graph("Neg", graph("Abs", Z))), 1)))


EXPRESSIONS: dict[str, Callable[[Graph, str], str]] = {  # for each of `ACTIVATIONS`
    "relu": lambda graph, Z: graph("Relu", Z),
    "leaky_relu": lambda graph, Z: graph("Max", Z, graph("Mul", Z, LEAKY_RELU_SLOPE)),
    "elu": lambda graph, Z: graph("Add", graph("Relu", Z), negative_part(graph, Z, 1)),
    "selu": selu,
    "gelu": gelu,
    "silu": silu,
    "mish": lambda graph, Z: graph("Mul", Z, graph("Tanh", softplus(graph, Z))),
    "softplus": softplus,
    "tanh": lambda graph, Z: graph("Tanh", Z),
    "sigmoid": lambda graph, Z: graph("Sigmoid", Z),
    "identity": lambda graph, Z: Z,
}


# Links: each takes the graph and ZL, and returns AL.


LINKS: dict[str, Callable[[Graph, str], str]] = {
    "sigmoid": lambda graph, ZL: graph("Sigmoid", ZL),
    "softmax": lambda graph, ZL: graph("Softmax", ZL, axis=1),
}


def log_sigmoid(graph: Graph, Z: str) -> str:
    """Take log(sigmoid(Z)) = -log(1 + exp(-Z))."""
    return graph("Neg", softplus(graph, graph("Neg", Z)))


def joint_logits(graph: Graph, ZL: str, link: str, ensemble_size: int) -> str:
    """Take the logits of the mean probability that the members of an ensemble give, as `losses.joint_logits` does."""
    if link == "sigmoid":
        yes, no = log_sigmoid(graph, ZL), log_sigmoid(graph, graph("Neg", ZL))
        return graph("Sub", graph.log_sum_exp(yes), graph.log_sum_exp(no))
    return graph("Sub", graph.log_sum_exp(graph("LogSoftmax", ZL, axis=2)), np.log(ensemble_size))


# The network.


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of one fitted `DeepNNClassifier` to a graph: the converter that skl2onnx calls.

    It computes in float64 if both the input and the network are of that, otherwise in float32.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
    operator : skl2onnx.common._topology.Operator
        Has the estimator, its input and its two outputs.
    container : skl2onnx.common._container.ModelComponentContainer

    Raises
    ------
    InvalidParameterError
        If the opset is too old.
    """
    from skl2onnx.common.data_types import DoubleTensorType
    from skl2onnx.common.utils_classifier import get_label_classes

    if container.target_opset < OLDEST_OPSET:
        reject("target_opset", f"an opset from {OLDEST_OPSET} on", container.target_opset)
    model, takes_double = operator.raw_operator, isinstance(operator.inputs[0].type, DoubleTensorType)
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
    if takes_double and graph.dtype != np.float64:
        graph.cast(outputs, np.float64, output=scores)
    else:
        graph("Identity", outputs, output=scores)  # which skl2onnx takes out again


def logits(graph: Graph, variable: Any, model: DeepNNClassifier) -> str:
    """Add the network without its link.

    Parameters
    ----------
    graph : Graph
    variable : skl2onnx.common._topology.Variable
        The input.
    model : DeepNNClassifier

    Returns
    -------
    str
        The name of the logits (m, n_L), of an ensemble the joint ones.
    """
    network = Network.restore(model.network_)
    parameters = fold_batch_norm({name: array.astype(np.float64) for name, array in model.parameters_.items()})
    A, center = centred_input(graph, variable, model)
    parameters["b1"] = parameters["b1"] + parameters["W1"] @ center
    for l in range(1, network.n_layers + 1):
        name = names_of(l)
        W, b = (parameters[key].mT.astype(graph.dtype) for key in (name.W, name.b))
        Z = graph("Add", graph("MatMul", A, W), b)
        A = Z if l == network.n_layers else EXPRESSIONS[network.activation[l - 1]](graph, Z)
    stacked = network.ensemble_size > 1
    return joint_logits(graph, A, model.out_activation_, network.ensemble_size) if stacked else A


def centred_input(graph: Graph, variable: Any, model: DeepNNClassifier) -> tuple[str, Array]:
    """Subtract the centers of the features, in the precision of the input.

    A feature far from zero would lose in float32 what it varies by: its product with W1 is large, and b1 as large.

    Parameters
    ----------
    graph, variable, model
        As in `logits`.

    Returns
    -------
    A0 : str
        The name of the centred input (m, n_0), in the graph's dtype.
    center : ndarray of shape (n_0, 1)
        What was subtracted, which is rounded: the first layer makes up for just that.
    """
    from skl2onnx.common.data_types import BooleanTensorType, DoubleTensorType, FloatTensorType

    single = isinstance(variable.type, (FloatTensorType, BooleanTensorType))
    dtype, A0 = np.dtype(np.float32 if single else np.float64), variable.full_name
    if not isinstance(variable.type, (FloatTensorType, DoubleTensorType)):
        A0 = graph.cast(A0, dtype)
    center = np.zeros(model.n_features_in_, dtype)
    if hasattr(model, "input_center_"):
        center = model.input_center_.astype(dtype)
        A0 = graph("Sub", A0, center)
    return A0 if dtype == graph.dtype else graph.cast(A0, graph.dtype), center[:, np.newaxis].astype(np.float64)
