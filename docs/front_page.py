"""Draw the two pictures of the first page, each once for light pages and once for dark ones.

Two spirals as `DeepNNClassifier()` learns them: the probability of the classes over the plane, and the costs of the
epochs.

    python docs/front_page.py  # writes spirals_*.svg and costs_*.svg in docs/_static
"""

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from sklearn.model_selection import train_test_split

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.plotting import TrainingCurveDisplay

BLUE, ORANGE = "#3f8fd6", "#e8833a"
INK = {"light": "#323c4d", "dark": "#ced6dd"}  # the theme's colors of text


def spirals(n_samples, rng):
    """Return samples of two spirals of two turns, and which spiral each belongs to."""
    y = rng.integers(0, 2, n_samples)
    radius = np.sqrt(rng.random(n_samples))
    angle = 4 * np.pi * radius + np.pi * y
    X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return X + 0.03 * rng.standard_normal(X.shape), y


def draw_probabilities(ax, model, X, y):
    """Draw the plane in the color of the more probable class, fainter where less sure, and samples."""
    side = np.linspace(-1.2, 1.2, 120)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    probability = model.predict_proba(grid)[:, 1].reshape(len(side), len(side))
    stops = [(0, (*to_rgb(BLUE), 0.6)), (0.5, (0.6, 0.6, 0.6, 0.0)), (1, (*to_rgb(ORANGE), 0.6))]
    colors = LinearSegmentedColormap.from_list("classes", stops)
    extent = (side[0], side[-1]) * 2
    ax.imshow(probability, colors, vmin=0, vmax=1, origin="lower", extent=extent, interpolation="bilinear")
    for label, color in enumerate((BLUE, ORANGE)):
        ax.scatter(*X[y == label].T, s=9, color=color, edgecolors="white", linewidths=0.3)
    ax.set(xticks=[], yticks=[], title=f"Two spirals: test accuracy {model.score(X, y):.1%}")


def draw_costs(ax, model):
    """Draw the cost of each epoch."""
    TrainingCurveDisplay.from_estimator(model, ax=ax)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    ax.set_title("Cost of each epoch")


def main(folder):
    """Fit the network and write the pictures."""
    X, y = spirals(1500, np.random.default_rng(0))
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    model = DeepNNClassifier(random_state=0).fit(X_train, y_train)
    pictures = {
        "spirals": lambda ax: draw_probabilities(ax, model, X_test, y_test),
        "costs": lambda ax: draw_costs(ax, model),
    }
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    plt.rcParams.update({"svg.hashsalt": "front page", "svg.fonttype": "none", "axes.titlesize": 12})
    for theme, ink in INK.items():
        with mpl.rc_context(dict.fromkeys(inked, ink)):
            for name, draw in pictures.items():
                fig, ax = plt.subplots(figsize=(4.8, 4.2), layout="constrained")
                draw(ax)
                path = folder / f"{name}_{theme}.svg"
                fig.savefig(path, dpi=72, transparent=True, metadata={"Date": None})
                path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text("utf-8").splitlines()), "utf-8")
                plt.close(fig)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "_static")
