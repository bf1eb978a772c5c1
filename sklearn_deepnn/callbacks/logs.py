"""Callbacks that log the epochs: to a file, or to MLflow."""

import csv
import json
import math
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from ..checks import check_path, reject
from ..messages import warn_user
from ..training.run import Run
from ..training.state import FIELDS
from .base import Callback

LOG_FILE = "the path of a file ending in .csv or .jsonl"
TRAINING_TAG = "sklearn_deepnn.training"  # of a run of MLflow: the name of the training that it has
UNFINISHED_SECONDS = 0.1  # after which an incomplete line is that of a process that died
FITTING_ONCE = ["base"], ["pipeline"], ["callback"]  # modules of scikit-learn that only pass a call of `fit` on


def is_one_of_many_fits() -> bool:
    """Say whether `fit` is called by a search, a cross-validation or another estimator, or is logged by MLflow itself.

    A Pipeline fits its network once.
    """
    frame = sys._getframe(1)
    while frame is not None:
        package, *inside = frame.f_globals.get("__name__", "").split(".")
        if package == "mlflow" or (package == "sklearn" and inside[:1] not in FITTING_ONCE):
            return True
        frame = frame.f_back
    return False


def create_file(path: Path, text: str) -> None:
    """Create a file with a text, in one operation. A file that exists already stays as it is."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(3)}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.link(temporary, path)
    except OSError:  # the file exists, or this file system has no links: the caller then appends the text
        pass
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class HistoryLogger(Callback):
    """Append a line to a file at the end of each epoch, so that `tail -f` and other programs can follow.

    The fields are `run` (the name of the training), `epoch`, `time` (UTC), `seconds` (the duration of the training so
    far), `cost`, `validation_cost` and `validation_score` where they exist, `learning_rate`, and what callbacks such as
    `EpochScoring` add. A .csv that exists keeps its fields; a warning names those that it leaves out. Each line is
    written in one operation: several trainings, in several processes too, may write to one file. A resumed training
    does not write an epoch again.

    If a line cannot be written, training continues, with one warning for each fit. Only a path that cannot be that of a
    file is an error, before the first epoch.

    Parameters
    ----------
    path : path-like
        Ends in .csv, or in .jsonl for one JSON object per line. Its folder is created if it does not exist.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import HistoryLogger
    >>> path = pathlib.Path(tempfile.mkdtemp(), "history.csv")
    >>> model = DeepNNClassifier(max_iter=2, random_state=0).set_callbacks(HistoryLogger(path))
    >>> _ = model.fit(*load_iris(return_X_y=True))
    >>> len(path.read_text().splitlines())  # the names of the fields, and a line for each epoch
    3
    """

    path: str | os.PathLike[str]
    only_watches = True
    remembers_for_good = True

    def __post_init__(self) -> None:
        if self._file.suffix not in (".csv", ".jsonl"):
            reject("path", LOG_FILE, self.path)

    @property
    def _file(self) -> Path:
        return check_path("path", self.path, LOG_FILE)

    @property
    def _is_csv(self) -> bool:
        return self._file.suffix == ".csv"

    def on_train_begin(self, run: Run) -> None:
        """Create the file, end an incomplete line of a process that died, and find which epochs are in the file."""
        path, memory = self._file, run.memory
        memory.setdefault("seconds", 0.0)
        heading = self._csv_line([*FIELDS, *run.measured]) if self._is_csv else ""
        memory |= {"began": time.perf_counter() - memory["seconds"], "logged": 0, "heading": heading}
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if text and not text.endswith("\n"):  # another process may be writing a line at this moment
            time.sleep(UNFINISHED_SECONDS)
            text = path.read_text(encoding="utf-8")
        if run.resumed:
            epochs = (epoch for of_run, epoch in self._entries(text) if of_run == run.name)
            memory["logged"] = max(epochs, default=0)
        if text.startswith("run,"):  # the fields of a file stay
            memory["heading"] = text.splitlines(keepends=True)[0]
            self._warn_of_left_out(heading, memory["heading"])
        self._append("\n" if text and not text.endswith("\n") else "", memory["heading"])

    def on_epoch_end(self, run: Run) -> None:
        """Write the line of the epoch."""
        memory, state = run.memory, run.state
        memory["seconds"] = time.perf_counter() - memory["began"]
        if state.epoch <= memory["logged"]:
            return
        now, seconds = datetime.now(UTC).isoformat(timespec="milliseconds"), round(memory["seconds"], 6)
        entry = {"run": run.name, "epoch": state.epoch, "time": now, "seconds": seconds} | state.newest
        self._append(self._line(entry, memory["heading"]), memory["heading"])

    def _append(self, text: str, heading: str) -> None:
        """Append in one system call, so that lines of other processes cannot get in between. Begin with the heading."""
        if heading and not self._file.exists():
            create_file(self._file, heading)
        file = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            is_empty = os.fstat(file).st_size == 0
            os.write(file, f"{heading if is_empty else ''}{text}".encode())
        finally:
            os.close(file)

    def _warn_of_left_out(self, wanted: str, heading: str) -> None:
        """Warn of values that a .csv which exists has no column for."""
        columns = next(csv.reader([heading]))
        left_out = [name for name in next(csv.reader([wanted])) if name not in columns]
        if left_out:
            problem = f"{str(self._file)!r} was begun without the columns {left_out}, and leaves them out"
            warn_user(f"HistoryLogger: {problem}. Another file, or a .jsonl, would have them.", UserWarning)

    def _line(self, entry: dict[str, Any], heading: str) -> str:
        """Return an epoch as a line of the file, which has a heading if it is a .csv."""
        if self._is_csv:
            return self._csv_line(entry.get(name, "") for name in next(csv.reader([heading])))
        entry = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in entry.items()}
        return json.dumps({name: entry[name] for name in dict.fromkeys([*FIELDS, *entry]) if name in entry}) + "\n"

    @staticmethod
    def _csv_line(cells: Iterable[Any]) -> str:
        """Return a line of a .csv."""
        line = StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        return line.getvalue()

    def _entries(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield the run and the epoch of each line that can be read."""
        for line in text.splitlines():
            try:
                entry = dict(zip(FIELDS, next(csv.reader([line])))) if self._is_csv else json.loads(line)
                yield entry["run"], int(entry["epoch"])
            except (ValueError, KeyError, TypeError, StopIteration):  # the names of the fields, or an incomplete line
                continue


@dataclass(frozen=True)
class MLflowLogger(Callback):
    """Log the epochs to MLflow: the metrics of each epoch, and the parameters of the estimator.

    The first `fit` that your code calls while a run is active, alone or in a Pipeline, logs to the active run.
    Parameters that the run has already stay as they are. Each other fit gets a run of its own, below the active run if
    there is one: fits of a search, of a cross-validation, of another estimator or under `mlflow.sklearn.autolog()`, and
    further fits of your code. A training that is continued or resumed stays in its run.

    What cannot be logged is a warning, once for each fit. Needs mlflow or mlflow-skinny, which is imported when
    training begins.

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

    only_watches = True
    remembers_for_good = True

    def on_train_begin(self, run: Run) -> None:
        """Find the run, or start one, and log the parameters."""
        mlflow = self._mlflow()
        active, memory, client = mlflow.active_run(), run.memory, mlflow.MlflowClient()
        if active is not None and self._may_use(client.get_run(active.info.run_id), run):
            memory |= {"run": active.info.run_id, "is_own": False}
        elif "run" not in memory:
            memory |= {"run": mlflow.start_run(nested=True).info.run_id, "is_own": True}
            mlflow.end_run("RUNNING")
        client.set_tag(memory["run"], TRAINING_TAG, run.name)
        known = client.get_run(memory["run"]).data.params
        new = [mlflow.entities.Param(name, str(v)) for name, v in run.settings.items() if name not in known]
        client.log_batch(memory["run"], params=new)

    def on_epoch_end(self, run: Run) -> None:
        """Log the values of the epoch."""
        self._mlflow().log_metrics(run.state.newest, step=run.state.epoch, run_id=run.memory["run"])

    def on_train_end(self, run: Run) -> None:
        """End the run, if this callback started it."""
        if run.memory.get("is_own"):
            status = "FAILED" if run.failed or run.interrupted else "FINISHED"
            self._mlflow().MlflowClient().set_terminated(run.memory["run"], status)

    @staticmethod
    def _may_use(active: Any, run: Run) -> bool:
        """Say whether a training may log to the active run: there is no other training in the run."""
        is_free = active.data.tags.get(TRAINING_TAG, run.name) == run.name
        return run.memory.get("run") == active.info.run_id or (is_free and not is_one_of_many_fits())

    @staticmethod
    def _mlflow() -> Any:
        try:
            import mlflow
        except ImportError as error:
            raise ImportError("MLflowLogger needs MLflow: pip install mlflow-skinny, or mlflow.") from error
        return mlflow
