"""Callbacks that write down what happens."""

import csv
import json
import math
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from ..checks import reject, warn_user
from .base import Callback, Run

FIELDS = ("run", "epoch", "time", "seconds", "cost", "validation_cost", "validation_score", "learning_rate")


def warn_unwritten(what: str, error: Exception) -> None:
    """Warn that something was not written down."""
    warn_user(f"{what}, and training goes on without: {error}", RuntimeWarning)


def create_with(path: Path, text: str) -> None:
    """Create a file that has a text from the moment it is there; leave it as it is if it is there already.

    Parameters
    ----------
    path : Path
    text : str
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(3)}.tmp")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        os.link(draft, path)
    except OSError:  # it is there, or it cannot be done in one go here: the first line is then appended
        pass
    finally:
        draft.unlink(missing_ok=True)


@dataclass(frozen=True)
class HistoryLogger(Callback):
    """Append a line for each epoch to a file, at once, so that `tail -f` and other programs can follow.

    The fields are the training it belongs to (`run`), `epoch`, the `time` of day (UTC), the `seconds` that the training
    has taken so far, `cost`, `validation_cost` and `validation_score` if there are, and `learning_rate`. Each line is
    written whole, so several trainings, in several processes too, may share a file. Where a training that was cut off
    is resumed, epochs that are already there are not written again.

    If a line cannot be written, the training goes on, with a warning.

    Parameters
    ----------
    path : path-like
        Ending in .csv, or in .jsonl for one JSON object a line. Its folder is made if it is not there.

    Raises
    ------
    InvalidParameterError

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import HistoryLogger
    >>> path = pathlib.Path(tempfile.mkdtemp(), "history.csv")
    >>> model = DeepNNClassifier(max_iter=2, random_state=0).set_callbacks(HistoryLogger(path))
    >>> _ = model.fit(*load_iris(return_X_y=True))
    >>> len(path.read_text().splitlines())  # a line of names, and one for each epoch
    3
    """

    path: str | os.PathLike[str]
    remembers_for_good = True

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)) or Path(self.path).suffix not in (".csv", ".jsonl"):
            reject("path", "the path of a file ending in .csv or .jsonl", self.path)

    @property
    def _is_csv(self) -> bool:
        return Path(self.path).suffix == ".csv"

    def on_train_begin(self, run: Run) -> None:
        """Open the file; end a line that a process left unfinished; find which epochs are there."""
        path, memory = Path(self.path), run.memory
        memory.setdefault("seconds", 0.0)
        memory |= {"began": time.perf_counter() - memory["seconds"], "logged": 0}
        path.parent.mkdir(parents=True, exist_ok=True)
        heading = self._line(FIELDS) if self._is_csv else ""
        if heading and not path.exists():
            create_with(path, heading)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if run.resumed:
            epochs = (epoch for of_run, epoch in self._entries(text) if of_run == run.name)
            memory["logged"] = max(epochs, default=0)
        self._append("" if text.endswith("\n") else "\n" if text else heading)

    def on_epoch_end(self, run: Run) -> None:
        """Write the epoch's line."""
        memory, state = run.memory, run.state
        memory["seconds"] = time.perf_counter() - memory["began"]
        if state.epoch <= memory["logged"]:
            return
        now, seconds = datetime.now(UTC).isoformat(timespec="milliseconds"), round(memory["seconds"], 6)
        entry = {"run": run.name, "epoch": state.epoch, "time": now, "seconds": seconds} | state.newest
        try:
            self._append(self._line([entry.get(name, "") for name in FIELDS]) if self._is_csv else self._object(entry))
        except OSError as error:
            warn_unwritten(f"Epoch {state.epoch} could not be written to {self.path}", error)

    def _append(self, text: str) -> None:
        """Append in one system call, which other processes cannot come between."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)

    @staticmethod
    def _line(values: Iterable[object]) -> str:
        line = StringIO()
        csv.writer(line, lineterminator="\n").writerow(values)
        return line.getvalue()

    @staticmethod
    def _object(entry: dict[str, Any]) -> str:
        entry = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in entry.items()}
        return json.dumps({name: entry[name] for name in FIELDS if name in entry}) + "\n"

    def _entries(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield run and epoch of the lines that can be read."""
        for line in text.splitlines():
            try:
                entry = dict(zip(FIELDS, next(csv.reader([line])))) if self._is_csv else json.loads(line)
                yield entry["run"], int(entry["epoch"])
            except (ValueError, KeyError, TypeError, StopIteration):  # names of the fields, or a line cut short
                continue


@dataclass(frozen=True)
class MLflowLogger(Callback):
    """Log the epochs to MLflow, as metrics of the active run, or of one that is started for this training.

    The estimator's parameters become the run's parameters, unless there are some of these names. Needs mlflow, or
    mlflow-skinny, which is imported when the training begins.

    If an epoch cannot be logged, the training goes on, with a warning.

    Raises
    ------
    ImportError
        If MLflow is not installed.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import MLflowLogger
    >>> model = DeepNNClassifier((64,)).set_callbacks(MLflowLogger())
    """

    remembers_for_good = True

    def on_train_begin(self, run: Run) -> None:
        """Find the run to log to, or start one; log the parameters."""
        mlflow = self._mlflow()
        active = mlflow.active_run()
        if active is not None:
            run.memory |= {"run": active.info.run_id, "is_own": False}
        elif "run" not in run.memory:
            run.memory |= {"run": mlflow.start_run().info.run_id, "is_own": True}
            mlflow.end_run("RUNNING")
        client, run_id = mlflow.MlflowClient(), run.memory["run"]
        known = client.get_run(run_id).data.params
        new = [mlflow.entities.Param(name, str(v)) for name, v in run.settings.items() if name not in known]
        client.log_batch(run_id, params=new)

    def on_epoch_end(self, run: Run) -> None:
        """Log what is new."""
        mlflow, epoch = self._mlflow(), run.state.epoch
        with self._going_on(f"Epoch {epoch} could not be logged to MLflow"):
            mlflow.log_metrics(run.state.newest, step=epoch, run_id=run.memory["run"])

    def on_train_end(self, run: Run) -> None:
        """End the run, if it was started here."""
        if run.memory["is_own"]:
            status = "FINISHED" if run.state.stopped_by or run.state.epoch >= run.last_epoch else "FAILED"
            with self._going_on(f"The run could not be ended as {status} in MLflow"):
                self._mlflow().MlflowClient().set_terminated(run.memory["run"], status)

    @contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        try:
            yield
        except (self._mlflow().MlflowException, OSError) as error:
            warn_unwritten(what, error)

    @staticmethod
    def _mlflow() -> Any:
        try:
            import mlflow
        except ImportError as error:
            raise ImportError("MLflowLogger needs MLflow: pip install mlflow-skinny, or mlflow.") from error
        return mlflow
