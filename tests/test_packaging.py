"""What is told about the package in several places is the same in all; building it is left to .ci/run."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import sklearn_deepnn
from sklearn_deepnn.estimators.base import DOCUMENTATION

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
LINK = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")


@pytest.fixture(scope="module")
def shown_alone():
    """The README as a package index shows it, without the files beside it."""
    text = (ROOT / "README.md").read_text("utf-8")
    for each in PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    return text


def test_links_of_the_readme_shown_alone_lead_to_pages_of_the_site(shown_alone):
    targets = [target for _, target in LINK.findall(shown_alone) if not target.startswith("#")]
    assert len(targets) > 10
    for target in targets:
        page = target.removeprefix(DOCUMENTATION).partition("#")[0].removesuffix(".html")
        source = page.replace("gallery/", "../examples/")
        assert any((ROOT / "docs" / f"{source}{suffix}").exists() for suffix in (".md", ".rst", ".py")), target


def test_the_readme_shown_alone_says_what_it_says_beside_its_files(shown_alone):
    readme = (ROOT / "README.md").read_text("utf-8")
    assert LINK.sub(r"\1", shown_alone) == LINK.sub(r"\1", readme)
    pages = [target for _, target in LINK.findall(readme) if target.startswith("docs/")]
    assert shown_alone.count(f"]({DOCUMENTATION}") >= len(pages) > 10


def test_the_extra_all_is_every_extra_that_users_need():
    (everything,) = EXTRAS["all"]
    listed = re.fullmatch(r"sklearn-deepnn\[([\w,]+)\]", everything)[1].split(",")
    assert sorted(listed) == sorted(set(EXTRAS) - {"all", "test", "docs"})


def test_the_start_page_lists_every_extra_that_users_need():
    page = (ROOT / "docs" / "start.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(EXTRAS) - {"test", "docs"}


def test_the_citation_has_the_package_s_version():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == sklearn_deepnn.__version__


def test_supported_pythons_are_those_that_are_tested():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    tested = ast.literal_eval(re.search(r"python: (\[.*\])", workflow)[1])
    assert set(PYTHONS) <= set(tested)
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(r"OTHER_PYTHONS-([\d. ]+)\}", script)[1].split() == tested


def test_the_oldest_versions_that_are_tested_are_the_oldest_that_are_allowed():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    pinned = dict(re.findall(r"'([\w-]+)==([\d.]+)\.\*'", script))
    allowed = dict(requirement.split(">=") for requirement in PROJECT["dependencies"])
    assert allowed
    assert allowed.items() <= pinned.items()


def test_hooks_take_the_ruff_that_the_tests_take():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    required = re.findall(r'"(ruff[^"]*)"', hooks)
    assert len(required) == 2
    assert set(required) <= set(EXTRAS["test"])
