"""Processes of their own: training that is resumed in a new process, killed, or sent a signal."""

import os
import re
import signal
import time

import joblib
import numpy as np
import pytest
from checkpoint_cases import RESUMED, X, Y, assert_same_fit, net, run_python

from sklearn_deepnn.callbacks import ModelCheckpoint
from sklearn_deepnn.callbacks.checkpoints import checkpoints_in

# A new process.

IN_A_NEW_PROCESS = """
import sys
import joblib

for path in sys.argv[1:]:
    model, X, y, folder = joblib.load(path)
    joblib.dump(model.fit(X, y, resume_from=folder), path + ".resumed")
"""


def test_a_new_process_resumes_to_the_bit(tmp_path):
    kinds = ["adam", "lbfgs with all", "held out and averaged", "ensemble with all", "float32", "cosine"]
    wholes, tasks = {}, {}
    for kind in kinds:
        folder, tasks[kind] = tmp_path / kind, str(tmp_path / f"{kind}.task")
        net(**RESUMED[kind]).set_callbacks(ModelCheckpoint(folder, keep=None)).fit(X, Y)
        for path in checkpoints_in(folder)[3:]:
            path.unlink()
        wholes[kind] = net(**RESUMED[kind]).fit(X, Y)
        joblib.dump((net(**RESUMED[kind]), X, Y, folder), tasks[kind])
    with run_python(IN_A_NEW_PROCESS, *tasks.values()) as process:
        assert process.wait() == 0
    for kind in kinds:
        assert_same_fit(joblib.load(f"{tasks[kind]}.resumed"), wholes[kind])


# Processes that are killed.

KILLED = """
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.training import optimizers
from sklearn_deepnn.callbacks import ModelCheckpoint, checkpoints, load_checkpoint
from sklearn_deepnn.callbacks.checkpoints import epoch_of, newest_checkpoint
from checkpoint_cases import X, Y, assert_same_fit, net

folder, draw = Path(sys.argv[1]), random.Random(0)
N_LIVES, N_EPOCHS = 24, 150


def make():
    return net(max_iter=N_EPOCHS, ensemble_size=2, dropout_rate=0.2, weight_averaging=2.0, scoring="accuracy")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_within(owner, name, n_calls, after):
    '''Die at a call of a function, before it or after.'''
    function, calls = getattr(owner, name), iter(range(1, 1_000_000))

    def deadly(*arguments, **options):
        last = next(calls) == n_calls
        if last and not after:
            die()
        result = function(*arguments, **options)
        if last:
            die()
        return result

    setattr(owner, name, deadly)


def die_half_written(n_calls):
    '''Die when half of a file is written.'''
    dump, calls = checkpoints.pickle.dump, iter(range(1, 1_000_000))

    def deadly(model, file, **options):
        if next(calls) < n_calls:
            return dump(model, file, **options)
        whole = checkpoints.pickle.dumps(model, **options)
        file.write(whole[: draw.randrange(1, len(whole))])
        file.flush()
        die()

    checkpoints.pickle.dump = deadly


def slow_down():
    '''Make the files take long to write.'''
    fsync = os.fsync
    os.fsync = lambda number: (time.sleep(0.01), fsync(number))


WITHIN = [
    (optimizers.Adam, "update"), (os, "fsync"), (os, "replace"), (checkpoints, "write_atomically"), (Path, "unlink")
]  # fmt: skip


def live(plan):
    '''Train on from the newest checkpoint, in a process of its own; return its number.'''
    process = os.fork()
    if process:
        return process
    plan()
    make().set_callbacks(ModelCheckpoint(folder, keep=draw.choice([1, 2, 3]))).fit(X, Y, resume_from=folder)
    os._exit(0)


def wait_for(pattern):
    '''Wait until there is a file that was not there.'''
    before = set(folder.glob(pattern))
    return lambda: not set(folder.glob(pattern)) - before


whole, n_killed, epoch = make().fit(X, Y), 0, 0
folder.mkdir()
for number in range(N_LIVES):
    way, keep_waiting, delay = number % 4, None, draw.uniform(0, 0.02)
    if way == 0:
        (owner, name), n_calls, after = WITHIN[number // 4 % len(WITHIN)], draw.randrange(4, 16), draw.random() < 0.5
        process = live(lambda: die_within(owner, name, n_calls, after))
    elif way == 1:
        process = live(lambda: die_half_written(draw.randrange(1, 4)))
    else:
        keep_waiting = wait_for("*.joblib" if way == 2 else ".*.tmp")
        process = live(slow_down if way == 3 else int)
        while keep_waiting():
            pass
        time.sleep(delay if way == 2 else delay / 4)
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    n_killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    newest = newest_checkpoint(folder)
    if newest is not None:
        model = load_checkpoint(folder)
        assert model.n_iter_ == epoch_of(newest) >= epoch, (model.n_iter_, newest, epoch)
        epoch = model.n_iter_
assert n_killed == N_LIVES, n_killed
assert 0 < epoch < N_EPOCHS, epoch
process = live(int)
assert os.waitpid(process, 0)[1] == 0
resumed = load_checkpoint(folder)
assert resumed.n_iter_ == N_EPOCHS
assert not list(folder.glob(".*")) and not list(folder.glob("*.probe")), list(folder.iterdir())
assert_same_fit(make().fit(X, Y, resume_from=folder), whole)
print("the same after", epoch, "epochs of", n_killed, "lives")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no SIGKILL and no fork")
def test_a_chain_of_killed_processes_equals_an_uninterrupted_one(tmp_path):
    with run_python(KILLED, tmp_path / "saved") as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    assert re.fullmatch(r"the same after \d+ epochs of 24 lives\n", output)


# Signals.

SIGNALLED = """
import signal
import sys
import time
from pathlib import Path

from sklearn_deepnn.callbacks import Callback, ModelCheckpoint, load_checkpoint
from checkpoint_cases import X, Y, assert_same_fit, net


class Tell(Callback):
    def on_epoch_begin(self, run):
        if run.state.epoch == 2:
            print("ready", flush=True)

    def on_epoch_end(self, run):
        return time.monotonic() > deadline  # Python may ignore a signal, such as one within __del__


signal.signal(signal.SIGINT, signal.default_int_handler)
for number in range(int(sys.argv[1])):
    folder = Path(sys.argv[2], str(number))
    parameters = {"warm_start": number % 2 == 0, "batch_size": 8 * (number + 1), "dropout_rate": 0.1}
    model = net(max_iter=10**6, **parameters).set_callbacks(Tell())
    if number % 3:
        model.set_callbacks(Tell(), ModelCheckpoint(folder, every=3))
    deadline = time.monotonic() + 20
    try:
        model.fit(X, Y)
    except KeyboardInterrupt:
        pass
    whole = net(max_iter=model.n_iter_, **parameters).fit(X, Y)
    assert_same_fit(model.set_callbacks(), whole, finished=False)
    if number % 3:
        assert load_checkpoint(folder).n_iter_ - model.n_iter_ in (0, 1)
    print(model.n_iter_, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows sends no SIGINT to a process alone")
def test_a_real_ctrl_c_keeps_the_fit_of_the_last_complete_epoch(tmp_path):
    delays = np.random.default_rng(0).uniform(0, 0.03, size=12)
    with run_python(SIGNALLED, len(delays), tmp_path) as process:
        for delay in delays:
            assert process.stdout.readline() == "ready\n"
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            assert int(process.stdout.readline()) >= 2
        assert process.wait() == 0
