"""Export to ONNX: a fitted estimator, alone or in a Pipeline, becomes a graph that predicts without Python.

skl2onnx converts estimators, and calls `convert` or `convert_regressor` for these.

Conventions: rows are samples, `X` (m, n_features) and `A0` (m, n_0); weights have shape (n_{l-1}, n_l); the members of
an ensemble are stacked on a first axis. A variable that stands for a value of the graph, such as `Z`, `A` or `ZL`,
holds its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_is_fitted

from .checks import check_choice, reject
from .estimators.categories import Categories, restore_categories
from .estimators.classifier import DeepNNClassifier
from .estimators.regressor import DeepNNRegressor
from .estimators.resuming import restore_encoding
from .network.activations import LEAKY_RELU_SLOPE, SELU_ALPHA, SELU_SCALE
from .network.architecture import Network
from .network.encoding import MOST_CLIPPED, PARTS, Bins, Codes, Encoding, Gaps, Numbers, OneHot
from .network.links import Exponential
from .network.model import fold_batch_norm, names_of
from .typing import Array, Arrays

if TYPE_CHECKING:
    from onnx import ModelProto
else:  # so that typing.get_type_hints works without importing onnx
    ModelProto = Any

DeepNN: TypeAlias = DeepNNClassifier | DeepNNRegressor

OLDEST_OPSET = 13  # Softmax over one axis, axes of ReduceSum as input
AXES_AS_INPUT = 18  # the first opset in which ReduceLogSumExp and ReduceMean have their axes as an input
OPTIONS: dict[str, list[Any]] = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}
GAP_TEXTS = "", "None", "nan", "<NA>"  # onnxruntime makes such text of None, NaN and pandas.NA


def to_onnx(
    model: BaseEstimator, X: ArrayLike | None = None, *, options: dict[str, Any] | None = None, **settings: Any
) -> ModelProto:
    """Convert a fitted estimator that is, or contains, a `DeepNNClassifier` or `DeepNNRegressor`.

    The graph takes any number of rows. Its outputs are the label and the probability of each class; for multilabel
    targets, the labels are zeros and ones. A regressor has one output, the predictions (m, n_outputs). NaN in the
    inputs is a gap, as in `predict`.

    Parameters
    ----------
    model : estimator
        A `DeepNNClassifier` or `DeepNNRegressor`, or a Pipeline, search or meta-estimator whose other steps skl2onnx
        can convert.
    X : array-like of shape (n_samples, n_features), default=None
        Sample inputs; one row is enough. The graph takes their dtype. float32 is fastest. Each column of a data frame
        becomes an input of its own, of text if its categories are text. Without X, give skl2onnx's `initial_types`.
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
        If the opset is too old, an activation has no ONNX expression, labels are neither strings nor numbers, or the
        inputs have other columns than X in `fit`.
    """
    register_converter()
    import skl2onnx

    check_is_fitted(model)
    if isinstance(model, DeepNN) and hasattr(X, "dtypes") and "initial_types" not in settings:
        X, settings = None, {**settings, "initial_types": types_of_columns(model, X)}
    of_classes = {"zipmap": False} if is_classifier(model) else {}
    return skl2onnx.to_onnx(model, X, options={**of_classes, **(options or {})}, **settings)


def types_of_columns(model: DeepNN, frame: Any) -> list[tuple[str, Any]]:
    """Return the inputs of a graph, one for each column of a data frame: (name, type of skl2onnx)."""
    from skl2onnx.common.data_types import (
        BooleanTensorType,
        DoubleTensorType,
        FloatTensorType,
        Int64TensorType,
        StringTensorType,
    )

    of_dtypes = {
        "float32": FloatTensorType,
        "int64": Int64TensorType,
        "int32": Int64TensorType,
        "bool": BooleanTensorType,
    }
    known = restore_categories(getattr(model, "categories_", None), model.n_features_in_)
    types = []
    for name, dtype, categories in zip(frame.columns, frame.dtypes, known, strict=True):
        kinds = set() if categories is None else set(map(type, categories.values))
        if str in kinds:
            kind = StringTensorType
        elif categories is not None and kinds == {int} and categories.missing < 0:
            kind = Int64TensorType
        else:  # numbers of other dtypes, such as nullable ones, may have gaps, which are nan
            kind = of_dtypes.get(str(dtype), DoubleTensorType)
        types.append((str(name), kind([None, 1])))
    return types


def register_converter() -> None:
    """Register the converters of the estimators, for programs that call skl2onnx themselves.

    Raises
    ------
    ImportError
        Without skl2onnx.
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError("Conversion to ONNX needs skl2onnx: pip install 'sklearn-deepnn[onnx]'") from error
    update_registered_converter(DeepNNClassifier, "SklearnDeepNNClassifier", set_output_types, convert, options=OPTIONS)
    update_registered_converter(
        DeepNNRegressor, "SklearnDeepNNRegressor", set_output_type_of_regressor, convert_regressor
    )


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

    def mean(self, value: str) -> str:
        """Return the name of the mean over the first axis."""
        if self.container.target_opset < AXES_AS_INPUT:
            return self("ReduceMean", value, axes=[0], keepdims=0)
        return self("ReduceMean", value, np.zeros(1, np.int64), keepdims=0)


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


def exponential_limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the logits between which the exponential is computed, as `Exponential` clips them."""
    ends = Exponential.clipped(np.array([-np.inf, np.inf], dtype))
    return float(ends[0]), float(ends[1])


def clipped(graph: Graph, ZL: str) -> str:
    """Clip logits as `Exponential.clipped` does."""
    low, high = exponential_limits(graph.dtype)
    return graph("Min", graph("Max", ZL, low), high)


LINKS: dict[str, Callable[[Graph, str], str]] = {  # each takes the graph and ZL, and returns AL
    "sigmoid": lambda graph, ZL: graph("Sigmoid", ZL),
    "softmax": lambda graph, ZL: graph("Softmax", ZL, axis=1),
    "identity": lambda graph, ZL: ZL,
    "exp": lambda graph, ZL: graph("Exp", clipped(graph, ZL)),
}


# The logits of an ensemble's mean prediction take the graph, ZL and the number of members, as `Link.joint_logits`.


def joint_sigmoid(graph: Graph, ZL: str, ensemble_size: int) -> str:
    """Compute log(P) - log(1 - P) of the mean probability P."""
    log_p = graph("Neg", softplus(graph, graph("Neg", ZL)))  # log(sigmoid(ZL))
    log_1_minus_p = graph("Neg", softplus(graph, ZL))
    return graph("Sub", graph.log_sum_exp(log_p), graph.log_sum_exp(log_1_minus_p))


def joint_softmax(graph: Graph, ZL: str, ensemble_size: int) -> str:
    """Compute the logarithms of the mean probabilities."""
    return graph("Sub", graph.log_sum_exp(graph("LogSoftmax", ZL, axis=2)), np.log(ensemble_size))


def joint_exp(graph: Graph, ZL: str, ensemble_size: int) -> str:
    """Compute the logarithm of the mean of exp(ZL)."""
    return graph("Sub", graph.log_sum_exp(clipped(graph, ZL)), np.log(ensemble_size))


def joint_identity(graph: Graph, ZL: str, ensemble_size: int) -> str:
    """Compute the mean of ZL."""
    return graph.mean(ZL)


JOINT_LOGITS: dict[str, Callable[[Graph, str, int], str]] = {  # for each of `LINKS`
    "sigmoid": joint_sigmoid,
    "softmax": joint_softmax,
    "identity": joint_identity,
    "exp": joint_exp,
}


# Parts of an encoding take the graph, the part, T (m, n_features) and which values are missing. They return the rows of
# the part as columns (m, n_rows), as the part's `forward` does.


def columns(graph: Graph, A: str, feature: Array) -> str:
    """Return the name of the columns of some features."""
    return graph("Gather", A, feature.astype(np.int64), axis=1)


def standardized(graph: Graph, A: str, mean: Array, scale: Array) -> str:
    """Compute (A - mean) / scale, from mean and scale (n_rows, 1)."""
    return graph("Div", graph("Sub", A, mean.mT.astype(graph.dtype)), scale.mT.astype(graph.dtype))


def numbers(graph: Graph, part: Numbers, T: str, missing: str) -> str:
    """Compute A = gain Z / sqrt(1 + (Z / clip)^2), a smooth clip of Z = (T - center) / scale."""
    Z = standardized(graph, columns(graph, T, part.feature), part.center, part.scale)
    if np.isfinite(part.clip).any():
        most = (MOST_CLIPPED * part.clip.mT).astype(graph.dtype)  # the square of larger numbers would overflow
        Z = graph("Min", graph("Max", Z, -most), most)
        ratio = graph("Div", Z, part.clip.mT.astype(graph.dtype))
        Z = graph("Div", Z, graph("Sqrt", graph("Add", graph("Mul", ratio, ratio), 1)))
    return Z if part.gain == 1 else graph("Mul", Z, part.gain)


def bins(graph: Graph, part: Bins, T: str, missing: str) -> str:
    """Compute A = clip((T - low) / width, 0, 1), standardized."""
    Z = standardized(graph, columns(graph, T, part.feature), part.low, part.width)
    return standardized(graph, graph("Min", graph("Max", Z, 0), 1), part.mean, part.scale)


def gaps(graph: Graph, part: Gaps, T: str, missing: str) -> str:
    """Compute 1 for a gap and otherwise 0, standardized."""
    return standardized(graph, graph.cast(columns(graph, missing, part.feature), graph.dtype), part.mean, part.scale)


def one_hot(graph: Graph, part: OneHot, T: str, missing: str) -> str:
    """Compute 1 for a category and otherwise 0, standardized; 0 for unknown categories."""
    codes = columns(graph, T, part.feature)
    hot = graph.cast(graph("Equal", codes, part.code.mT.astype(graph.dtype)), graph.dtype)
    return graph("Where", graph("Less", codes, 0), 0, standardized(graph, hot, part.mean, part.scale))


def embedding_columns(graph: Graph, part: Codes, T: str, missing: str) -> str:
    """Compute the columns of E, as integers."""
    codes = columns(graph, T, part.feature)
    shifted = graph("Add", codes, part.start.mT.astype(graph.dtype))
    return graph.cast(graph("Where", graph("Less", codes, 0), part.n_categories, shifted), np.int64)


PART_EXPRESSIONS: dict[str, Callable[[Graph, Any, str, str], str]] = {  # for each of `PARTS`
    "numbers": numbers,
    "bins": bins,
    "gaps": gaps,
    "one_hot": one_hot,
    "codes": embedding_columns,
}


def embedded(graph: Graph, codes: str, E: Array, n_features: int) -> str:
    """Replace codes (m, k) of k features by their vectors A (m, d k), as `embedding_forward` does."""
    *stack, d, _ = E.shape
    s = len(stack)
    by_number = graph("Gather", E.astype(graph.dtype), codes, axis=s + 1)  # (d, m, k)
    by_sample = graph("Transpose", by_number, perm=[*range(s), s + 1, s, s + 2])  # (m, d, k)
    return graph("Reshape", by_sample, np.array([*stack, 0, d * n_features]))  # 0 keeps m


def set_output_types(operator: Any) -> None:
    """Set the types of the label and the probability of each class. skl2onnx calls this before `convert`."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
    from skl2onnx.common.utils_classifier import get_label_classes

    model, n = operator.raw_operator, operator.inputs[0].get_first_dimension()
    classes = get_label_classes(operator.scope_inst, model)
    is_text = all(isinstance(each, str) for each in classes)
    if not is_text and classes.dtype.kind not in "biuf":
        reject("y", "strings or numbers for export to ONNX", classes.tolist())
    label, scores = operator.outputs
    label_type = StringTensorType if is_text else Int64TensorType
    label.set_type(label_type([n, len(classes)] if model.multilabel_ else [n]))
    scores.set_type((DoubleTensorType if takes_double(operator) else FloatTensorType)([n, len(classes)]))


def takes_double(operator: Any) -> bool:
    """Say whether an input is float64: the outputs are then float64."""
    from skl2onnx.common.data_types import DoubleTensorType

    return any(isinstance(variable.type, DoubleTensorType) for variable in operator.inputs)


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a fitted `DeepNNClassifier` to a graph. This is the converter that skl2onnx calls."""
    from skl2onnx.common.utils_classifier import get_label_classes

    model, is_double = operator.raw_operator, takes_double(operator)
    graph = graph_of(scope, operator, container)
    ZL = logits(graph, operator.inputs, model)
    if model._has_one_logit():
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
    graph.cast(outputs, np.float64 if is_double else np.float32, output=scores)


def graph_of(scope: Any, operator: Any, container: Any) -> Graph:
    """Return the graph that an estimator is added to."""
    if container.target_opset < OLDEST_OPSET:
        reject("target_opset", f"at least {OLDEST_OPSET}", container.target_opset)
    # float64 only if both the input and the network are float64
    is_double = takes_double(operator)
    return Graph(scope, container, operator.raw_operator.parameters_["W1"].dtype if is_double else np.float32)


def set_output_type_of_regressor(operator: Any) -> None:
    """Set the type of the predictions. skl2onnx calls this before `convert_regressor`."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    n = operator.inputs[0].get_first_dimension()
    kind = DoubleTensorType if takes_double(operator) else FloatTensorType
    operator.outputs[0].set_type(kind([n, operator.raw_operator.n_outputs_]))


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a fitted `DeepNNRegressor` to a graph. This is the converter that skl2onnx calls."""
    model, graph = operator.raw_operator, graph_of(scope, operator, container)
    AL = LINKS[model.out_activation_](graph, logits(graph, operator.inputs, model))
    dtype = np.dtype(np.float64 if takes_double(operator) else np.float32)
    center = np.atleast_1d(model.target_center_ + model.target_offset_).astype(dtype)
    scale = np.atleast_1d(model.target_scale_).astype(dtype)
    y = AL if graph.dtype == dtype else graph.cast(AL, dtype)
    graph("Add", graph("Mul", y, scale), center, output=operator.outputs[0].full_name)


def logits(graph: Graph, variables: Sequence[Any], model: DeepNN) -> str:
    """Add the layers without the link; return the name of the logits (m, n_L), of an ensemble the joint logits."""
    network, encoding = Network.restore(model.network_), restore_encoding(vars(model))
    parameters = fold_batch_norm({name: array.astype(np.float64) for name, array in model.parameters_.items()})
    X, dtype = joined_inputs(graph, variables, model)
    if encoding is None:
        A0, center = centered_input(graph, X, dtype, model)
        blocks = [(A0, model.n_features_in_)]
        parameters["b1"] = parameters["b1"] + parameters["W1"] @ center
    else:
        blocks = encoded_input(graph, X, dtype, encoding, parameters)
    for l in range(1, network.n_layers + 1):
        name = names_of(l)
        W, b = (parameters[key].mT.astype(graph.dtype) for key in (name.W, name.b))
        A = linear(graph, blocks, W, b)
        if l < network.n_layers:
            A = expression_of(network.activation[l - 1])(graph, A)
        blocks = [(A, network.layer_dims[l])]
    return A if network.ensemble_size == 1 else JOINT_LOGITS[model.out_activation_](graph, A, network.ensemble_size)


def linear(graph: Graph, blocks: Sequence[tuple[str, int]], W: Array, b: Array) -> str:
    """Compute Z = A_prev W + b, from the blocks of A_prev and the number of columns of each."""
    stops = np.cumsum([n for _, n in blocks])
    first, *others = (graph("MatMul", A, W_A) for (A, _), W_A in zip(blocks, np.split(W, stops[:-1], axis=-2)))
    Z = graph("Add", first, b)
    for product in others:
        Z = graph("Add", Z, product)
    return Z


def joined_inputs(graph: Graph, variables: Sequence[Any], model: DeepNN) -> tuple[str, np.dtype[Any]]:
    """Join the inputs; return the name of X (m, n_features), in which categories are codes, and its dtype."""
    from skl2onnx.common.data_types import BooleanTensorType, FloatTensorType, StringTensorType

    singles = FloatTensorType, BooleanTensorType, StringTensorType
    dtype = np.dtype(np.float32 if all(isinstance(each.type, singles) for each in variables) else np.float64)
    labels = getattr(model, "feature_names_in_", range(model.n_features_in_))
    known = restore_categories(vars(model).get("categories_"), model.n_features_in_)
    blocks, order = [], []
    for variable, features in zip(variables, features_of(variables, model.n_features_in_)):
        name, is_text = variable.full_name, isinstance(variable.type, StringTensorType)
        of_numbers = [j for j in features if known[j] is None]
        if of_numbers:
            is_whole = len(of_numbers) == len(features)
            blocks.append(name if is_whole else columns(graph, name, np.array(of_numbers) - features[0]))
        of_categories = [(j, each) for j in features if (each := known[j]) is not None]
        for j, categories in of_categories:
            column = columns(graph, name, np.array([j - features[0]]))
            blocks.append(codes_of(graph, column, is_text, categories, labels[j]))
        order += [*of_numbers, *(j for j, _ in of_categories)]
    blocks = [graph.cast(block, dtype) for block in blocks]
    X = blocks[0] if len(blocks) == 1 else graph("Concat", *blocks, axis=1)
    return X if order == sorted(order) else columns(graph, X, np.argsort(order)), dtype


def features_of(variables: Sequence[Any], n_features: int) -> list[range]:
    """Return the features that each input has, in order. Raises if they are not the `n_features` of the network."""
    shapes = [variable.type.shape for variable in variables]
    sizes = [(shape[1] if len(shape) == 2 else None) or n_features + 1 - len(shapes) for shape in shapes]
    if sum(sizes) != n_features:
        raise ValueError(f"The inputs must have {n_features} columns in all, as X had in fit, got {sum(sizes)}.")
    stops = np.cumsum(sizes).tolist()
    return [range(stop - size, stop) for stop, size in zip(stops, sizes)]


def codes_of(graph: Graph, column: str, is_text: bool, categories: Categories, label: Any) -> str:
    """Return the name of the codes of a column (m, 1), as `Categories.encode` computes them."""
    values, other, missing = categories.values, categories.other, categories.missing
    if any(isinstance(value, str) for value in values):
        if not is_text:
            raise ValueError(f"The input of column {label!r} must be a StringTensorType, as fit had text, got numbers.")
        code_of = dict.fromkeys(GAP_TEXTS, missing) | {str(value): code for code, value in enumerate(values)}
        keys, codes = [text.encode() for text in code_of], [float(code) for code in code_of.values()]
        table: dict[str, Any] = {"keys_strings": keys, "values_floats": codes, "default_float": float(other)}
        return graph("LabelEncoder", column, op_domain="ai.onnx.ml", op_version=2, **table)
    number = graph.cast(column, np.float64)  # float32 would make different numbers the same
    is_category = graph.cast(graph("Equal", number, np.array([values], np.float64)), np.float32)
    # code = other + sum over the categories i of [number = value of i] (i - other)
    steps = (np.arange(len(values)) - other).astype(np.float32)[:, np.newaxis]
    codes = graph("Add", graph("MatMul", is_category, steps), np.float32(other).reshape(1))
    return graph("Where", graph("IsNaN", number), np.float32(missing).reshape(1), codes)


def centered_input(graph: Graph, X: str, dtype: np.dtype[Any], model: DeepNN) -> tuple[str, Array]:
    """Subtract the centers of the features from X; return the name of A0 (m, n_0), and the centers (n_0, 1)."""
    center = np.zeros(model.n_features_in_, dtype)
    if hasattr(model, "input_center_"):
        # in the input's dtype: the graph's float32 would lose the variation of features far from 0
        center = model.input_center_.astype(dtype)
        X = graph("Sub", X, center)
    A0 = X if dtype == graph.dtype else graph.cast(X, graph.dtype)
    A0 = graph("Where", graph("IsNaN", A0), 0, A0)  # the center stands for a gap
    return A0, center[:, np.newaxis].astype(np.float64)


def encoded_input(
    graph: Graph, X: str, dtype: np.dtype[Any], encoding: Encoding, parameters: Arrays
) -> list[tuple[str, int]]:
    """Encode X as `Encoding.apply` does, and embed codes; return the names and sizes of the blocks of A0 (m, n_0)."""
    T = graph("Sub", X, encoding.center.mT.astype(dtype))
    T = graph("Div", T, encoding.scale.mT.astype(dtype))
    T = T if dtype == graph.dtype else graph.cast(T, graph.dtype)
    missing = graph("IsNaN", T)
    T = graph("Where", missing, 0, T)
    if np.isfinite(encoding.low).any():
        low, high = (np.asarray(bound, graph.dtype).mT for bound in (encoding.low, encoding.high))
        T = graph("Min", graph("Max", T, low), high)
    names = [name for name in PARTS if name in encoding.parts]
    blocks = [PART_EXPRESSIONS[name](graph, encoding.parts[name], T, missing) for name in names]
    sizes = [len(encoding.parts[name].feature) for name in names]
    if encoding.embedding:  # codes are the last part
        blocks[-1] = embedded(graph, blocks[-1], parameters["E"], sizes[-1])
        sizes[-1] *= encoding.embedding_dim
    return list(zip(blocks, sizes))
