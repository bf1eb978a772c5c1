"""Learn the encoding of a table from the training set: bins of numbers, indicators of gaps, categories.

Conventions: columns are examples, as in `network.encoding`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import gen_batches

from ..network.encoding import SMALLEST_SINGLE, Bins, Codes, EncodedInputs, Encoding, Gaps, Numbers, OneHot
from ..network.prediction import take_columns
from ..network.scaling import Scaling
from ..training.examples import Examples
from ..typing import Array, BoolArray
from .categories import Categories
from .scaling import CHUNK_ELEMENTS, input_moments

MOST_SAMPLED = 50_000  # examples that quantiles and means are computed on
LOOKED_AT = 1000, 10_000  # fewest and most examples that tell whether features have several values, or outliers
LOOKED_AT_ELEMENTS = 2**18  # numbers that these examples have, unless the fewest have more
FEWEST_PIXELS = 8  # features in common units, and different values of each
MOST_ONE_HOT = 32  # categories of a column; with more, they have trained vectors
EMBEDDING_DIM = 8
LEAST_DEVIATION = 0.1  # of a row for a category or a gap: rare ones would otherwise have very large rows
LEAST_BIN_DEVIATION = 0.05  # of a row for a bin: each of 100 bins of equal size has 0.06
SPREAD_QUANTILES = 0.05, 0.25, 0.75, 0.95
OUTLYING = 30.0  # interquartile ranges: a feature with a larger deviation has outliers that determine it
SLACK = 1e-6  # fraction of a bound that is added to it: a number at the bound may be rounded beyond it
CLIP = 5.0  # interquartile ranges, in a first part of the data deviations; where numbers are smoothly clipped
SMALLEST_SCALE = 1e-150  # of a feature that is no constant: squares of smaller numbers underflow


class NumericEncoding(NamedTuple):
    """How numbers are encoded, with no "auto" left."""

    n_bins: int = 0  # of each number with more than two values, at most; 0 for none
    bin_deviation: float = 1.0  # of the rows for bins
    scale_inputs: str | None = "standard"
    has_outliers: bool = False  # whether outliers determine the deviation of a number
    is_part: bool = False  # whether numbers of later parts of the data may be unlike those of this one
    stresses_numbers: bool = False  # whether inputs other than bins get a gain: bins reduce the initial weights


def some_of(examples: Examples) -> Examples:
    """Return some examples of dense X that tell whether features have several values, or outliers."""
    fewest, most = LOOKED_AT
    return examples.spread_sample(min(max(LOOKED_AT_ELEMENTS // examples.X.shape[0], fewest), most))


def several_valued(examples: Examples, categories: Sequence[Categories | None]) -> Array:
    """Return the numbers of dense X that have more than two values, of some examples: (n_several, m)."""
    if issparse(examples.X):
        return np.empty((0, 0))
    sample = some_of(examples)
    X = take_columns(sample.X, sample.members, None)
    low, high = np.fmin.reduce(X, axis=1, keepdims=True), np.fmax.reduce(X, axis=1, keepdims=True)
    has_several = np.logical_and(low < X, high > X).any(axis=1)  # not of nan
    has_several &= [each is None for each in categories]
    return X if has_several.all() else X[has_several]


def have_common_units(X: Array) -> bool:
    """Say whether numbers that have several values seem to have common units, such as the pixels of images."""
    if len(X) < FEWEST_PIXELS:
        return False
    low, high = np.fmin.reduce(X, axis=1), np.fmax.reduce(X, axis=1)  # of what is not missing
    lowest, extent = low.min(), high.max() - low.min()
    # a sample may lack the largest value of some features
    if np.mean(low == lowest) <= 0.75 or np.mean(high - lowest > 0.75 * extent) <= 0.6:
        return False
    values = X[~np.isnan(X)]
    # several features that MinMaxScaler has scaled have one range as well
    is_raw = np.mean(lowest == values) > 0.25 or (np.floor(values) == values).all()
    is_coarse = len(np.unique(values)) < FEWEST_PIXELS  # such as answers on a scale from 1 to 5
    return bool(is_raw and not is_coarse)


@np.errstate(over="ignore", invalid="ignore")
def has_outliers(examples: Examples, categories: Sequence[Categories | None]) -> bool:
    """Say whether outliers determine the deviation of a number of dense X."""
    if issparse(examples.X):
        return False
    sample, is_number = some_of(examples), np.array([each is None for each in categories], bool)
    X = take_columns(sample.X, sample.members, np.float64)[is_number]  # a copy
    is_gap = np.isnan(X)
    if is_gap.all():  # also if there are no numbers
        return False
    if is_gap.any():  # then the sample must do for the deviation, too
        X = X[~is_gap.all(axis=1)]
        deviation, quantiles = np.nanstd(X, axis=1), np.nanquantile(X, SPREAD_QUANTILES, axis=1)
    else:  # one call for all features: a call for each takes 70 us
        deviation = input_moments(examples).deviation()[is_number, 0]
        quantiles = np.quantile(X, SPREAD_QUANTILES, axis=1, overwrite_input=True)
    spread = spread_of(*quantiles)
    return bool(((spread > 0) & (OUTLYING * spread < deviation)).any())


def spread_of(lowest: Array, low: Array, high: Array, highest: Array) -> Array:
    """Return the interquartile range, or, of a feature that is mostly one number, half the range of 9 tenths."""
    return np.where(high > low, high - low, (highest - lowest) / 2)


@np.errstate(over="ignore", invalid="ignore")
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


def without_gaps(examples: Examples, scaling: Scaling | None) -> Examples:
    """Return examples whose gaps are filled with the center of a scaling, or with 0 if there is none."""
    if not find_gaps(examples).any():
        return examples
    X = examples.X.copy(order="K")
    np.copyto(X, 0 if scaling is None else scaling.center, where=np.isnan(X))
    return examples._replace(X=X)


def learn_encoding(
    numeric: NumericEncoding, examples: Examples, categories: Sequence[Categories | None]
) -> Encoding | None:
    """Return how the network is to encode a table. None for scaled numbers alone, which need no encoding."""
    if issparse(examples.X):
        return None
    gaps, is_number = find_gaps(examples), np.array([each is None for each in categories])
    is_plain = is_number.all() and not gaps.any() and not numeric.n_bins
    if is_plain and not (numeric.scale_inputs == "clipped" and numeric.has_outliers):
        return None
    sample = examples.spread_sample(MOST_SAMPLED)
    center, scale, edges = learn_quantiles(sample, is_number, numeric.n_bins)
    if numeric.is_part:  # what is constant here may vary later
        scale[np.isinf(scale)] = 1
    numbers, with_gaps = np.flatnonzero(is_number), np.flatnonzero(gaps)
    n_codes = np.array([0 if each is None else each.n_codes for each in categories])
    has_many = n_codes > MOST_ONE_HOT
    parts: dict[str, Any] = {
        "numbers": Numbers(numbers, *unit(len(numbers)), np.full((len(numbers), 1), np.inf)),
        "bins": bins_of(edges),
        "gaps": Gaps(with_gaps, *unit(len(with_gaps))),
        "one_hot": one_hot_of(np.where(has_many, 0, n_codes)),
        "codes": codes_of(np.where(has_many, n_codes, 0)),
    }
    parts = {name: part for name, part in parts.items() if len(part.feature)}
    encoding = Encoding(center, scale, parts, EMBEDDING_DIM if has_many.any() else 0)
    if numeric.n_bins and not numeric.is_part:
        encoding = widened(replace(encoding, low=np.inf, high=-np.inf), examples)
    return standardized(encoding, sample, numeric)


@np.errstate(over="ignore", invalid="ignore")  # a range that overflows is no bound
def widened(encoding: Encoding, examples: Examples) -> Encoding:
    """Return an encoding whose bounds contain all numbers of a set. Categories have no bounds."""
    X = examples.X

    def of_chunk(chunk: slice) -> tuple[Array, Array]:
        A0 = take_columns(X, examples.at(chunk), np.float64)
        A0 = A0.toarray() if issparse(A0) else A0
        return np.fmin.reduce(A0, axis=-1), np.fmax.reduce(A0, axis=-1)

    lows, highs = zip(*map(of_chunk, gen_batches(examples.n, max(CHUNK_ELEMENTS // X.shape[0], 1))))
    ends = np.fmin.reduce(lows)[:, np.newaxis], np.fmax.reduce(highs)[:, np.newaxis]
    low, high = ((end - encoding.center) / encoding.scale for end in ends)
    low, high = low - SLACK * np.abs(low), high + SLACK * np.abs(high)
    low, high = np.fmin(encoding.low, low), np.fmax(encoding.high, high)  # a column of gaps alone, nan, has no effect
    numbers = encoding.parts["numbers"].feature if "numbers" in encoding.parts else []
    is_bounded = np.isfinite(low) & np.isin(np.arange(len(low)), numbers)[:, np.newaxis]
    return replace(encoding, low=np.where(is_bounded, low, -np.inf), high=np.where(is_bounded, high, np.inf))


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
    return Bins(feature, low, width, *unit(len(feature)))


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

    center, distinct = float(quantiles(0.5)), np.unique(values)
    scale = float(spread_of(*quantiles(SPREAD_QUANTILES))) or (distinct[-1] - distinct[0]) / 2
    if scale < SMALLEST_SCALE:
        return center, np.inf, np.empty(0)
    if len(distinct) < 3 or not n_bins:
        return center, scale, np.empty(0)
    edges = distinct if len(distinct) <= n_bins + 1 else np.unique(quantiles(np.linspace(0, 1, n_bins + 1)))
    edges = (edges - center) / scale
    return center, scale, edges[np.diff(edges, prepend=-np.inf) >= SMALLEST_SINGLE]  # float32 has no narrower bins


def standardized(encoding: Encoding, sample: Examples, numeric: NumericEncoding) -> Encoding:
    """Return an encoding whose rows have the mean 0 over a sample; numbers are scaled as `scale_inputs` says."""
    parts = {name: part for name, part in encoding.parts.items() if name != "codes"}
    if not parts:
        return encoding
    moments = input_moments(sample._replace(X=EncodedInputs(sample.X, replace(encoding, parts=parts))))
    gain, stop = 1.0, 0
    if numeric.stresses_numbers:  # the rows of bins reduce the initial weights of all rows
        n_rows = {name: len(part.feature) for name, part in parts.items()}
        n_others = sum(n_rows.values()) - n_rows.get("bins", 0)
        gain = math.sqrt(sum(n_rows.values()) / max(n_others, 1))
    for name, part in parts.items():
        start, stop = stop, stop + len(part.feature)
        mean, deviation = moments.mean[start:stop], moments.deviation()[start:stop]
        if name == "numbers":
            parts[name] = scaled_numbers(part, encoding, mean, deviation, numeric, gain)
        else:
            wanted, least = gain, LEAST_DEVIATION
            if name == "bins":
                wanted, least = numeric.bin_deviation, LEAST_BIN_DEVIATION
            scale = np.where(deviation, np.maximum(deviation, least) / wanted, np.inf)
            parts[name] = replace(part, mean=mean, scale=scale)
    return replace(encoding, parts={**encoding.parts, **parts})


def scaled_numbers(
    numbers: Numbers, encoding: Encoding, mean: Array, deviation: Array, numeric: NumericEncoding, gain: float
) -> Numbers:
    """Return the rows of numbers T, which have the median 0 and the interquartile range 1, scaled."""
    if numeric.scale_inputs is None:  # X itself
        scale = np.where(np.isinf(encoding.scale), 1, encoding.scale)[numbers.feature]
        return replace(numbers, center=-encoding.center[numbers.feature] / scale, scale=1 / scale)
    if numeric.scale_inputs == "robust":
        return replace(numbers, gain=gain)
    units = encoding.scale[numbers.feature]  # of T
    if numeric.scale_inputs == "pooled" and deviation.any():
        varies = deviation > 0
        pooled = np.sqrt(np.square(deviation[varies] * units[varies]).mean())
        deviation = np.where(varies, pooled / units, 0)
    is_outlying = (numeric.scale_inputs == "clipped") & (deviation > OUTLYING)
    scale = np.where(deviation, deviation, 1.0 if numeric.is_part else np.inf)
    return replace(
        numbers,
        center=np.where(is_outlying, 0, mean),
        scale=np.where(is_outlying, 1, scale),
        clip=np.where(is_outlying | numeric.is_part, CLIP, np.inf),
        gain=gain,
    )
