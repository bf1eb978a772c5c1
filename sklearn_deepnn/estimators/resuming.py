"""Where training begins: a new state, an earlier fit that is continued, or a checkpoint that is resumed.

"Continue" is said of `warm_start` and `partial_fit`, which train for more epochs. "Resume" is said of a checkpoint: an
interrupted call of `fit` is carried to its end.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from numbers import Number
from typing import Any, NamedTuple, Self

import joblib
import numpy as np
from scipy.sparse import csr_array

from ..callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, load_checkpoint
from ..callbacks.checkpoints import (
    CHECKPOINT_OR_FOLDER,
    has_later_checkpoints,
    nearby_checkpoint,
    newest_checkpoint,
)
from ..callbacks.progress import print_not_resumed
from ..callbacks.scikit_learn import callbacks_of
from ..checks import check_path, naming, reject
from ..messages import warn_user
from ..network.architecture import Network
from ..network.encoding import Encoding
from ..network.parameters import Parameters
from ..network.prediction import take_columns
from ..network.scaling import Scaling, unfold_scaling
from ..training.examples import Examples
from ..training.optimizers import Optimizer
from ..training.state import TrainingState, copied
from ..typing import Inputs
from .scaling import Moments
from .settings import parameters_of

N_HASHED = 1000  # samples of X that tell it from other data
FREE_TO_CHANGE = {"verbose", "warm_start", "max_iter"}  # parameters that a resumed call may have different
COMPARING = EarlyStopping, ReduceLROnPlateau  # callbacks that compare the epochs of a call
KEY_OF_PARTS = 8 * "0"  # ends the name of a training by `partial_fit`


@dataclass(frozen=True)
class Preparation:
    """How the data were prepared: what the next call needs to prepare its data alike."""

    split_seed: int  # seed of the split into training and validation set
    weight_scale: float  # what sample weights are divided by
    scaling: Scaling | None = None
    moments: Moments | None = None  # of all inputs so far, if the scaling has them
    scale_inputs: str | None = None  # the name of the scaling, in `SCALINGS`
    data_hash: str = ""  # identifies the data. Only checkpoints have it.

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as arrays, dicts, numbers and strings. Only "common" scaling has moments with `filled`."""
        fields = dict(vars(self))
        for name in ("scaling", "moments"):
            if fields[name] is not None:
                fields[name] = {part: v for part, v in fields[name]._asdict().items() if v is not None}
        return fields

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Self:
        """Return the preparation that `to_dict` was called on, independent of `saved`."""
        saved = copied(dict(saved))
        for name, kind in (("scaling", Scaling), ("moments", Moments)):
            saved[name] = None if saved[name] is None else kind(**saved[name])
        return cls(**saved)


@dataclass(frozen=True)
class Earlier:
    """An earlier training to start from."""

    network: Network
    state: TrainingState  # a copy, free to change
    preparation: Preparation
    encoding: Encoding | None
    fitted: Mapping[str, Any] = field(repr=False)  # the fitted attributes of its estimator
    resumes: bool = False  # whether a checkpoint is resumed. Otherwise training continues for more epochs.
    has_later_checkpoints: bool = False  # whether the training has written checkpoints after this one

    @classmethod
    def of(cls, fitted: Mapping[str, Any], **how: bool) -> Self:
        """Return the training that the attributes of a fitted estimator hold."""
        saved = dict(fitted["training_state_"])
        preparation = Preparation.restore(saved.pop("preparation"))
        parameters = Parameters(unfold_scaling(fitted["parameters_"], preparation.scaling))
        state = TrainingState(parameters, np.random.default_rng(0)).restore(saved)  # which sets the generator
        # a copy: the arrays may be memory maps of a file that is gone when training has continued
        encoding = Encoding.restore(copied(fitted["encoding_"])) if "encoding_" in fitted else None
        return cls(Network.restore(fitted["network_"]), state, preparation, encoding, fitted, **how)


def restore_encoding(fitted: Mapping[str, Any]) -> Encoding | None:
    """Return the encoding that the attributes of a fitted estimator hold, or None."""
    return Encoding.restore(fitted["encoding_"]) if "encoding_" in fitted else None


class Fingerprint(NamedTuple):
    """The identity of a fit: hashes of its data, and of its data and parameters. Empty if no callback needs them."""

    data_hash: str = ""
    key: str = ""


def fingerprint_of(estimator: Any, sets: Sequence[Examples], labels: list[Any]) -> Fingerprint:
    """Return the fingerprint of a fit. A sample of X is hashed, and all of y and the weights."""
    spread = [each.spread_sample(N_HASHED) for each in sets]
    samples = [take_columns(sample.X, sample.members, np.float64) for sample in spread]
    others = [(each.n, each.Y, each.sample_weight) for each in sets]
    data_hash = joblib.hash([labels, list(map(nonzeros, samples)), others])
    given = sorted(parameters_of(estimator).items())
    parameters = [(name, hash_of_value(value)) for name, value in given if name not in FREE_TO_CHANGE]
    steering = [repr(callback) for callback in callbacks_of(estimator) if isinstance(callback, COMPARING)]
    return Fingerprint(data_hash, joblib.hash([data_hash, parameters, steering]))


def last_fit(estimator: Any) -> Earlier | None:
    """Return the last training of an estimator, to continue from, or None if it is not fitted."""
    return Earlier.of(vars(estimator)) if estimator.__sklearn_is_fitted__() else None


def earlier_training(
    estimator: Any, resume_from: str | os.PathLike[str] | None, fingerprint: Fingerprint
) -> Earlier | None:
    """Return the training that `fit` starts from: a checkpoint, with `warm_start` the last fit, or None."""
    checkpoint = None if resume_from is None else checkpoint_of(estimator, resume_from, fingerprint.key)
    if resume_from is None or checkpoint is None:
        if resume_from is not None and not warn_of_mistyped(estimator, resume_from) and estimator.verbose:
            print_not_resumed(resume_from)
        return last_fit(estimator) if estimator.warm_start else None
    earlier = Earlier.of(vars(checkpoint), resumes=True, has_later_checkpoints=has_later_checkpoints(resume_from))
    if earlier.preparation.data_hash != fingerprint.data_hash:
        wanted = "a checkpoint of a fit on the same X, y, weights and X_val"
        raise ValueError(f"resume_from must be {wanted}, got {resume_from!r}, a checkpoint of a fit on other data.")
    return earlier


def checkpoint_of(estimator: Any, path: str | os.PathLike[str], key: str) -> Any:
    """Return the estimator that a checkpoint holds, or None if a folder has no checkpoint of such a fit."""
    check_path("resume_from", path, f"None or {CHECKPOINT_OR_FOLDER}")
    if newest_checkpoint(path, key) is None:
        return None
    with naming("resume_from"):
        checkpoint = load_checkpoint(path, key)
    is_ours = isinstance(checkpoint, type(estimator)) and hasattr(checkpoint, "training_state_")
    # an estimator that was saved otherwise lacks the state of its call
    if not is_ours or not checkpoint.training_state_["preparation"]["data_hash"]:
        reject("resume_from", f"the checkpoint of a {type(estimator).__name__}", path)
    return checkpoint


def warn_of_mistyped(estimator: Any, resume_from: str | os.PathLike[str]) -> bool:
    """Warn, and return True, if a path without a checkpoint of this fit seems mistyped."""
    path = check_path("resume_from", resume_from)
    written = [each.folder.resolve() for each in callbacks_of(estimator) if isinstance(each, ModelCheckpoint)]
    if path.resolve() in written:  # the first start of a script that resumes
        return False
    nearby = nearby_checkpoint(path)
    if nearby is not None and nearby.parent != path:  # fits with other data or parameters may share a folder
        problem = f"has no checkpoint, but there is {str(nearby)!r}"
    elif not path.parent.exists():
        problem = "does not exist, nor does the folder that it would be in"
    else:
        return False
    warn_user(f"resume_from={os.fspath(resume_from)!r} {problem}: training starts from the beginning.", UserWarning)
    return True


def name_of_training(earlier: Earlier | None, key: str) -> str:
    """Return what logs and checkpoints call a training: the name that it has, or a new one if there is a key."""
    # training that branches off an older checkpoint, or that has other data or parameters, gets a new name
    if earlier is not None and not earlier.has_later_checkpoints and earlier.state.name.endswith(key[:8]):
        return earlier.state.name
    if not key:
        return ""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{key[:8]}"


def warn_of_other_parameters(earlier: Earlier | None, estimator: Any) -> None:
    """Warn if a checkpoint is resumed with other parameters, as far as their values can be compared."""
    if earlier is None or not earlier.resumes:
        return
    before, now = earlier.fitted, parameters_of(estimator)
    names = [name for name in now if name in before and name not in FREE_TO_CHANGE]
    comparable = [name for name in names if can_compare(before[name]) and can_compare(now[name])]
    changed = [name for name in comparable if as_lists(before[name]) != as_lists(now[name])]
    if changed:
        message = "The checkpoint in resume_from is of a fit with other parameters, so training ends with other weights"
        changes = ", ".join(f"{name} from {before[name]!r} to {now[name]!r}" for name in changed)
        warn_user(f"{message}. Changed: {changes}.", UserWarning)


def can_compare(value: object) -> bool:
    """Say whether two values of a parameter can be compared by ==, before and after they were saved."""
    if isinstance(value, Optimizer):
        return all(map(can_compare, vars(value).values()))
    if isinstance(value, (list, tuple)):
        return all(map(can_compare, value))
    return value is None or isinstance(value, (str, Number))


def as_lists(value: Any) -> Any:
    """Return a value with lists in place of tuples, and Python's numbers in place of NumPy's."""
    value = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
    return list(map(as_lists, value)) if isinstance(value, (list, tuple)) else value


def nonzeros(X: Inputs) -> tuple[Any, ...]:
    """Return shape, values and positions of the nonzero numbers: the same for a dense and for a sparse array."""
    X = csr_array(X)
    X.sum_duplicates()
    X.eliminate_zeros()
    return X.shape, X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)


def hash_of_value(value: object) -> str:
    """Return a hash of a parameter's value. Of generators, and of what cannot be pickled, only the type counts."""
    try:
        return type(value).__name__ if isinstance(value, np.random.RandomState) else joblib.hash(as_lists(value))
    except (pickle.PicklingError, AttributeError, TypeError):  # a lambda
        return type(value).__name__


def check_unchanged(name: str, before: object, now: object) -> None:
    """Raise if training cannot continue because a setting has changed."""
    if before != now:
        advice = "To start anew, call fit with warm_start=False and without resume_from."
        raise ValueError(f"Training cannot continue: {name} must stay {before!r}, got {now!r}. {advice}")
