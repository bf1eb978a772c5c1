"""What a table is encoded by: bins of numbers, indicators of gaps, categories; learned from the training set.

Conventions: columns are examples, as in `network.encoding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import gen_batches

from ..network.encoding import Bins, Codes, EncodedInputs, Encoding, Gaps, Numbers, OneHot
from ..network.prediction import take_columns
from ..training.examples import Examples
from ..typing import Array, BoolArray
from .categories import Categories
from .scaling import CHUNK_ELEMENTS, input_moments

MOST_SAMPLED = 50_000  # examples that quantiles and means are computed on
MOST_ONE_HOT = 32  # categories of a column; with more, they have trained vectors
EMBEDDING_DIM = 8
LEAST_DEVIATION = 0.1  # of a category's row: a rare category would have a very large row


class NumericEncoding(NamedTuple):
    """How numbers are encoded, with no "auto" left."""

    n_bins: int = 0  # bins of each number; 0 for none
    scale_inputs: str | None = "standard"
    clip: float = np.inf  # where scaled numbers are smoothly clipped


def find_gaps(examples: Examples) -> BoolArray:
    """Return which features (n_features,) have gaps in a set."""
    gaps = np.zeros(examples.X.shape[0], bool)
    if issparse(examples.X) or examples.X.dtype.kind != "f":
        return gaps
    for chunk in gen_batches(examples.n, max(CHUNK_ELEMENTS // len(gaps), 1)):
        A0 = take_columns(examples.X, examples.at(chunk), None)
        if np.isnan(A0.sum()):  # a sum has a value that is not finite
            gaps |= np.isnan(A0).any(axis=1)
    return gaps


def learn_encoding(
    numeric: NumericEncoding, examples: Examples, categories: Sequence[Categories | None]
) -> Encoding | None:
    """Return how the network is to encode a table. None for scaled numbers alone, which need no encoding."""
    if issparse(examples.X):
        return None
    gaps, is_number = find_gaps(examples), np.array([each is None for each in categories])
    if not (gaps.any() or numeric.n_bins or numeric.clip < np.inf or not is_number.all()):
        return None
    sample = examples.spread_sample(MOST_SAMPLED)
    center, scale, edges = learn_quantiles(sample, is_number, numeric.n_bins)
    n_codes = np.array([0 if each is None else each.n_codes for each in categories])
    has_many = n_codes > MOST_ONE_HOT
    parts: dict[str, Any] = {
        "numbers": Numbers(np.flatnonzero(is_number), *unit(is_number.sum()), float(numeric.clip)),
        "bins": bins_of(edges),
        "gaps": Gaps(np.flatnonzero(gaps), *unit(gaps.sum())),
        "one_hot": one_hot_of(np.where(has_many, 0, n_codes)),
        "codes": codes_of(np.where(has_many, n_codes, 0)),
    }
    parts = {name: part for name, part in parts.items() if len(part.feature)}
    encoding = Encoding(center, scale, parts, EMBEDDING_DIM if has_many.any() else 0)
    return standardized(encoding, sample, numeric.scale_inputs)


def learn_quantiles(sample: Examples, is_number: BoolArray, n_bins: int) -> tuple[Array, Array, list[Array]]:
    """Return median and size (n_features, 1) of the numbers, 0 and 1 for categories, and the edges of all bins."""
    X = take_columns(sample.X, sample.members, None)
    weight = None if sample.sample_weight is None else sample.sample_weight[sample.members]
    center, scale, edges = np.zeros((len(X), 1)), np.ones((len(X), 1)), [np.empty(0)] * len(X)
    for j in np.flatnonzero(is_number):
        center[j], scale[j], edges[j] = quantiles_of(X[j], weight, n_bins)
    return center, scale, edges


def bins_of(edges: Sequence[Array]) -> Bins:
    """Return the rows for the bins of each feature between its edges."""
    low = np.concatenate([each[:-1] for each in edges])[:, np.newaxis]
    width = np.concatenate([np.diff(each) for each in edges])[:, np.newaxis]
    feature = np.repeat(np.arange(len(edges)), [max(len(each) - 1, 0) for each in edges])
    return Bins(feature, low, width, np.zeros_like(low))


def one_hot_of(n_codes: Array) -> OneHot:
    """Return the rows for columns with some numbers of codes; columns with 0 codes have none."""
    code = np.concatenate([np.arange(n) for n in n_codes])[:, np.newaxis]
    return OneHot(np.repeat(np.arange(len(n_codes)), n_codes), code, *unit(len(code)))


def codes_of(n_codes: Array) -> Codes:
    """Return the rows for the trained vectors of columns with some numbers of codes."""
    feature, start = np.flatnonzero(n_codes), np.cumsum(n_codes) - n_codes
    return Codes(feature, start[feature, np.newaxis], int(n_codes.sum()))


def unit(n: int) -> tuple[Array, Array]:
    """Return a center of 0 and a scale of 1 for n rows."""
    return np.zeros((n, 1)), np.ones((n, 1))


def quantiles_of(values: Array, weight: Array | None, n_bins: int) -> tuple[float, float, Array]:
    """Return median and size of a feature, and the edges of its bins in these units: at most n_bins + 1."""
    known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), bool)
    values, weight = values[known].astype(np.float64), None if weight is None else weight[known]
    if not len(values):
        return 0.0, np.inf, np.empty(0)

    def quantiles(fractions: Any) -> Array:
        # "inverted_cdf" treats an example of weight 2 like two examples
        return np.quantile(values, fractions, weights=weight, method="inverted_cdf")

    low, center, high = quantiles((0.25, 0.5, 0.75))
    distinct = np.unique(values)
    scale = (high - low) or (distinct[-1] - distinct[0]) / 2 or np.inf
    if len(distinct) < 3 or not n_bins:
        return center, scale, np.empty(0)
    edges = distinct if len(distinct) <= n_bins + 1 else np.unique(quantiles(np.linspace(0, 1, n_bins + 1)))
    return center, scale, (edges - center) / scale


def standardized(encoding: Encoding, sample: Examples, scale_inputs: str | None) -> Encoding:
    """Return an encoding whose rows have the mean 0 over a sample; numbers are scaled as `scale_inputs` says."""
    parts = {name: part for name, part in encoding.parts.items() if name != "codes"}
    if not parts:
        return encoding
    bare = {**parts, "numbers": replace(parts["numbers"], clip=np.inf)} if "numbers" in parts else parts
    moments = input_moments(sample._replace(X=EncodedInputs(sample.X, replace(encoding, parts=bare))))
    stop = 0
    for name, part in parts.items():
        start, stop = stop, stop + len(part.feature)
        mean, deviation = moments.mean[start:stop], moments.deviation()[start:stop]
        if name == "bins":
            parts[name] = replace(part, mean=mean)
        elif name != "numbers":
            parts[name] = replace(part, mean=mean, scale=np.maximum(deviation, LEAST_DEVIATION))
        elif scale_inputs is None:  # X itself
            scale = np.where(np.isinf(encoding.scale), 1, encoding.scale)[part.feature]
            parts[name] = replace(part, center=-encoding.center[part.feature] / scale, scale=1 / scale)
        elif scale_inputs != "robust":  # T has the median 0 and the interquartile range 1
            parts[name] = replace(part, center=mean, scale=np.where(deviation, deviation, np.inf))
    return replace(encoding, parts={**encoding.parts, **parts})
