import io
import os
import re
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from joblib import Parallel, delayed
from recording import X_VAL, Y_VAL, Calling, Noting, X, Y, net
from sklearn.exceptions import ConvergenceWarning

import sklearn_deepnn
from sklearn_deepnn import compilation, train_deep_network
from sklearn_deepnn.callbacks import Callback, Run, TimeBudget, progress
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
    *lines, outcome = printed.out.splitlines()
    assert len(lines) == len(set(epochs))
    assert outcome == f"stopped by max_iter after {max_iter} epoch{'s' * (max_iter > 1)}"
    assert printed.err == ""


def test_verbose_2_prints_each_epoch_and_which_is_kept(capsys):
    model = net(verbose=2, scoring="accuracy", early_stopping=True).fit(X, Y, **VALIDATION)
    *lines, last = capsys.readouterr().out.splitlines()
    curves = zip(model.loss_curve_, model.validation_loss_curve_, model.validation_scores_, model.learning_rate_curve_)
    wanted = [
        f"epoch {epoch} cost {cost:.4g} validation cost {validation:.4g} validation score {score:.4g} "
        f"learning rate {rate:.4g}"
        for epoch, (cost, validation, score, rate) in enumerate(curves, start=1)
    ]
    assert [" ".join(line.split()).rpartition(" elapsed ")[0] for line in lines] == wanted
    assert last == f"stopped by max_iter after 4 epochs; the weights of epoch {model.best_iter_} are kept"


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
    line, outcome = capsys.readouterr().out.splitlines()
    assert line == "epoch    4  cost 0.25       validation cost 0.75       learning rate 0.01       elapsed 0.0 s"
    assert outcome == "stopped by max_iter after 4 epochs; the weights of epoch 2 are kept"


def outcome_of(capsys, model, **data):
    """Fit, and return the last line that was printed."""
    model.set_params(verbose=1).fit(X, Y, **data)
    return capsys.readouterr().out.splitlines()[-1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_last_line_says_what_stopped(capsys):
    stops_early = {"max_iter": 50, "n_iter_no_change": 2, "tol": 10.0}
    validates = {"early_stopping": True}
    explodes = {"optimizer": "sgd", "learning_rate_schedule": lambda step: 0.1 if step < 6 else 1e200, "max_iter": 99}
    converges = {"optimizer": "lbfgs", "hidden_layer_dims": (), "weight_decay": 1.0, "max_iter": 500, "tol": 0.0}
    for model, data, cause in (
        (net(), {}, "max_iter after 4 epochs"),
        (net(max_iter=1), {}, "max_iter after 1 epoch"),
        (net(ensemble_size=3, **validates), {}, "max_iter after 4 epochs; the weights of epoch 4 are kept"),
        (net(**stops_early), {}, "EarlyStopping after 3 epochs"),
        (net(**validates, **stops_early), VALIDATION, "EarlyStopping after 3 epochs; the weights of epoch 3 are kept"),
        (net(ensemble_size=2, **stops_early), {}, "EarlyStopping after 3 epochs"),
        (net().set_callbacks(TimeBudget(1e-9)), {}, "TimeBudget after 1 epoch"),
        (net(**converges), {}, "convergence after"),
        (net(**validates, **explodes), VALIDATION, "divergence after"),
    ):
        assert outcome_of(capsys, model, **data).startswith(f"stopped by {cause}"), cause


@pytest.mark.parametrize("data", [{}, VALIDATION], ids=["", "validation"])
@pytest.mark.parametrize("verbose", [1, 2])
def test_after_ctrl_c_the_last_line_says_so(capsys, verbose, data):
    interrupt = Noting([], error_at=("on_epoch_begin", 3), error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        net(verbose=verbose, early_stopping=bool(data)).set_callbacks(interrupt).fit(X, Y, **data)
    kept = "; the weights of epoch 3 are kept" if data else ""
    assert capsys.readouterr().out.splitlines()[-1] == f"stopped by Ctrl-C after 3 epochs{kept}"


def test_parts_are_not_said_to_have_stopped(capsys):
    net(verbose=1).partial_fit(X, Y, classes=[0, 1, 2])
    assert epochs_in(capsys.readouterr().out) == [1]
    net(verbose=2).partial_fit(X, Y, classes=[0, 1, 2])
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_findings_are_printed_before_the_outcome(capsys):
    model = net(scale_inputs=None, learning_rate=0.02, max_iter=130, verbose=1).fit(X * [1, 1, 1, 1e-5], Y)
    assert len(model.report_) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1 - len(model.report_) : -1] == [f"report_: {finding}" for finding in model.report_]


def test_a_finding_that_was_a_warning_is_not_printed_again(capsys):
    with pytest.warns(ConvergenceWarning) as caught:
        model = net(max_iter=30, weight_init="zeros", verbose=1).fit(X, Y)
    assert model.report_[0] == str(caught[0].message)
    assert model.report_[0] not in capsys.readouterr().out


class Clock:
    """Tells times that a test sets."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "perf_counter", lambda: self.now)

    def epochs_of(self, seconds):
        """Return a callback that makes an epoch take so long."""
        return Calling(lambda run: setattr(self, "now", self.now + seconds))


@pytest.mark.parametrize(("seconds", "longest"), [(0.9, 10), (4.0, 8), (7.0, 7), (60.0, 60)])
def test_no_more_than_ten_seconds_pass_without_a_line_unless_an_epoch_takes_longer(
    capsys, monkeypatch, seconds, longest
):
    net(max_iter=200, verbose=1).set_callbacks(Clock(monkeypatch).epochs_of(seconds)).fit(X, Y)
    epochs = [0, *epochs_in(capsys.readouterr().out)]
    assert max(later - earlier for earlier, later in pairwise(epochs)) * seconds <= longest
    assert epochs[-1] == 200


def test_lines_tell_the_time_since_training_began(capsys, monkeypatch):
    net(max_iter=4, verbose=2).set_callbacks(Clock(monkeypatch).epochs_of(29.97)).fit(X, Y)
    elapsed = re.findall(r"elapsed (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert elapsed == ["30.0 s", "59.9 s", "0:01:30", "0:02:00"]


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
        model = net(max_iter=12, verbose=1, scoring="accuracy", early_stopping=True).fit(X, Y, **VALIDATION)
    curves = model.loss_curve_, model.validation_loss_curve_, model.validation_scores_, model.learning_rate_curve_
    cost, validation, score, rate = (f"{curve[-1]:.3g}" for curve in curves)
    bar, kept = lines_on(screen)
    end = rf"cost {cost}, validation {validation}, score {score}, rate {rate}"
    assert re.fullmatch(rf"12/12 \|#+\| \d\d:\d\d, {re.escape(end)}", bar)
    assert kept == f"stopped by max_iter after 12 epochs; the weights of epoch {model.best_iter_} are kept"
    assert "0/12 |" in screen.getvalue()


@needs_tqdm
def test_a_bar_goes_on_where_a_warm_start_does():
    with terminal() as screen:
        net(max_iter=3, verbose=1, warm_start=True).fit(X, Y).fit(X, Y)
    first, _, second, _ = lines_on(screen)
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
    bar, *outcome = lines_on(screen)
    assert re.match(r"4/10 \|#+ *\| 00:0\d, cost ", bar)
    assert outcome == (["stopped by Ctrl-C after 4 epochs"] if isinstance(error, KeyboardInterrupt) else [])
    assert screen.getvalue().endswith("\n")


@needs_tqdm
def test_a_warning_at_the_end_is_not_printed_behind_the_bar(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", lambda message, category, *_: print(category.__name__))
    with terminal() as screen, warnings.catch_warnings():
        warnings.simplefilter("always", ConvergenceWarning)
        net(verbose=1, weight_init="zeros", max_iter=15).fit(X, Y)
    bar, warning, *_, outcome = lines_on(screen)
    assert bar.startswith("15/15 |#")
    assert warning == "ConvergenceWarning"
    assert outcome == "stopped by max_iter after 15 epochs"


# Which of the two.


def shown_on(stdout):
    """Return the name of the class of the display for a stdout, in the process that calls this."""
    with redirect_stdout(stdout):
        return type(progress_display()).__name__


@needs_tqdm
def test_a_bar_is_shown_in_terminals_alone():
    assert shown_on(Terminal()) == "ProgressLine"
    for no_terminal in (io.StringIO(), None, SimpleNamespace(write=print), closed_file()):
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
network = net(max_iter=150, verbose=1, scoring="neg_log_loss", learning_rate=0.000123, early_stopping=True)
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
    assert kept.startswith("stopped by max_iter after 150 epochs; the weights of epoch")
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


# Failures of the display.


class Broken(io.StringIO):
    """A stream whose writing, or flushing, fails."""

    def __init__(self, error, method="write", is_terminal=False):
        super().__init__()
        self.error, self.is_terminal = error, is_terminal
        setattr(self, method, self.fail)

    def fail(self, *_):
        raise self.error

    def isatty(self):
        return self.is_terminal


def closed_file():
    stream = io.StringIO()
    stream.close()
    return stream


BROKEN = {
    "pipe": lambda: Broken(BrokenPipeError(32, "Broken pipe")),
    "full disk": lambda: Broken(OSError(28, "No space left on device"), "flush"),
    "closed": closed_file,
    "no flush": lambda: SimpleNamespace(write=lambda text: len(text)),
    "no stream": object,
    "encoding": lambda: Broken(UnicodeEncodeError("ascii", "\u2588", 0, 1, "ordinal not in range(128)")),
    "anything": lambda: Broken(LookupError()),
    "terminal": lambda: Broken(OSError(5, "Input/output error"), is_terminal=True),
}


def fit_on(stdout, model, **options):
    """Fit with another stdout; return the warnings."""
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(stdout):
        warnings.simplefilter("always")
        model.fit(X, Y, **options)
    return [(warning.category, str(warning.message), warning.filename) for warning in caught]


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_display_that_fails_is_one_warning(kind, verbose):
    silent = net(early_stopping=True).fit(X, Y)
    model = net(early_stopping=True, verbose=verbose)
    ((category, message, filename),) = fit_on(BROKEN[kind](), model)
    assert category is RuntimeWarning
    assert message.startswith("The display of progress failed ")
    assert filename == __file__
    assert model.loss_curve_ == silent.loss_curve_


def test_without_stdout_nothing_is_printed_and_nothing_is_wrong():
    assert fit_on(None, net(verbose=2)) == []


def test_a_display_that_fails_for_a_while_goes_on_afterwards():
    stream = io.StringIO()

    def fail_in_epoch_1(run):
        stream.write = Broken(OSError()).fail if run.state.epoch == 1 else partial(io.StringIO.write, stream)

    model = net(verbose=2).set_callbacks(Calling(fail_in_epoch_1))
    assert len(fit_on(stream, model)) == 1
    assert epochs_in(stream.getvalue()) == [2, 3, 4]


def test_a_missing_checkpoint_that_cannot_be_printed_does_not_end_a_fit(tmp_path):
    ((category, *_),) = fit_on(Broken(BrokenPipeError()), net(verbose=1), resume_from=tmp_path / "here")
    assert category is RuntimeWarning


def test_partial_fit_and_the_course_s_training_survive_a_broken_stdout():
    with (
        redirect_stdout(Broken(BrokenPipeError())),
        pytest.warns(RuntimeWarning, match="The display of progress failed"),
    ):
        net(verbose=1).partial_fit(X, Y, classes=[0, 1, 2])
    with redirect_stdout(Broken(BrokenPipeError())), pytest.warns(RuntimeWarning, match="The printing of costs failed"):
        _, costs = train_deep_network(X.T, Y[None] > 1, [4, 1], num_iterations=3, print_cost=True, rng=0)
    assert len(costs) == 3


def test_a_warning_that_cannot_be_printed_does_not_end_a_fit_either(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: print(message, file=sys.stderr))
    for stderr in (closed_file(), Broken(BrokenPipeError()), object()):
        with warnings.catch_warnings(), redirect_stdout(Broken(BrokenPipeError())), redirect_stderr(stderr):
            warnings.simplefilter("always")
            assert net(verbose=1).fit(X, Y).n_iter_ == 4


def test_ctrl_c_ends_a_fit_whose_display_has_failed():
    interrupt = Noting([], error_at=("on_epoch_end", 2), error=KeyboardInterrupt())
    model = net(verbose=2).set_callbacks(interrupt)
    with pytest.raises(KeyboardInterrupt), pytest.warns(RuntimeWarning):
        fit_on(Broken(OSError()), model)
    assert model.n_iter_ == 1


PROGRAM = """
import sys
from recording import *
for verbose in (1, 2):
    network = net(max_iter=300, verbose=verbose).fit(X, Y)
print(network.n_iter_, file=sys.stderr)
"""


def run_program(stdout):
    """Run a program that fits; return what it writes to stderr, and the process, which has ended."""
    folders = [str(Path(__file__).parents[1]), str(Path(sklearn_deepnn.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    if stdout == subprocess.PIPE:
        process.stdout.readline()
        process.stdout.close()  # as `head -1` does
    return process.stderr.read(), process


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("kind", ["pipe", "full disk"])
def test_a_program_survives_a_reader_that_has_gone_and_a_full_disk(kind):
    if kind == "full disk" and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full" if kind == "full disk" else os.devnull, "w") as file:
        said, process = run_program(file if kind == "full disk" else subprocess.PIPE)
    with process:
        assert process.wait() == 0, said
    assert said.rstrip().endswith("300")
    assert said.count("RuntimeWarning: The display of progress failed") in (1, 2)
    assert "Exception ignored" not in said


@pytest.mark.parametrize(("n_compiled", "n_lines"), [([0, 3], 1), ([3, 3], 0)], ids=["compiled", "loaded before"])
def test_a_fit_that_loads_compiled_loops_says_so(capsys, monkeypatch, n_compiled, n_lines):
    monkeypatch.setattr(compilation.WAIT, "is_over", lambda: True)
    monkeypatch.setattr("sklearn_deepnn.training.loop.count_compiled", partial(next, iter(n_compiled)))
    net(max_iter=2, verbose=2).fit(X, Y)
    printed = capsys.readouterr().out.splitlines()
    assert [line.startswith("loaded compiled loops in ") for line in printed].count(True) == n_lines
    assert printed[-2].startswith("loaded compiled loops in ") == bool(n_lines)
