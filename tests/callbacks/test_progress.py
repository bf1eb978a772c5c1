import io
import os
import re
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from joblib import Parallel, delayed
from recording import X_VAL, Y_VAL, Calling, Noting, X, Y, net
from sklearn.exceptions import ConvergenceWarning

import sklearn_deepnn
from sklearn_deepnn.callbacks import Callback, Run, progress
from sklearn_deepnn.callbacks.progress import EpochPrinter, progress_display, short_text
from sklearn_deepnn.training.state import Best, Call, TrainingState

VALIDATION = {"X_val": X_VAL, "y_val": Y_VAL}
NUMBER = r"-?\d[\d.e+-]*"
needs_tqdm = pytest.mark.skipif(find_spec("tqdm") is None, reason="tqdm is not installed")


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self):
        return True


@contextmanager
def terminal():
    """Have a terminal for stdout and stderr."""
    screen = Terminal()
    with redirect_stdout(screen), redirect_stderr(screen):
        yield screen


def lines_on(screen):
    """Return the lines that are seen in the end: what stands behind a line's last carriage return."""
    return [line.split("\r")[-1] for line in screen.getvalue().rstrip("\n").split("\n")]


def epochs_in(printed):
    """Return the epochs that lines were printed for."""
    return [int(epoch) for epoch in re.findall(r"^epoch +(\d+)  cost ", printed, re.MULTILINE)]


# Nothing.


@pytest.mark.parametrize("verbose", [0, False])
def test_nothing_is_printed_unless_it_is_asked_for(capfd, verbose):
    model = net(verbose=verbose, early_stopping=True).set_callbacks(Noting([]))
    model.fit(X, Y).fit(X, Y, **VALIDATION).partial_fit(X, Y)
    net(verbose=verbose, n_iter_no_change=1, tol=10.0).fit(X, Y)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_in_a_terminal_either():
    with terminal() as screen:
        net().fit(X, Y)
    assert screen.getvalue() == ""


# Lines.


@pytest.mark.parametrize(
    ("max_iter", "epochs"),
    [
        (1, [1]),
        (8, list(range(1, 9))),
        (25, [1, *range(2, 26, 2), 5, 25]),
        (60, [1, 2, 5, *range(6, 61, 6), 10, 20, 50]),
        (123, [1, 2, 5, 10, *range(12, 124, 12), 20, 50, 100, 123]),
    ],
)
def test_verbose_1_prints_some_epochs(capsys, max_iter, epochs):
    net(max_iter=max_iter, verbose=1).fit(X, Y)
    printed = capsys.readouterr()
    assert epochs_in(printed.out) == sorted(set(epochs))
    assert len(printed.out.splitlines()) == len(set(epochs))
    assert printed.err == ""


def test_verbose_2_prints_each_epoch_and_which_is_kept(capsys):
    model = net(verbose=2, scoring="accuracy").fit(X, Y, **VALIDATION)
    *lines, last = capsys.readouterr().out.splitlines()
    curves = zip(model.loss_curve_, model.validation_loss_curve_, model.validation_scores_, model.learning_rate_curve_)
    wanted = [
        f"epoch {epoch} cost {cost:.4g} validation cost {validation:.4g} validation score {score:.4g} "
        f"learning rate {rate:.4g}"
        for epoch, (cost, validation, score, rate) in enumerate(curves, start=1)
    ]
    assert [" ".join(line.split()) for line in lines] == wanted
    assert last == f"the weights of epoch {model.best_iter_} are kept"


def test_each_line_is_there_when_its_epoch_ends(capsys):
    seen = []
    follower = Calling(lambda run: seen.append(epochs_in(capsys.readouterr().out)))
    follower.needs_snapshot = True  # after the display
    net(max_iter=3, verbose=2).set_callbacks(follower).fit(X, Y)
    assert seen == [[1], [2], [3]]


@pytest.mark.parametrize("verbose", [1, 2])
def test_the_last_epoch_is_printed_once_wherever_training_ends(capsys, verbose):
    net(max_iter=200, verbose=verbose).set_callbacks(Noting([], stops_at=33)).fit(X, Y)
    epochs = epochs_in(capsys.readouterr().out)
    assert epochs[-1] == 33
    assert epochs.count(33) == 1


def test_lines_go_on_counting_in_a_warm_start_and_in_partial_fit(capsys):
    model = net(max_iter=20, verbose=1, warm_start=True).fit(X, Y)
    capsys.readouterr()
    model.fit(X, Y)
    assert epochs_in(capsys.readouterr().out) == list(range(22, 41, 2))
    model.partial_fit(X, Y)
    assert epochs_in(capsys.readouterr().out) == [41]


def test_the_printer_prints_the_newest_entry_of_every_curve(capsys):
    state = TrainingState(None, None, best=Best(2, {}, None), call=Call(first_epoch=3))
    state.history = {"cost": [0.75, 0.5, 0.5], "learning_rate": [0.01] * 3}
    run, printer = Run(state, last_epoch=9, validates=True), EpochPrinter(every=2)
    printer.on_train_begin(run)
    state.begin_epoch_entry(cost=0.25, learning_rate=0.01)
    state.add_to_epoch({"validation_cost": 0.75})
    assert not printer.on_epoch_end(run)
    printer.on_train_end(run)
    text = "epoch    4  cost 0.25       validation cost 0.75       learning rate 0.01"
    assert capsys.readouterr().out == f"{text}\nthe weights of epoch 2 are kept\n"


# The bar.


def test_what_is_brief_has_what_fits():
    values = {"learning_rate": 1.2345e-4, "cost": 0.123456, "validation_cost": 0.09876543, "validation_score": -0.98765}
    assert short_text(values, 58) == "cost 0.123, validation 0.0988, score -0.988, rate 0.000123"
    assert short_text(values, 57) == "cost 0.123, validation 0.0988, score -0.988"
    assert short_text(values, 20) == "cost 0.123"
    assert short_text(values, 5) == ""
    assert short_text({"cost": 2.0, "learning_rate": 1.0}, 80) == "cost 2, rate 1"


@needs_tqdm
def test_a_terminal_shows_a_bar():
    with terminal() as screen:
        model = net(max_iter=12, verbose=1, scoring="accuracy").fit(X, Y, **VALIDATION)
    curves = model.loss_curve_, model.validation_loss_curve_, model.validation_scores_, model.learning_rate_curve_
    cost, validation, score, rate = (f"{curve[-1]:.3g}" for curve in curves)
    bar, kept = lines_on(screen)
    end = rf"cost {cost}, validation {validation}, score {score}, rate {rate}"
    assert re.fullmatch(rf"12/12 \|#+\| \d\d:\d\d, {re.escape(end)}", bar)
    assert kept == f"the weights of epoch {model.best_iter_} are kept"
    assert "0/12 |" in screen.getvalue()


@needs_tqdm
def test_a_bar_goes_on_where_a_warm_start_does():
    with terminal() as screen:
        net(max_iter=3, verbose=1, warm_start=True).fit(X, Y).fit(X, Y)
    first, second = lines_on(screen)
    assert first.startswith("3/3 |#")
    assert second.startswith("6/6 |#")
    assert "\r3/6 |" in screen.getvalue()


@needs_tqdm
def test_a_bar_of_a_training_that_has_stopped_is_full_and_tells_the_epoch():
    with terminal() as screen:
        net(max_iter=100, verbose=1).set_callbacks(Noting([], stops_at=16)).fit(X, Y)
    bar, outcome = lines_on(screen)
    assert re.match(r"16/100 \|#+\| 00:0\d, cost ", bar)
    assert outcome == "stopped by Noting after 16 epochs"


@needs_tqdm
@pytest.mark.parametrize("error", [LookupError(), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_a_bar_of_a_training_that_failed_ends_its_line(error):
    model = net(max_iter=10, verbose=1).set_callbacks(Noting([], error_at=("on_epoch_begin", 4), error=error))
    with pytest.raises(type(error)), terminal() as screen:
        model.fit(X, Y)
    (bar,) = lines_on(screen)
    assert re.match(r"4/10 \|#+ *\| 00:0\d, cost ", bar)
    assert screen.getvalue().endswith("\n")


@needs_tqdm
def test_a_warning_at_the_end_is_not_printed_behind_the_bar(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", lambda message, category, *_: print(category.__name__))
    model = net(verbose=1, optimizer="sgd", learning_rate=1e4, batch_size=None, scale_inputs=None, max_iter=15)
    with terminal() as screen, warnings.catch_warnings():
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(100 * X, Y)
    bar, warning = lines_on(screen)
    assert bar.startswith("15/15 |#")
    assert warning == "ConvergenceWarning"


# Which of the two.


def shown_on(stdout):
    """Return the name of the class of the display for a stdout, in the process that calls this."""
    with redirect_stdout(stdout):
        return type(progress_display()).__name__


@needs_tqdm
def test_a_bar_is_shown_in_terminals_alone():
    assert shown_on(Terminal()) == "ProgressLine"
    for no_terminal in (io.StringIO(), None, SimpleNamespace(write=print)):
        assert shown_on(no_terminal) == "EpochPrinter"


def test_lines_are_printed_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with terminal() as screen:
        net(max_iter=3, verbose=1).fit(X, Y)
    assert epochs_in(screen.getvalue()) == [1, 2, 3]


@needs_tqdm
def test_lines_are_printed_by_the_processes_of_a_search():
    assert Parallel(n_jobs=2)(delayed(shown_on)(Terminal()) for _ in range(2)) == ["EpochPrinter"] * 2


@needs_tqdm
def test_lines_are_printed_by_the_threads_of_a_search():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(shown_on, Terminal()).result() == "EpochPrinter"


@needs_tqdm
@pytest.mark.parametrize("kind", ["text", "widget"])
def test_notebooks_show_a_widget_or_else_a_bar_of_text(monkeypatch, kind):
    import tqdm
    import tqdm.notebook

    installed = {"tqdm"} if kind == "text" else {"tqdm", "ipywidgets"}
    monkeypatch.setattr(progress, "find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr(tqdm, "tqdm", lambda **about: "text")
    monkeypatch.setattr(tqdm.notebook, "tqdm", lambda **about: "widget")
    kernel_stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    with redirect_stdout(kernel_stream()):
        assert progress_display().make_bar(total=3) == kind


def output_in_a_terminal(program, n_columns):
    """Return what a program writes to a terminal of so many columns."""
    pty, termios, fcntl = (
        pytest.importorskip(name, reason="no pseudo terminals") for name in ("pty", "termios", "fcntl")
    )
    folders = [str(Path(__file__).parents[1]), str(Path(sklearn_deepnn.__file__).parents[1])]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"PYTHONPATH": os.pathsep.join(folders), "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, n_columns, 0, 0))
    streams = dict.fromkeys(["stdin", "stdout", "stderr"], theirs)
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, start_new_session=True, **streams)
    os.close(theirs)
    output = b""
    try:
        while piece := os.read(ours, 4096):
            output += piece
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    assert process.wait() == 0, output.decode()
    return output.decode().replace("\r\n", "\n")


@needs_tqdm
def test_a_real_terminal_of_80_columns_shows_all_of_the_bar():
    program = """
from recording import *
network = net(max_iter=150, verbose=1, scoring="neg_log_loss", learning_rate=0.000123)
network.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
"""
    bar, kept, end = output_in_a_terminal(program, 80).split("\n")
    states = bar.removeprefix("\r").split("\r")
    state = rf"(\d+)/150 \|[^|]+\| (\d\d:\d\d|\?), cost {NUMBER}, validation {NUMBER}, score {NUMBER}, rate 0\.000123"
    assert all(re.fullmatch(state, line.rstrip()) for line in states[1:])
    assert all(len(line) <= 80 for line in states)
    epochs = [int(line.split("/")[0]) for line in states]
    assert (epochs[0], epochs[-1]) == (0, 150)
    assert epochs == sorted(epochs)
    assert kept.startswith("the weights of epoch")
    assert end == ""


def test_a_training_that_has_failed_does_not_say_which_weights_are_kept(capsys):
    class Fail(Callback):
        def on_epoch_end(self, run):
            if run.state.epoch == 3:
                raise LookupError

    model = net(verbose=2, early_stopping=True).set_callbacks(Fail())
    with pytest.raises(LookupError):
        model.fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert not [line for line in lines if "kept" in line]
