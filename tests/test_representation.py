"""How the estimator shows itself: as text, as HTML with links to the documentation, and in the list of estimators."""

import importlib
import inspect
import pickle
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_deepnn
from sklearn_deepnn import DeepNNClassifier, DeepNNRegressor
from sklearn_deepnn.estimators.base import DOCUMENTATION

ROOT = Path(__file__).parents[1]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(sklearn_deepnn.__path__, "sklearn_deepnn.")
    if module.name != "sklearn_deepnn.onnx"  # which needs skl2onnx
]
LINK = "https://sklearn-deepnn.readthedocs.io/en/stable/api/sklearn_deepnn.DeepNNClassifier.html"


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def deepnn(**parameters):
    return DeepNNClassifier((8,), max_iter=5, random_state=0, **parameters)


def scaled():
    return make_pipeline(StandardScaler(), deepnn())


# As text and as HTML.


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(DeepNNClassifier()) == "DeepNNClassifier()"
    assert (
        repr(DeepNNClassifier((4, 3), batch_norm=True)) == "DeepNNClassifier(batch_norm=True, hidden_layer_dims=(4, 3))"
    )


def test_the_configuration_says_what_repr_and_notebooks_show():
    model = deepnn()
    with config_context(print_changed_only=False):
        assert all(f"{name}=" in repr(model) for name in model.get_params())
    for display, kinds in {"text": {"text/plain"}, "diagram": {"text/plain", "text/html"}}.items():
        with config_context(display=display):
            assert model._repr_mimebundle_().keys() == kinds


def test_the_html_representation_names_it(iris):
    assert "DeepNNClassifier" in deepnn()._repr_html_()
    assert "DeepNNClassifier" in scaled().fit(*iris)._repr_html_()


def test_the_documentation_has_one_address():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls["Documentation"] == DOCUMENTATION
    assert DeepNNClassifier()._get_doc_link() == LINK


def test_the_html_representation_links_to_the_documentation(iris):
    for model in (deepnn(), deepnn().fit(*iris), scaled(), scaled().fit(*iris)):
        source = model._repr_html_()
        links = re.findall(r'<a class="sk-estimator-doc-link[^>]*href="([^"]*)"[^>]*>\?<span>(.*?)</span>', source)
        assert (LINK, "Documentation for DeepNNClassifier") in links


@pytest.mark.parametrize(("numeric_encoding", "of_inputs"), [(None, "input_scale_"), ("piecewise_linear", "encoding_")])
def test_every_fitted_attribute_that_the_html_shows_is_explained(iris, numeric_encoding, of_inputs):
    source = deepnn(early_stopping=True, numeric_encoding=numeric_encoding).fit(*iris)._repr_html_()
    if "Fitted attributes" not in source:
        pytest.skip("this version of scikit-learn does not show fitted attributes")
    shown = re.findall(r"\b[a-z_]+_(?=\s*</a>|\s*<span class=\"param-doc-description)", source)
    assert {"coefs_", of_inputs, "validation_scores_"} <= set(shown)
    assert not [name for name in shown if f"--doc-link-{name};" not in source]


def test_an_estimator_derived_elsewhere_is_not_linked_to_this_documentation():
    class Derived(DeepNNClassifier):
        pass

    assert Derived()._get_doc_link() == ""


def test_links_are_no_state_of_the_estimator(iris):
    model = deepnn().fit(*iris)
    for each in (DeepNNClassifier(), model, clone(model), pickle.loads(pickle.dumps(model))):
        assert not [name for name in vars(each) if "doc_link" in name]
        assert each._get_doc_link() == LINK


# In the list of estimators.


def test_the_package_has_two_estimators_which_can_be_discovered():
    modules = [sklearn_deepnn, *(importlib.import_module(name) for name in MODULES)]
    classes = {kind for module in modules for kind in vars(module).values() if inspect.isclass(kind)}
    ours = {kind for kind in classes if kind.__module__.startswith("sklearn_deepnn")}
    estimators = [kind for kind in ours if issubclass(kind, BaseEstimator) and not inspect.isabstract(kind)]
    assert set(estimators) == {DeepNNClassifier, DeepNNRegressor}
    assert issubclass(DeepNNClassifier, ClassifierMixin)
    assert sklearn_deepnn.DeepNNClassifier is DeepNNClassifier


def test_the_estimator_lives_where_its_module_says():
    module = importlib.import_module(DeepNNClassifier.__module__)
    assert module.DeepNNClassifier is DeepNNClassifier
    assert inspect.getsource(DeepNNClassifier).startswith("class DeepNNClassifier")
