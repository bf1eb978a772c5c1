"""Classify pictures: the course's cat-or-dog task, for any folder with one subfolder of
pictures per class.

    python examples/image_folder.py pets  # pets/cat/*.jpg, pets/dog/*.jpg; needs Pillow
    python examples/image_folder.py       # the digits that come with scikit-learn

Every picture is resized and becomes one row of numbers from 0 to 255: red, green and
blue of each pixel. Files that cannot be read are reported and left out. A fully
connected network does not know which pixels are neighbours, so do not expect high
accuracy on photographs. Without options the model is `DeepNNClassifier()`, an ensemble
of networks.
"""

import argparse
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_deepnn import DeepNNClassifier

MOST_LISTED = 10


class Pictures(NamedTuple):
    """Pictures: X (n, n_features), labels and names (n,), and their shape in words."""

    X: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    shape: str


class UserError(Exception):
    """An error that the user can correct; the message says how."""


def read_picture(path, size):
    """Return a picture file as an array of shape (size, size, 3), values 0 to 255.

    Raises
    ------
    UserError
        If Pillow cannot read the file; the message has the reason.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(
                picture
            )  # cameras store their orientation beside the picture
            if upright.mode == "P":
                # a palette with transparency converts to RGB with a warning
                upright = upright.convert("RGBA")
            return np.asarray(upright.convert("RGB").resize((size, size)))
    except UnidentifiedImageError:
        raise UserError("no picture that Pillow knows") from None
    except (
        Exception
    ) as error:  # damaged files make Pillow's decoders raise errors of many kinds
        raise UserError(
            f"damaged or unreadable ({str(error) or type(error).__name__})"
        ) from error


def load_folder(folder, size):
    """Return the pictures in the subfolders of a folder; print what is left out.

    Raises
    ------
    UserError
        If the folder or Pillow is missing, or if there are too few pictures.
    """
    try:
        import_module("PIL")
    except ImportError:
        raise UserError(
            "reading pictures needs Pillow: python -m pip install pillow"
        ) from None
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder.")
    X, labels, names = [], [], []
    left_out = [
        f"{path.name}: in no class's subfolder"
        for path in sorted(folder.iterdir())
        if path.is_file()
    ]
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        n_before = len(X)
        for path in sorted(path for path in class_folder.rglob("*") if path.is_file()):
            try:
                X.append(read_picture(path, size).ravel())
                names.append(str(path.relative_to(folder)))
            except UserError as reason:
                left_out.append(f"{path.relative_to(folder)}: {reason}")
        n_read = len(X) - n_before
        if n_read < 2:
            del X[n_before:], names[n_before:]
            left_out.append(
                f"{class_folder.name}/: readable pictures: {n_read}, "
                "a class needs 2 or more"
            )
        else:
            labels += [class_folder.name] * n_read
    print_some(f"Left out of {folder}", left_out)
    if len(set(labels)) < 2:
        raise UserError(
            f"{folder} must have at least two subfolders, one per class, "
            "with at least two readable pictures each; "
            f"it has {len(set(labels))}."
        )
    return Pictures(
        np.asarray(X, dtype=np.float32),
        np.array(labels),
        np.array(names),
        f"{size} x {size} pixels in red, green and blue",
    )


def load_default():
    """Return the digits: 1797 pictures of 8 x 8 grey pixels."""
    digits = load_digits()
    X = digits.data.astype(np.float32)
    names = np.array([f"digits, picture {i}" for i in range(len(X))])
    return Pictures(X, digits.target.astype(str), names, "8 x 8 pixels in grey")


def print_some(title, lines):
    """Print the first lines under a title, and the number of the others."""
    if lines:
        more = (
            [f"... and {len(lines) - MOST_LISTED} more"]
            if len(lines) > MOST_LISTED
            else []
        )
        print(f"{title}:", *lines[:MOST_LISTED], *more, sep="\n  ", end="\n\n")


def split(labels, random_state):
    """Return indices of training and test pictures: test on a quarter of each class."""
    n_test = max(len(labels) // 4, len(set(labels)))
    return train_test_split(
        np.arange(len(labels)),
        test_size=n_test,
        stratify=labels,
        random_state=random_state,
    )


def print_report(pictures, train, test, model):
    """Print how many test pictures of each class are recognised, and some mistakes."""
    truth, probabilities = pictures.labels[test], model.predict_proba(pictures.X[test])
    predicted = model.classes_[probabilities.argmax(axis=1)]
    classes, n_train = np.unique(pictures.labels[train], return_counts=True)
    width = max(5, *map(len, classes))
    print(
        f"\n  {'class':{width}}   to train   to test   recognised   otherwise taken for"
    )
    for label, n in zip(classes, n_train, strict=True):
        taken_for, counts = np.unique(predicted[truth == label], return_counts=True)
        wrong = sorted(
            (-n, name)
            for name, n in zip(taken_for, counts, strict=True)
            if name != label
        )
        others = ", ".join(f"{name} ({-n})" for n, name in wrong[:3])
        n_test = np.count_nonzero(truth == label)
        print(
            f"  {label:{width}}   {n:8}   {n_test:7}   "
            f"{n_test + sum(n for n, _ in wrong):10}   {others}".rstrip()
        )
    right = predicted == truth
    commonest = str(classes[n_train.argmax()])
    print(
        f"\n  Accuracy {right.mean():.3f} on {len(test)} pictures "
        "that it has not been trained on."
    )
    print(
        f"  Always saying {commonest!r}, the commonest class, "
        f"would give {np.mean(truth == commonest):.3f}.\n"
    )
    surest_first = np.flatnonzero(~right)[
        np.argsort(-probabilities[~right].max(axis=1), kind="stable")
    ]
    print_some(
        "Mistaken, the most certain first",
        [
            f"{pictures.names[test[i]]}: is {truth[i]}, "
            f"taken for {predicted[i]} ({probabilities[i].max():.0%})"
            for i in surest_first
        ],
    )


def integer(low, high):
    """Return a function that reads an integer in [low, high] from the command line."""

    def read(text):
        if not (text.isdecimal() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(
                f"must be an integer from {low} to {high}, got {text!r}"
            )
        return int(text)

    return read


def main():
    """Read the command line, load, train, report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add(
        "folder",
        nargs="?",
        type=Path,
        help="with one subfolder of pictures per class; default: the digits",
    )
    add(
        "--size",
        type=integer(1, 512),
        default=64,
        help="pixels, across and down, of a picture (default: 64)",
    )
    add(
        "--hidden-layer-dims",
        type=integer(1, 10_000),
        nargs="+",
        metavar="UNITS",
        help="of each hidden layer (default: chosen from the pictures)",
    )
    add(
        "--max-iter",
        type=integer(1, 100_000),
        default=200,
        help="most epochs (default: 200)",
    )
    add(
        "--random-state",
        type=integer(0, 2**32 - 1),
        default=0,
        help="seed of split, start and order (default: 0)",
    )
    options = parser.parse_args()

    try:
        pictures = (
            load_default()
            if options.folder is None
            else load_folder(options.folder, options.size)
        )
    except UserError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    train, test = split(pictures.labels, options.random_state)
    print(
        f"{len(pictures.X)} pictures of {len(set(pictures.labels))} classes, "
        f"{pictures.shape}."
    )

    network = DeepNNClassifier(
        options.hidden_layer_dims or "auto",
        max_iter=options.max_iter,
        random_state=options.random_state,
    )
    network.fit(pictures.X[train], pictures.labels[train])
    n_epochs, cost = network.n_iter_, network.loss_
    print(
        f"Trained on {len(train)} of them for {n_epochs} epochs, "
        f"to a cost of {cost:.3g}."
    )
    print_report(pictures, train, test, network)


if __name__ == "__main__":
    main()
