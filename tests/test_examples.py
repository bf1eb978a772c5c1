"""The examples run as users run them, and so does every Python block of the README and of the docs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[1]
BLOCKS = {
    f"{page.name}-{number}": block
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, block in enumerate(re.findall(r"(?ms)^```python\n(.*?)^```$", page.read_text("utf-8")))
}


def run_example(name, *arguments, python_path=()):
    """Run an example in a process of its own, with warnings as errors and plots drawn into nothing."""
    paths = [*python_path, ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "MPLBACKEND": "agg",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONIOENCODING": "utf-8",
        "OPENBLAS_NUM_THREADS": "1",  # networks are small, and tests run side by side
    }
    command = [sys.executable, "-W", "error", ROOT / "examples" / name, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120)


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


def test_image_folder_learns_the_digits_by_default():
    output = output_of(run_example("image_folder.py", "--max-iter", "15"))
    assert "1797 pictures of 10 classes" in output
    assert float(re.search(r"Accuracy ([01]\.\d+)", output)[1]) > 0.9
    assert re.search(r"digits, picture \d+: is \d, taken for \d", output)


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
    assert {name.split("-")[0] for name in BLOCKS} >= {"README.md", "watching.md"}


@pytest.mark.parametrize("name", BLOCKS)
def test_block_of_readme_or_docs_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    with threadpool_limits(1):
        exec(compile(BLOCKS[name], name, "exec"), {"__name__": "block"})
