"""`one_network`: a classifier that trains a single network on scaled numbers, whatever the defaults are."""

from sklearn_deepnn import DeepNNClassifier

ONE_NETWORK = {
    "ensemble_size": 1,
    "numeric_encoding": None,
    "scale_inputs": "standard",
    "activation": "relu",
    "learning_rate": 0.001,
    "weight_decay": 0.0001,
    "label_smoothing": 0.0,
    "early_stopping": False,
    "n_iter_no_change": 10,
}


def one_network(hidden_layer_dims=(100,), *arguments, **parameters):
    """Return a classifier with these settings, except those that are given."""
    given = {"activation": arguments[0]} if arguments else {}
    return DeepNNClassifier(**{**ONE_NETWORK, "hidden_layer_dims": hidden_layer_dims, **given, **parameters})
