import copy
import pickle

import numpy as np
import pytest

from sklearn_deepnn.network.parameters import Parameters, is_statistic, is_weight


@pytest.fixture
def arrays():
    shapes = {
        "W1": (2, 3), "gamma1": (2, 1), "beta1": (2, 1), "running_mean1": (2, 1), "running_variance1": (2, 1),
        "W2": (1, 2), "b2": (1, 1),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def test_parameters_hold_what_they_were_given_in_the_same_order(arrays):
    parameters = Parameters(arrays)
    assert list(parameters) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(parameters[name], array)


def test_the_vector_goes_weights_then_other_trainable_arrays_then_statistics(arrays):
    order = ["W1", "W2", "gamma1", "beta1", "b2", "running_mean1", "running_variance1"]
    np.testing.assert_array_equal(Parameters(arrays).vector, np.concatenate([arrays[name].ravel() for name in order]))


def test_parts_of_the_vector_are_named(arrays):
    parameters = Parameters(arrays)
    assert (parameters.weights.size, parameters.trainable.size, parameters.vector.size) == (8, 13, 17)
    np.testing.assert_array_equal(parameters.weights, parameters.vector[:8])
    np.testing.assert_array_equal(parameters.trainable, parameters.vector[:13])


def test_all_arrays_are_views_of_the_vector(arrays):
    parameters = Parameters(arrays)
    for view in (*parameters.values(), parameters.trainable, parameters.weights):
        assert np.shares_memory(view, parameters.vector)
    parameters.vector[...] = 7
    assert all((array == 7).all() for array in parameters.values())


def test_input_is_copied(arrays):
    parameters = Parameters(arrays)
    parameters.vector[...] = 0
    assert all(array.any() for array in arrays.values())


def test_a_copy_of_parameters_shares_nothing_with_them(arrays):
    parameters = Parameters(arrays)
    again = Parameters(parameters)
    np.testing.assert_array_equal(again.vector, parameters.vector)
    assert not np.shares_memory(again.vector, parameters.vector)


@pytest.mark.parametrize("copied", [Parameters.copy, copy.copy, copy.deepcopy], ids=lambda way: way.__name__)
@pytest.mark.parametrize("prefix", ["", "d"])
def test_a_copy_has_a_vector_of_its_own(arrays, copied, prefix):
    parameters = Parameters(arrays, np.float32, prefix)
    twin = copied(parameters)
    assert twin.vector.dtype == np.float32
    np.testing.assert_array_equal(twin.vector, parameters.vector)
    twin.vector[...] = 7
    assert all((array == 7).all() for array in (*twin.values(), twin.weights, twin.trainable))
    assert not any((array == 7).any() for array in parameters.values())


def test_a_given_vector_is_viewed_and_not_copied(arrays):
    parameters = Parameters(arrays)
    vector = np.arange(parameters.vector.size, dtype=np.float32)
    twin = parameters.with_vector(vector)
    assert list(twin) == list(parameters)
    assert twin.vector is vector
    for view, wanted in zip((*twin.values(), twin.weights, twin.trainable), (*arrays.values(), *[None] * 2)):
        assert np.shares_memory(view, vector)
        assert wanted is None or view.shape == wanted.shape
    assert (twin.weights.size, twin.trainable.size) == (parameters.weights.size, parameters.trainable.size)
    assert not np.shares_memory(parameters.vector, vector)


@pytest.mark.parametrize("vector", [np.zeros(3), np.zeros((17, 1)), np.zeros(34)[::2]])
def test_a_vector_of_another_layout_is_an_error(arrays, vector):
    with pytest.raises(ValueError, match=r"vector must be contiguous and have shape \(17,\), got "):
        Parameters(arrays).with_vector(vector)


@pytest.mark.parametrize("name", ["vector", "trainable", "weights"])
def test_assigning_a_vector_writes_into_the_one_that_the_views_belong_to(arrays, name):
    parameters = Parameters(arrays)
    view, vector = parameters["W1"], parameters.vector
    setattr(parameters, name, np.full(getattr(parameters, name).shape, 7.0))
    assert parameters.vector is vector
    assert parameters["W1"] is view
    assert (view == 7).all()


def test_dtype_is_that_of_the_arrays_or_the_one_asked_for(arrays):
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    assert Parameters(single).vector.dtype == np.float32
    assert Parameters({**single, "b2": arrays["b2"]}).vector.dtype == np.float64
    assert Parameters(arrays, np.float32).vector.dtype == np.float32
    assert Parameters(arrays, np.float32)["W1"].dtype == np.float32


def test_assign_writes_through_to_the_vector(arrays):
    parameters = Parameters(arrays)
    parameters.assign({"W2": np.array([[5.0, 6.0]])})
    np.testing.assert_array_equal(parameters.vector[6:8], [5, 6])


def test_gradients_are_zeros_laid_out_like_the_trainable_part(arrays):
    parameters = Parameters(arrays, np.float32)
    grads = parameters.gradients()
    assert set(grads) == {"dW1", "dgamma1", "dbeta1", "dW2", "db2"}
    assert grads.vector.shape == parameters.trainable.shape
    assert grads.vector.dtype == np.float32
    assert not grads.vector.any()
    for name, dW in grads.items():
        dW[...] = parameters[name.removeprefix("d")]
    np.testing.assert_array_equal(grads.vector, parameters.trainable)


def test_making_gradients_leaves_the_parameters_alone(arrays):
    parameters = Parameters(arrays)
    parameters.gradients().vector[...] = 1
    assert list(parameters) == list(arrays)
    np.testing.assert_array_equal(parameters["W1"], arrays["W1"])


def test_names_tell_the_kinds_apart(arrays):
    assert [name for name in arrays if is_weight(name)] == ["W1", "W2"]
    assert [name for name in arrays if is_statistic(name)] == ["running_mean1", "running_variance1"]


def test_a_plain_dict_of_the_arrays_pickles(arrays):
    again = pickle.loads(pickle.dumps(dict(Parameters(arrays))))
    np.testing.assert_array_equal(Parameters(again).vector, Parameters(arrays).vector)


def test_assignment_writes_through_to_the_vector():
    parameters = Parameters({"W1": np.ones((2, 3)), "b1": np.zeros((2, 1))})
    parameters["W1"] = parameters["W1"] * 5
    assert parameters.weights.tolist() == [5] * 6
    with pytest.raises(KeyError, match="W2"):
        parameters["W2"] = np.ones((2, 2))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["deepcopy", "pickle"]
)
@pytest.mark.parametrize("prefix", ["", "d"])
def test_copies_have_a_vector_behind_their_arrays(copied, prefix):
    twin = copied(Parameters({"b1": np.zeros((2, 1)), "W1": np.ones((2, 3))}, prefix=prefix))
    twin.vector[...] = 7
    assert list(twin) == [prefix + "b1", prefix + "W1"]
    assert all((array == 7).all() for array in twin.values())


def test_every_way_to_assign_writes_through():
    parameters = Parameters({"W1": np.ones((2, 3)), "b1": np.zeros((2, 1))})
    parameters.update({"W1": np.full((2, 3), 7.0)})
    parameters |= {"b1": np.full((2, 1), 8.0)}
    assert parameters.vector.tolist() == [7] * 6 + [8] * 2


@pytest.mark.parametrize("remove", [lambda p: p.pop("b1"), lambda p: p.clear(), lambda p: p.__delitem__("b1")])
def test_names_stay(remove):
    with pytest.raises(TypeError, match="keep the names"):
        remove(Parameters({"W1": np.ones((2, 3)), "b1": np.zeros((2, 1))}))
