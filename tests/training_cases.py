"""A small training problem, and builders of recipes, states and trainings for the tests of training."""

import numpy as np

from sklearn_deepnn.callbacks import Callback
from sklearn_deepnn.network.model import initialize_parameters, model_backward, model_forward
from sklearn_deepnn.network.parameters import Parameters
from sklearn_deepnn.network.scaling import Scaling
from sklearn_deepnn.training.examples import Examples, draw_batch
from sklearn_deepnn.training.loop import train
from sklearn_deepnn.training.optimizers import OPTIMIZERS, Optimizer
from sklearn_deepnn.training.recipe import Recipe
from sklearn_deepnn.training.state import TrainingState

M = 23  # examples
FIRST_ORDER = [name for name, optimizer in OPTIMIZERS.items() if not optimizer.full_batch]
WEIGHT = np.linspace(0.5, 1.5, M)
COLUMNS = np.array([20, 3, 5, 8, 1, 13, 2])
COLUMNS_OF_MEMBERS = np.stack([np.random.default_rng(seed).permutation(M)[:17] for seed in range(3)])
PENALISED = {"weight_decay": 0.1, "max_grad_norm": 0.1, "label_smoothing": 0.1}
ALL_OPTIONS = {"batch_size": 10, "schedule": "cosine", "weight_decay": 1e-3, "averaging_epochs": 1.5}
SMALL_LAST = 11  # the last batch of 23 examples has one example, fewer than there are chunks
SCALING = Scaling(np.array([[30.0], [-4.0], [0.5], [2.0]]), np.array([[0.1], [100.0], [2.0], [1.0]]))


def draw_examples(m=M, n_outputs=3, seed=0):
    """Return examples whose class depends on X, with class numbers for targets."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 4)).T
    return Examples(X, np.argmax(X[:n_outputs] + rng.normal(0, 0.5, (n_outputs, m)), axis=0)[np.newaxis])


def unscale(examples):
    """Return raw examples that equal the given ones once `SCALING` is applied."""
    return examples._replace(X=examples.X * SCALING.scale + SCALING.center, scaling=SCALING)


def recipe_of(name, **options):
    """Return a recipe for the optimizer of a name."""
    return Recipe(OPTIMIZERS[name](), learning_rate=0.01, **options)


def initial_state(network, seed=0, dtype=None):
    """Return the state before the first epoch."""
    rng = np.random.default_rng(seed)
    parameters = initialize_parameters(
        network.layer_dims,
        activation=network.activation,
        batch_norm=network.batch_norm,
        ensemble_size=network.ensemble_size,
        rng=rng,
        dtype=dtype,
    )
    return TrainingState(parameters, rng)


def fit(examples, network, recipe, n_epochs=5, seed=0, dtype=None, **options):
    """Train from the initial parameters and return the state."""
    state = initial_state(network, seed, dtype)
    train(state, examples, network, recipe, n_epochs=n_epochs, **options)
    return state


def restored(saved, network):
    """Return a state made from what `to_dict` returned, of which nothing else is left."""
    return initial_state(network, seed=9).restore(saved)


def backpropagate(examples, columns, parameters, network, label_smoothing=0.0):
    """Return the gradients of the cost of some examples, and the caches of the forward pass."""
    batch = draw_batch(examples, columns, network, np.float64, label_smoothing)
    AL, caches = model_forward(batch.A0, parameters, network, training=True, sample_weight=batch.sample_weight)
    out = parameters.gradients() if isinstance(parameters, Parameters) else None
    return model_backward(AL, batch.Y, caches, network, sample_weight=batch.sample_weight, out=out), caches


def validate_by(values):
    """Return a validation that gives these costs, one after the other, whatever the parameters."""
    values = iter(values)
    return lambda parameters: {"validation_cost": next(values)}


class CountEpochs(Callback):
    """Count the epochs in the callback's memory."""

    def on_epoch_end(self, run):
        run.memory["n_epochs"] = run.memory.get("n_epochs", 0) + 1


class Signs(Optimizer):
    """An optimizer of a user, with a constructor of its own."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def init(self, parameters):
        return {}

    def update(self, parameters, grads, state, learning_rate):
        parameters -= self.scale * learning_rate * np.sign(grads)
