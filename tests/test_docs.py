"""The pages of the site: what they link, list and include is there. Building it is left to .ci/run."""

import importlib
import re
from pathlib import Path

import pytest
from test_architecture import LEVELS

import sklearn_deepnn
import sklearn_deepnn.callbacks

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {page.name: page.read_text("utf-8") for page in sorted(DOCS.glob("*.md"))}
API = re.findall(r"^   ~?(sklearn_deepnn\.[\w.]+)$", (DOCS / "api.rst").read_text("utf-8"), re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INCLUDE = re.compile(r"^```\{include\} (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def find(name):
    """Return what a dotted name stands for, or raise."""
    home, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(home), last)
    except (ModuleNotFoundError, AttributeError):
        return importlib.import_module(name)


def without_code(page):
    """Return a page without its blocks of code."""
    return re.sub(r"^```\w+\n.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


def anchor(heading):
    """Return what a heading is called in links, as GitHub and the site do."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("module", [sklearn_deepnn, sklearn_deepnn.callbacks], ids=lambda module: module.__name__)
def test_every_public_name_has_a_page_of_the_api(module):
    assert {f"{module.__name__}.{name}" for name in module.__all__} <= set(API)


def test_the_api_lists_nothing_twice_and_nothing_that_is_not_there():
    assert len(API) == len(set(API))
    for name in API:
        if name != "sklearn_deepnn.onnx" and not name.startswith("sklearn_deepnn.onnx."):
            assert find(name)


def test_onnx_is_listed_as_it_is():
    onnx = pytest.importorskip("sklearn_deepnn.onnx", exc_type=ImportError)
    listed = [name.rpartition(".")[2] for name in API if name.startswith("sklearn_deepnn.onnx.")]
    assert listed
    assert all(hasattr(onnx, name) for name in listed)


def test_scikit_learn_s_link_to_the_documentation_leads_to_a_page_of_the_api():
    link = sklearn_deepnn.DeepNNClassifier()._get_doc_link()
    assert link.rpartition("/")[2].removesuffix(".html") in API


@pytest.mark.parametrize("name", PAGES)
def test_links_between_pages_resolve(name):
    headings = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", PAGES[name], re.MULTILINE)}
    for target in LINK.findall(without_code(PAGES[name])):
        file, _, place = target.partition("#")
        if "://" in target:
            continue
        if file:
            assert (DOCS / file).exists(), target
        else:
            assert place in headings or find(place), target


def test_links_are_looked_at():
    assert sum(len(LINK.findall(without_code(page))) for page in PAGES.values()) > 50


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if INCLUDE.search(page)])
def test_what_pages_include_is_there_once(name):
    for file, options in INCLUDE.findall(PAGES[name]):
        text = (DOCS / file).read_text("utf-8")
        for marker in re.findall(r'^:(?:start-after|end-before): "(.*)"$', options, re.MULTILINE):
            assert text.count(f"{marker}\n") == 1, f"{file}: {marker}"


def test_the_course_s_table_lists_functions_that_exist():
    page = PAGES["building_blocks.md"]
    _, _, rest = page.partition("## The course's names and ours\n")
    table = rest.partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*) \| (\[.*) \| `(sklearn_deepnn\.\w+)` \|$", table, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\| `", table, re.MULTILINE)) >= 13
    for _, ours, module in rows:
        links = re.findall(r"\[`(\w+)`\]\(#([\w.]+)\)", ours)
        assert links
        for function, target in links:
            assert target == f"{module}.{function}"
            assert callable(getattr(importlib.import_module(module), function))


def test_the_course_s_functions_are_all_in_its_table():
    page = PAGES["building_blocks.md"]
    readme = (DOCS.parent / "README.md").read_text("utf-8")
    row = re.compile(r"^\| .* \| .*`(\w+)`.* \| `(network|layers|losses|optimizers|training)` \|$", re.MULTILINE)
    listed = row.findall(readme)
    assert len(listed) >= 5
    for function, module in listed:
        assert f"](#sklearn_deepnn.{module}.{function})" in page


def test_the_table_of_levels_is_that_of_the_imports():
    rows = re.findall(r"^\| \d \| (.*) \| .* \|$", PAGES["design.md"], re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [set(level) for level in LEVELS]
