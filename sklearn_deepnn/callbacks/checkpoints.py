"""Checkpoints: files from which a training is resumed after its process has died."""

from __future__ import annotations

import math
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import joblib
from sklearn.base import BaseEstimator

from ..checks import check_flag, check_integer, check_path, reject
from ..messages import warn_user
from ..training.run import Run
from .base import Callback

CHECKPOINT_OR_FOLDER = "the path of a checkpoint or of a folder of checkpoints"
NAME = re.compile(r"(?P<run>\d{8}-\d{6}-\d{6}-(?P<key>[0-9a-f]{8}))-epoch-(?P<epoch>\d+)\.joblib")


def checkpoints_in(folder: Path, run: str | None = None, key: str | None = None) -> list[Path]:
    """Return the checkpoints in a folder, the newest last: of one run, or of the runs whose key begins like `key`."""
    names = filter(None, (NAME.fullmatch(path.name) for path in folder.glob("*.joblib")))
    names = [name for name in names if run in (None, name["run"]) and (key is None or key.startswith(name["key"]))]
    return [folder / name.string for name in sorted(names, key=lambda name: (name["run"], int(name["epoch"])))]


def epoch_of(path: Path) -> int:
    """Return the epoch in the name of a checkpoint."""
    return int(NAME.sub(r"\g<epoch>", path.name))


def run_of(path: Path) -> list[Path]:
    """Return all checkpoints of the training of a checkpoint, the newest last. Other files have none."""
    name = NAME.fullmatch(path.name)
    return [] if name is None else checkpoints_in(path.parent, run=name["run"])


def newest_checkpoint(path: str | os.PathLike[str], key: str | None = None) -> Path | None:
    """Return the path itself if it is a file, or the newest checkpoint in a folder, None if it has none."""
    path = check_path("path", path, CHECKPOINT_OR_FOLDER)
    if path.is_file():
        return path
    if path.suffix == ".joblib" and not path.is_dir():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    return next(reversed(checkpoints_in(path, key=key)), None)


def load_checkpoint(path: str | os.PathLike[str], key: str | None = None) -> BaseEstimator:
    """Load the fitted network of a checkpoint, as it was after the checkpoint's epoch.

    Load only files that you trust: like every pickle, a checkpoint may run code.

    Parameters
    ----------
    path : path-like
        A checkpoint, or a folder for its newest checkpoint: the last epoch of the training that began last. If the
        newest checkpoint is damaged, the one before it is loaded, with a warning.
    key : str, optional
        Hash of data and parameters. Only checkpoints of trainings with this hash are loaded.

    Returns
    -------
    DeepNNClassifier
        Without callbacks. ``fit(X, y, resume_from=path)`` resumes its training.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If no checkpoint can be read.

    Warns
    -----
    RuntimeWarning
        If the newest checkpoint cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import ModelCheckpoint, load_checkpoint
    >>> with TemporaryDirectory() as folder:
    ...     model = DeepNNClassifier((8,), max_iter=5).set_callbacks(ModelCheckpoint(folder))
    ...     model = model.fit(*load_iris(return_X_y=True))
    ...     load_checkpoint(folder).n_iter_
    5
    """
    newest = newest_checkpoint(path, key)
    if newest is None:
        raise FileNotFoundError(f"There is no checkpoint in {path}.")
    # in a folder, a damaged file is skipped
    candidates = [newest] if newest == check_path("path", path) else run_of(newest)
    while True:
        newest = candidates.pop()
        try:
            return joblib.load(newest)
        except Exception as error:  # a damaged pickle may raise any exception
            problem = f"The checkpoint {newest} cannot be read: {type(error).__name__}: {error}"
            if not candidates:
                raise ValueError(problem) from error
            warn_user(f"{problem} The checkpoint before it is loaded.", RuntimeWarning)


def nearby_checkpoint(folder: Path) -> Path | None:
    """Return a checkpoint in a folder, below it, in its parent or in a folder beside it."""
    places = (place for base in (folder, folder.parent) for place in (base, *base.glob("*/")))
    return next((found[-1] for found in map(checkpoints_in, places) if found), None)


def has_later_checkpoints(path: str | os.PathLike[str]) -> bool:
    """Say whether the training of a checkpoint has written later checkpoints. A folder stands for its newest one."""
    path = check_path("path", path)
    return path != next(reversed(run_of(path)), path)


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file completely or not at all, even if the process or the machine dies while writing."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    if os.name == "posix":  # Windows cannot open a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def is_best(run: Run) -> bool:
    """Say whether the last epoch is the best so far. Sets: run.memory["lowest"], the lowest monitored value."""
    memory, value = run.memory, run.monitored()
    lowest = memory.get("lowest", math.inf)
    memory["lowest"] = min(lowest, value)
    return run.state.best_epoch == run.state.epoch if run.keeps_best else value < lowest


def check_saveable(name: str, value: object) -> None:
    """Raise an `InvalidParameterError` if the value of an estimator's parameter cannot be saved."""
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        reject(name, "a value that pickle can save, which excludes a lambda, for ModelCheckpoint", value)


@dataclass(frozen=True)
class ModelCheckpoint(Callback):
    """Save checkpoints of the training to a folder; ``fit(X, y, resume_from=path)`` resumes from the newest.

    A checkpoint is a file with the fitted network (see `load_checkpoint`) and the complete state of the training, such
    as the optimizer's state and the random generator. A resumed training ends with the same weights, bit for
    bit, as a training without interruption.

    Each file is written under a temporary name and renamed when it is complete: if the process dies, the checkpoint
    before remains. A checkpoint is also written at the end of the training, after Ctrl-C and after an error.

    The name of a file has the time at which the training began, a hash of data and parameters, and the epoch. Several
    trainings, such as those of a search, may use one folder: `resume_from` finds the checkpoints of the same data and
    parameters by the hash. Training that is resumed from an older checkpoint than its newest gets a new name.

    If a file cannot be written, training continues with a warning.

    Parameters
    ----------
    path : path-like
        The folder. It is created if it does not exist.
    every : int, default=1
        Number of epochs between two checkpoints. Writing takes some milliseconds, more for large networks.
    keep : int or None, default=2
        Number of checkpoints of this training to keep. None keeps all.
    save_best_only : bool, default=False
        Whether to write only after epochs with the lowest monitored value so far. `every` is then ignored.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import ModelCheckpoint
    >>> model = DeepNNClassifier((64,)).set_callbacks(ModelCheckpoint("checkpoints", every=10))
    """

    path: str | os.PathLike[str]
    every: int = 1
    keep: int | None = 2
    save_best_only: bool = False
    needs_snapshot = True
    remembers_for_good = True

    def __post_init__(self) -> None:
        _ = self.folder
        check_integer("every", self.every, 1)
        if self.keep is not None:
            check_integer("keep", self.keep, 1, otherwise=" or None")
        check_flag("save_best_only", self.save_best_only)

    @property
    def folder(self) -> Path:
        """The folder, with a leading ~ replaced by the user's home folder."""
        return check_path("path", self.path, "the path of a folder")

    def on_train_begin(self, run: Run) -> None:
        """Create the folder; check before the first epoch that parameters can be saved and files can be written."""
        run.memory.setdefault("saved", 0)
        for name, value in run.settings.items():
            check_saveable(name, value)
        folder = self.folder
        if folder.exists() and not folder.is_dir():
            reject("path", "the path of a folder, not of a file", self.path)
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob(f".{run.name}*.tmp"):  # left by a process that died
            unfinished.unlink(missing_ok=True)
        write_atomically(folder / f"{run.name}.probe", lambda file: None)
        (folder / f"{run.name}.probe").unlink()

    def on_epoch_end(self, run: Run) -> None:
        """Save after every `every` epochs, or after the best epochs."""
        is_due = is_best(run) if self.save_best_only else run.state.epoch % self.every == 0
        if is_due and run.state.is_finite:
            self._save(run)

    def on_train_end(self, run: Run) -> None:
        """Save the last epoch, if it has not been saved."""
        is_unsaved = run.memory.get("saved", run.state.epoch) < run.state.epoch
        if is_unsaved and run.state.is_finite and not self.save_best_only:
            self._save(run)

    def _save(self, run: Run) -> None:
        folder, memory, epoch = self.folder, run.memory, run.state.epoch
        before, memory["saved"] = memory["saved"], epoch
        try:
            path = folder / f"{run.name}-epoch-{epoch:06d}.joblib"
            write_atomically(path, lambda file: pickle.dump(run.snapshot(), file, protocol=5))  # joblib is slower
        except OSError as error:
            memory["saved"] = before
            message = f"The checkpoint of epoch {epoch} could not be written; training continues without it: {error}"
            warn_user(message, RuntimeWarning)
            return
        if self.keep is not None:
            written = [path for path in checkpoints_in(folder, run.name) if epoch_of(path) <= epoch]
            for old in written[: -self.keep]:
                old.unlink(missing_ok=True)
