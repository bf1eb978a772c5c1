"""The display that `verbose` asks for: printed lines or a progress bar."""

import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

from ..messages import print_line
from ..training.run import Run
from ..training.state import RECORDED
from ..typing import Values
from .base import Callback

STEPS = (1, 2, 5)  # lines are printed for the epochs 1, 2, 5, 10, 20, 50, ...
SHORT = dict(zip(RECORDED, ("cost", "validation", "score", "rate")))
LONGEST_SILENCE = 10.0  # seconds between two lines, unless an epoch takes longer
BAR_COLUMNS = 22  # columns of a line before the costs: "100/200 |     | 00:31, "


def print_outcome(run: Run) -> None:
    """Print how long loading loops took, the findings, what has stopped the training, and the epoch that is kept."""
    state = run.state
    if run.loading_seconds:
        print_line(
            f"loaded compiled loops in {duration_text(run.loading_seconds)}, once: later fits in this process have them"
        )
    stopped_by = "Ctrl-C" if run.interrupted else run.stopped_by
    if run.failed or (run.is_part and not stopped_by):  # the error is raised; other calls of `partial_fit` follow
        return
    for finding in run.findings:
        if not finding.is_warning:
            print_line(f"report_: {finding.text}")
    n_epochs = f"{state.epoch} epoch{'s' * (state.epoch != 1)}"
    kept = "" if state.best_epoch is None else f"; the weights of epoch {state.best_epoch} are kept"
    print_line(f"stopped by {stopped_by or 'max_iter'} after {n_epochs}{kept}")


def print_beginning(run: Run) -> None:
    """Print the epoch of a training that is resumed."""
    if run.resumed:
        last_epoch = run.state.epoch if run.stopped_by else run.last_epoch
        print_line(f"resumed after epoch {run.state.epoch} of at most {last_epoch}")


def print_not_resumed(folder: str | os.PathLike[str]) -> None:
    """Print that a folder has no checkpoint from which a fit can be resumed."""
    with suppress(Exception):  # the display of the fit, which fails likewise, warns
        print_line(f"no checkpoint of this fit in {os.fspath(folder)!r}: training starts from the beginning")


def duration_text(seconds: float) -> str:
    """Return a duration as a text such as "3.2 s", or "0:01:30" from a minute on."""
    return f"{seconds:.1f} s" if seconds < 59.95 else str(timedelta(seconds=round(seconds)))


class Display(Callback):
    """What `verbose` shows."""

    shown_name = "The display of progress"
    only_watches = True


@dataclass
class EpochPrinter(Display):
    """Print a line for every `every`-th epoch: epoch, costs, score, learning rate, time since training began."""

    # None prints the epochs 1, 2, 5, 10, 20, 50, ..., and at least ten epochs of a longer call
    every: int | None = 1

    def on_train_begin(self, run: Run) -> None:
        """Print what `print_beginning` does."""
        self._printed = run.state.epoch
        self._began = self._printed_at = self._ended_at = time.perf_counter()
        print_beginning(run)

    def on_epoch_end(self, run: Run) -> None:
        """Print the line of the epoch, if it is one of the epochs to print."""
        epoch, n_epochs = run.state.epoch, run.last_epoch - run.state.call.first_epoch
        round_number = epoch in {step * 10**power for step in STEPS for power in range(len(str(epoch)))}
        is_due = epoch % (self.every or max(n_epochs // 10, 1)) == 0 or (self.every is None and round_number)
        now = time.perf_counter()  # if the next epoch would end too late for a line, this one gets one
        end_of_next, self._ended_at = now + (now - self._ended_at), now
        if is_due or end_of_next - self._printed_at > LONGEST_SILENCE:
            self._print(run)

    def on_train_end(self, run: Run) -> None:
        """Print the last epoch, if it has not been printed, and the outcome."""
        if run.state.epoch > self._printed:
            self._print(run)
        print_outcome(run)

    def _print(self, run: Run) -> None:
        rate_last = sorted(run.state.newest.items(), key=lambda item: item[0] == "learning_rate")
        newest = "  ".join(f"{name.replace('_', ' ')} {value:<9.4g}" for name, value in rate_last)
        self._printed, self._printed_at = run.state.epoch, time.perf_counter()
        elapsed = duration_text(self._printed_at - self._began)
        print_line(f"epoch {run.state.epoch:>4}  {newest}  elapsed {elapsed}")


def short_text(values: Values, n_columns: int) -> str:
    """Return the values of an epoch as a text of at most `n_columns`, the costs first. Omit values that do not fit."""
    short = SHORT | {name: name.replace("_", " ") for name in values if name not in SHORT}
    entries = [f"{short[name]} {values[name]:.3g}" for name in short if name in values]
    while len(", ".join(entries)) > n_columns:
        entries.pop()
    return ", ".join(entries)


class ProgressLine(Display):
    """Show a progress bar with the epoch, the remaining time, and the costs, score and rate of the last epoch."""

    def __init__(self, bar: Callable[..., Any]) -> None:
        self.make_bar = bar  # returns a progress bar, like `tqdm.tqdm`
        self.bar: Any = None

    def on_train_begin(self, run: Run) -> None:
        """Show the bar."""
        print_beginning(run)
        about = {"total": run.last_epoch, "initial": run.state.epoch, "unit": "epoch", "file": sys.stdout}
        self.bar = self.make_bar(bar_format="{n_fmt}/{total_fmt} |{bar}| {remaining}{postfix}", **about)

    def on_epoch_end(self, run: Run) -> None:
        """Advance the bar. Close it after the last epoch, so that the next output starts on a new line."""
        n_columns = shutil.get_terminal_size().columns - BAR_COLUMNS
        self.bar.set_postfix_str(short_text(run.state.newest, n_columns), refresh=False)
        self.bar.update()
        if run.stopped_by or run.state.epoch == run.last_epoch:
            self._close(run)

    def on_train_end(self, run: Run) -> None:
        """Close the bar; print the outcome."""
        self._close(run)
        print_outcome(run)

    def _close(self, run: Run) -> None:
        """Show the time taken instead of the remaining time, and close the bar."""
        if run.stopped_by and run.state.is_finite:
            self.bar.total = self.bar.n  # a training that has stopped early is complete: notebooks show it green
        self.bar.bar_format = f"{self.bar.n}/{run.last_epoch} |{{bar}}| {{elapsed}}{{postfix}}"
        self.bar.close()


def progress_display() -> Callback:
    """Return the best display of progress: a bar in a terminal or notebook if tqdm is installed, otherwise lines."""
    # worker processes and threads, as in a search, get lines: bars would overwrite each other
    in_notebook = type(sys.stdout).__module__.startswith("ipykernel")
    in_main_thread = threading.current_thread() is threading.main_thread()
    is_worker = multiprocessing.current_process().name != "MainProcess" or not in_main_thread
    if find_spec("tqdm") is None or is_worker or not (in_notebook or is_terminal(sys.stdout)):
        return EpochPrinter(every=None)
    return ProgressLine(widget if in_notebook and find_spec("ipywidgets") is not None else text_bar)


def is_terminal(stream: Any) -> bool:
    """Say whether a stream is a terminal, and not a file, closed, None or no stream at all."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError, OSError):
        return False


def widget(**about: Any) -> Any:
    """Return a progress bar in a notebook."""
    from tqdm.notebook import tqdm

    return tqdm(dynamic_ncols=True, **about)


def text_bar(**about: Any) -> Any:
    """Return a progress bar of characters."""
    from tqdm import tqdm

    return tqdm(dynamic_ncols=True, **about)
