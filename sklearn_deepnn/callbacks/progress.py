"""What `verbose` shows."""

import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ..typing import Values
from .base import Callback, Run

STEPS = (1, 2, 5)  # times a power of ten: the epochs of which a line is printed
SHORT = {"cost": "cost", "validation_cost": "validation", "validation_score": "score", "learning_rate": "rate"}
BAR_COLUMNS = 22  # of a line, for what stands before the costs: "100/200 |     | 00:31, "


def labelled(values: Values) -> dict[str, str]:
    """Return the entries of an epoch as text: "cost" to "0.1234"."""
    in_order = sorted(values.items(), key=lambda item: item[0] == "learning_rate")  # which changes least
    return {name.replace("_", " "): f"{value:.4g}" for name, value in in_order}


def print_outcome(run: Run) -> None:
    """Print what has stopped the training, and which epoch's weights are kept; nothing if it has failed."""
    state = run.state
    stop = f"stopped by {state.stopped_by} after {state.epoch} epochs" if state.stopped_by else ""
    kept = f"the weights of epoch {state.best_epoch} are kept" if state.best_epoch is not None else ""
    if (stop or kept) and not run.failed:
        print("; ".join(filter(None, (stop, kept))), flush=True)


def print_resumed(run: Run) -> None:
    """Print where a training goes on that was cut off."""
    if run.resumed:
        n_left = 0 if run.state.stopped_by else run.last_epoch - run.state.epoch
        print(f"resumed after epoch {run.state.epoch}, at most {n_left} to go", flush=True)


def print_not_resumed(folder: str | os.PathLike[str]) -> None:
    """Print that a fit found no checkpoint to go on from."""
    print(f"no checkpoint of this fit in {os.fspath(folder)!r}: it begins from the start", flush=True)


@dataclass
class EpochPrinter(Callback):
    """Print a line for every so many epochs: epoch, costs, score, learning rate.

    Parameters
    ----------
    every : int or None, default=1
        None: the epochs 1, 2, 5, 10, 20, 50, ..., and of each call at least ten where there are so many.
    """

    every: int | None = 1

    def on_train_begin(self, run: Run) -> None:
        """Remember that nothing has been printed."""
        self._printed = run.state.epoch
        print_resumed(run)

    def on_epoch_end(self, run: Run) -> None:
        """Print the newest entries of the history, if it is time to."""
        epoch, n_epochs = run.state.epoch, run.last_epoch - run.state.first_epoch
        round_number = epoch in {step * 10**power for step in STEPS for power in range(len(str(epoch)))}
        if epoch % (self.every or max(n_epochs // 10, 1)) == 0 or (self.every is None and round_number):
            self._print(run)

    def on_train_end(self, run: Run) -> None:
        """Print the last epoch, if it has not been, and which one is kept."""
        state = run.state
        if state.epoch > self._printed:
            self._print(run)
        print_outcome(run)

    def _print(self, run: Run) -> None:
        newest = "  ".join(f"{name} {value:<9}" for name, value in labelled(run.state.newest).items())
        print(f"epoch {run.state.epoch:>4}  {newest}".rstrip(), flush=True)
        self._printed = run.state.epoch


def brief(values: Values, n_columns: int) -> str:
    """Return the entries of an epoch as one short text: those that fit, the costs first."""
    entries = [f"{short} {values[name]:.3g}" for name, short in SHORT.items() if name in values]
    while len(", ".join(entries)) > n_columns:
        entries.pop()
    return ", ".join(entries)


class ProgressLine(Callback):
    """Show a bar with the epoch, the time left and the newest costs, score and rate, which moves as the training does.

    Parameters
    ----------
    bar : callable
        Makes a bar, as `tqdm.tqdm`.
    """

    make_bar: Callable[..., Any]
    bar: Any

    def __init__(self, bar: Callable[..., Any]) -> None:
        self.make_bar, self.bar = bar, None

    def on_train_begin(self, run: Run) -> None:
        """Draw the bar."""
        print_resumed(run)
        about = {"total": run.last_epoch, "initial": run.state.epoch, "unit": "epoch", "file": sys.stdout}
        self.bar = self.make_bar(bar_format="{n_fmt}/{total_fmt} |{bar}| {remaining}{postfix}", **about)

    def on_epoch_end(self, run: Run) -> None:
        """Move the bar on; after the last epoch leave the line to what is printed then."""
        n_columns = shutil.get_terminal_size().columns - BAR_COLUMNS
        self.bar.set_postfix_str(brief(run.state.newest, n_columns), refresh=False)
        self.bar.update()
        if run.state.stopped_by or run.state.epoch == run.last_epoch:
            self._close(run)

    def on_train_end(self, run: Run) -> None:
        """Leave the bar as it is; print which epoch is kept."""
        self._close(run)
        print_outcome(run)

    def _close(self, run: Run) -> None:
        """Let the bar tell the time that it took; a training that has stopped is done, which notebooks show green."""
        if run.state.stopped_by and run.state.finite:
            self.bar.total = self.bar.n
        self.bar.bar_format = f"{self.bar.n}/{run.last_epoch} |{{bar}}| {{elapsed}}{{postfix}}"
        self.bar.close()


def progress_display() -> Callback:
    """Return what shows progress best: a bar in a terminal or notebook, where tqdm is installed, otherwise lines.

    In a process or thread that works for another, as in a search, bars would overwrite each other.

    Returns
    -------
    Callback
    """
    in_notebook = type(sys.stdout).__module__.startswith("ipykernel")
    in_main_thread = threading.current_thread() is threading.main_thread()
    is_worker = multiprocessing.current_process().name != "MainProcess" or not in_main_thread
    in_terminal = getattr(sys.stdout, "isatty", bool)()  # there may be no stdout at all
    if find_spec("tqdm") is None or is_worker or not (in_notebook or in_terminal):
        return EpochPrinter(every=None)
    if in_notebook and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return ProgressLine(lambda **about: tqdm(dynamic_ncols=True, **about))
