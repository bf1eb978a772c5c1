"""Checkpoints: what a training writes so that it can go on after its process has died."""

from __future__ import annotations

import math
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import joblib

from ..checks import check_flag, check_integer, reject, warn_user
from .base import Callback, Run

if TYPE_CHECKING:
    from ..estimators.classifier import DeepNNClassifier

NAME = re.compile(r"(?P<run>\d{8}-\d{6}-\d{6}-(?P<key>[0-9a-f]{8}))-epoch-(?P<epoch>\d+)\.joblib")


def checkpoints_in(folder: Path, run: str | None = None, key: str | None = None) -> list[Path]:
    """Return the paths of the checkpoints in a folder, the newest last.

    Parameters
    ----------
    folder : Path
    run : str, optional
        The name of the training that wrote them; by default any.
    key : str, optional
        That of the data and parameters of the training; by default any.

    Returns
    -------
    list of Path
    """
    names = filter(None, (NAME.fullmatch(path.name) for path in folder.glob("*.joblib")))
    names = [name for name in names if run in (None, name["run"]) and (key is None or key.startswith(name["key"]))]
    return [folder / name.string for name in sorted(names, key=lambda name: (name["run"], int(name["epoch"])))]


def epoch_of(path: Path) -> int:
    """Return the epoch of a checkpoint, by its name."""
    return int(NAME.fullmatch(path.name)["epoch"])  # type: ignore[index]  # it matches


def newest_checkpoint(path: str | os.PathLike[str], key: str | None = None) -> Path | None:
    """Return the path of a checkpoint: this one, or if it is a folder the newest there, None if there is none.

    Parameters
    ----------
    path : path-like
    key : str, optional
        As in `checkpoints_in`.

    Returns
    -------
    Path or None

    Raises
    ------
    FileNotFoundError
        If the path is that of a checkpoint, and it is not there.
    """
    path = Path(path)
    if path.is_file():
        return path
    if path.suffix == ".joblib" and not path.is_dir():
        raise FileNotFoundError(f"There is no checkpoint {path}.")
    return next(reversed(checkpoints_in(path, key=key)), None)


def load_checkpoint(path: str | os.PathLike[str], key: str | None = None) -> DeepNNClassifier:
    """Return the network that a checkpoint holds, fitted, as of its epoch.

    Load only files that you trust: as any pickle, they may run code.

    Parameters
    ----------
    path : path-like
        A checkpoint, or a folder, of which the newest is taken: the last epoch of the training that began last. Where
        that cannot be read, as a damaged disk may leave it, the one before is, with a warning.
    key : str, optional
        As in `checkpoints_in`.

    Returns
    -------
    DeepNNClassifier
        Without callbacks. ``fit(X, y, resume_from=path)`` goes on with its training.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If none can be read.

    Warns
    -----
    RuntimeWarning
        If the newest cannot be read.

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
    found = [newest]
    if Path(path) != newest:  # the training's earlier ones
        found = checkpoints_in(newest.parent, run=NAME.fullmatch(newest.name)["run"])  # type: ignore[index]  # matches
    while True:
        newest = found.pop()
        try:
            return joblib.load(newest)
        except Exception as error:  # a damaged pickle may raise any
            problem = f"The checkpoint {newest} cannot be read: {type(error).__name__}: {error}"
            if not found:
                raise ValueError(problem) from error
            warn_user(f"{problem} The one before is taken.", RuntimeWarning)


def is_overtaken(path: str | os.PathLike[str]) -> bool:
    """Say whether a checkpoint's training has written later ones.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bool
        False for a folder, whose newest is meant.
    """
    path = Path(path)
    name = NAME.fullmatch(path.name)
    return name is not None and path != checkpoints_in(path.parent, run=name["run"])[-1]


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that is there as a whole or not at all, even if the process or the machine dies meanwhile.

    Parameters
    ----------
    path : Path
    write : callable
        Takes the open file.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere folders cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def is_best(run: Run) -> bool:
    """Say whether the newest epoch is the best so far, be it kept for that or not. Sets: run.memory["lowest"]."""
    state, memory = run.state, run.memory
    lowest = memory.get("lowest", math.inf)
    memory["lowest"] = min(lowest, state.monitored)
    return state.best_epoch == state.epoch if state.keeps_best else state.monitored < lowest


def check_saveable(name: str, value: object) -> None:
    """Raise if a parameter's value cannot be saved.

    Raises
    ------
    InvalidParameterError
    """
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        reject(name, "a value that can be pickled, which a lambda cannot, where a ModelCheckpoint is to save it", value)


@dataclass(frozen=True)
class ModelCheckpoint(Callback):
    """Save the training to a folder as it goes: ``fit(X, y, resume_from=path)`` goes on with it, to the bit.

    A checkpoint is a file that holds the fitted network (see `load_checkpoint`), its optimizer's state, its random
    stream and all else that training goes on from. It is written under another name and renamed when it is whole, so
    that whenever the process dies, the one before is there. One is also written at the end of the training, be it
    finished, interrupted or failed. Files are named after the time when the training began and the epoch; several
    trainings, such as those of a search, may share a folder.

    Names also hold a key of data and parameters, by which `resume_from` finds in a folder what belongs to a call of
    `fit`. A training that is resumed from an older checkpoint than its newest gets a new name.

    If a file cannot be written, the training goes on, with a warning.

    Parameters
    ----------
    path : path-like
        The folder, made if it is not there.
    every : int, default=1
        Epochs from one to the next. Writing takes some milliseconds, more for large networks.
    keep : int or None, default=2
        Checkpoints of this training to keep; None keeps all.
    save_best_only : bool, default=False
        Whether to write after epochs that are the best so far, and only then, whatever `every` says: best by the
        validation data, or without by the training cost.

    Raises
    ------
    InvalidParameterError

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
        if not isinstance(self.path, (str, os.PathLike)):
            reject("path", "the path of a folder", self.path)
        check_integer("every", self.every, 1)
        if self.keep is not None:
            check_integer("keep", self.keep, 1, otherwise=" or None")
        check_flag("save_best_only", self.save_best_only)

    def on_train_begin(self, run: Run) -> None:
        """Make the folder; find out now, not hours later, whether all can be saved and files can be written there.

        Raises
        ------
        InvalidParameterError
            If a parameter of the estimator cannot be saved.
        OSError
        """
        run.memory.setdefault("saved", 0)
        for name, value in run.settings.items():
            check_saveable(name, value)
        folder = Path(self.path)
        if folder.exists() and not folder.is_dir():
            reject("path", "that of a folder", self.path)
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob(f".{run.name}*.tmp"):  # of a process that died
            unfinished.unlink(missing_ok=True)
        write_atomically(folder / f"{run.name}.probe", lambda file: None)
        (folder / f"{run.name}.probe").unlink()

    def on_epoch_end(self, run: Run) -> None:
        """Save, if it is time to."""
        due = is_best(run) if self.save_best_only else run.state.epoch % self.every == 0
        if due and run.state.finite:
            self._save(run)

    def on_train_end(self, run: Run) -> None:
        """Save the last epoch, if it is not yet."""
        unsaved = run.memory.get("saved", run.state.epoch) < run.state.epoch
        if unsaved and run.state.finite and not self.save_best_only:
            self._save(run)

    def _save(self, run: Run) -> None:
        folder, memory, epoch = Path(self.path), run.memory, run.state.epoch
        before, memory["saved"] = memory["saved"], epoch
        try:
            path = folder / f"{run.name}-epoch-{epoch:06d}.joblib"
            write_atomically(path, lambda file: pickle.dump(run.snapshot(), file, protocol=5))  # joblib's is slower
        except OSError as error:
            memory["saved"] = before
            message = f"The checkpoint of epoch {epoch} could not be written, and training goes on without: {error}"
            warn_user(message, RuntimeWarning)
            return
        if self.keep is not None:
            written = [path for path in checkpoints_in(folder, run.name) if epoch_of(path) <= epoch]
            for old in written[: -self.keep]:
                old.unlink(missing_ok=True)
