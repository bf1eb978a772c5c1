"""The display that `verbose` asks for: printed lines or a progress bar."""

import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ..training.run import Run
from ..typing import Values
from .base import Callback

STEPS = (1, 2, 5)  # lines are printed for the epochs 1, 2, 5, 10, 20, 50, ...
SHORT = {"cost": "cost", "validation_cost": "validation", "validation_score": "score", "learning_rate": "rate"}
BAR_COLUMNS = 22  # columns of a line before the costs: "100/200 |     | 00:31, "


def print_outcome(run: Run) -> None:
    """Print what has stopped the training, and the epoch whose weights are kept. After an error, print nothing."""
    state = run.state
    stop = f"stopped by {run.stopped_by} after {state.epoch} epochs" if run.stopped_by else ""
    kept = f"the weights of epoch {state.best_epoch} are kept" if state.best_epoch is not None else ""
    if (stop or kept) and not run.failed:
        print("; ".join(filter(None, (stop, kept))), flush=True)


def print_resumed(run: Run) -> None:
    """Print after which epoch a training is resumed, if it is resumed."""
    if run.resumed:
        last_epoch = run.state.epoch if run.stopped_by else run.last_epoch
        print(f"resumed after epoch {run.state.epoch} of at most {last_epoch}", flush=True)


def print_not_resumed(folder: str | os.PathLike[str]) -> None:
    """Print that a folder has no checkpoint from which a fit can be resumed."""
    print(f"no checkpoint of this fit in {os.fspath(folder)!r}: training starts from the beginning", flush=True)


@dataclass
class EpochPrinter(Callback):
    """Print a line for every `every`-th epoch: epoch, costs, score, learning rate."""

    # None prints the epochs 1, 2, 5, 10, 20, 50, ..., and at least ten epochs of a longer call
    every: int | None = 1

    def on_train_begin(self, run: Run) -> None:
        """Print after which epoch the training is resumed, if it is resumed."""
        self._printed = run.state.epoch
        print_resumed(run)

    def on_epoch_end(self, run: Run) -> None:
        """Print the line of the epoch, if it is one of the epochs to print."""
        epoch, n_epochs = run.state.epoch, run.last_epoch - run.state.call.first_epoch
        round_number = epoch in {step * 10**power for step in STEPS for power in range(len(str(epoch)))}
        if epoch % (self.every or max(n_epochs // 10, 1)) == 0 or (self.every is None and round_number):
            self._print(run)

    def on_train_end(self, run: Run) -> None:
        """Print the last epoch, if it has not been printed, and the outcome."""
        if run.state.epoch > self._printed:
            self._print(run)
        print_outcome(run)

    def _print(self, run: Run) -> None:
        rate_last = sorted(run.state.newest.items(), key=lambda item: item[0] == "learning_rate")
        newest = "  ".join(f"{name.replace('_', ' ')} {value:<9.4g}" for name, value in rate_last)
        print(f"epoch {run.state.epoch:>4}  {newest}".rstrip(), flush=True)
        self._printed = run.state.epoch


def short_text(values: Values, n_columns: int) -> str:
    """Return the values of an epoch as a text of at most `n_columns`, the costs first. Omit values that do not fit."""
    entries = [f"{short} {values[name]:.3g}" for name, short in SHORT.items() if name in values]
    while len(", ".join(entries)) > n_columns:
        entries.pop()
    return ", ".join(entries)


class ProgressLine(Callback):
    """Show a progress bar with the epoch, the remaining time, and the costs, score and rate of the last epoch."""

    def __init__(self, bar: Callable[..., Any]) -> None:
        self.make_bar = bar  # returns a progress bar, like `tqdm.tqdm`
        self.bar: Any = None

    def on_train_begin(self, run: Run) -> None:
        """Show the bar."""
        print_resumed(run)
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
        """Close the bar; print the epoch whose weights are kept."""
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
    in_terminal = getattr(sys.stdout, "isatty", bool)()  # stdout may be None
    if find_spec("tqdm") is None or is_worker or not (in_notebook or in_terminal):
        return EpochPrinter(every=None)
    if in_notebook and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return ProgressLine(lambda **about: tqdm(dynamic_ncols=True, **about))
