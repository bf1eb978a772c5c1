"""Run all measurements, write report.md and time_over_floor.png beside this file.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python report.py [section ...]

Sections: fit, defaults, predict, search, busy, memory, growth, choices; by default all: twenty minutes. README.md
beside this file says what to install. A section that is not run keeps what report.json has of it; "write" in place of
sections measures nothing and writes the report anew.
"""

import json
import os
import platform
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import measure
import numpy as np

HERE = Path(__file__).parent
PACKAGES = ["numpy", "scipy", "scikit-learn", "numba", "torch", "skorch", "jax"]
FLOOR, BY_HAND, NUMPY_ALONE = "products alone", "NumPy by hand", "sklearn_deepnn without numba"
LOOKS = {
    "sklearn_deepnn": ("o", 70, "#c1272d"), NUMPY_ALONE: ("o", 36, "#e8a0a3"),
    BY_HAND: ("|", 90, "black"), "MLPClassifier": ("s", 36, "#0072b2"),
    "torch": ("D", 36, "#009e73"), "skorch": ("^", 36, "#cc79a7"), "JAX": ("v", 36, "#777777"),
}  # fmt: skip
FLOOR_TARGETS = {
    "tiny": 2.0, "digits": 1.7, "table": 1.35, "table64": 1.1, "images": 1.35, "wide": 1.2, "course": 1.3,
}  # fmt: skip


def table(head, rows):
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def run_fit():
    found = {}
    for name, work in measure.WORKS.items():
        found[name] = measure.fit(work)
        print(name, {peer: f"{s:.4f}" for peer, s in found[name].items()}, flush=True)
    return found


def show_fit(found):
    peers = [name for name in next(iter(found.values())) if name not in ("sklearn_deepnn", NUMPY_ALONE, FLOOR, BY_HAND)]
    rows = []
    for name, times in found.items():
        work, ours = measure.WORKS[name], times["sklearn_deepnn"]
        shape = f"{work.n_samples} x {work.n_features}, {'-'.join(map(str, work.hidden_layer_dims))}"
        shape += f", {work.n_classes} classes, batches of {min(work.batch_size, work.n_samples)}, {work.dtype}"
        ratios = [f"{times[peer] / ours:.2f}" for peer in peers]
        shown = ("sklearn_deepnn", NUMPY_ALONE, BY_HAND)
        over, alone, by_hand = (f"{times[fit] / times[FLOOR]:.2f}" if fit in times else "" for fit in shown)
        per_epoch = f"{ours / work.n_epochs * 1e3:.2f}"
        rows.append([name, shape, per_epoch, over, FLOOR_TARGETS.get(name, ""), alone, by_hand, *ratios])
    means = [np.exp(np.mean([np.log(times[p] / times["sklearn_deepnn"]) for times in found.values()])) for p in peers]
    rows.append(["geometric mean", *[""] * 6, *(f"{mean:.2f}" for mean in means)])
    head = [
        "work",
        "shape",
        "ms per epoch",
        "times the products alone",
        "aim",
        "without numba: times the products alone",
        "NumPy by hand: times the products alone",
    ]
    head += [f"{peer} takes x" for peer in peers]
    return table(head, rows)


def draw_fit(found):
    """Draw each peer's time over that of the products alone, for each work."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    names = list(reversed(found))
    peers = [peer for peer in next(iter(found.values())) if peer != FLOOR]
    figure, ax = plt.subplots(figsize=(8, 0.5 * len(names) + 1.6), layout="constrained")
    for peer in reversed(peers):  # ours on top
        over = [found[name][peer] / found[name][FLOOR] for name in names]
        marker, size, color = LOOKS[peer]
        ax.scatter(over, range(len(names)), size, color, marker=marker, label=peer, zorder=2 + (peer == peers[0]))
    ax.axvline(1, color="black", linewidth=1)
    ax.set_xscale("log")
    ticks = [1, 2, 5, 10, 20, 50, 100]
    ax.set_xticks(ticks, [f"{tick}x" for tick in ticks])
    ax.minorticks_off()
    ax.set_yticks(range(len(names)), names)
    ax.grid(axis="x", color="#dddddd")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("time of a fit over that of its matrix products alone (log scale, less is better)")
    figure.legend(
        *(reversed(part) for part in ax.get_legend_handles_labels()), loc="outside upper left", ncols=5, frameon=False
    )
    figure.savefig(HERE / "time_over_floor.png", dpi=130)


def show_defaults(found):
    hows = list(next(iter(found.values())))
    rows = [[name, *(f"{times[how]:.2f}" for how in hows)] for name, times in found.items()]
    return table(["data", *(f"{how}, s" for how in hows)], rows)


def run_predict():
    return {str(n_rows): measure.predict(n_rows) for n_rows in (1, 100, 10_000, 200_000)}


def show_predict(found):
    rows = [
        [n, *(f"{s * 1e3:.3f}" for s in times.values()), f"{times['MLPClassifier'] / times['sklearn_deepnn']:.2f}"]
        for n, times in found.items()
    ]
    return table(["rows of 64 features", "sklearn_deepnn, ms", "MLPClassifier, ms", "MLPClassifier takes x"], rows)


def show_search(found):
    ratio = found["MLPClassifier"] / found["sklearn_deepnn"]
    rows = [[f"{found['sklearn_deepnn']:.1f}", f"{found['MLPClassifier']:.1f}", f"{ratio:.2f}"]]
    return table(["sklearn_deepnn, s", "MLPClassifier, s", "MLPClassifier takes x"], rows)


def run_busy():
    return {name: measure.busy(measure.WORKS[name]) for name in ("digits", "table", "images", "wide", "course")}


def show_busy(found):
    rows = [
        [name, *(f"{idle:.2f} s, {loaded / idle:.2f}x" for idle, loaded in times.values())]
        for name, times in found.items()
    ]
    return table(["work", "sklearn_deepnn: idle, busy over idle", "MLPClassifier: idle, busy over idle"], rows)


def run_memory():
    peaks = {" / ".join(key): peak for key, peak in measure.memory().items()}
    return {"peaks": peaks, "out_of_core": measure.out_of_core()}


def show_memory(found):
    calls = dict.fromkeys(key.split(" / ")[1] for key in found["peaks"])
    rows = [
        [call, *(f"{found['peaks'][f'{name} / {call}']:.0f}" for name in ("sklearn_deepnn", "MLPClassifier"))]
        for call in calls
    ]
    text = table(["X of 1 000 000 x 100 float32, MB above X at the peak", "sklearn_deepnn", "MLPClassifier"], rows)
    return f"""{text}

Out of core: a process that trains an epoch on a memory-mapped X of 4 GB of float64 and predicts it had at most
{found["out_of_core"]:.0f} MB of resident memory of its own, NumPy and scikit-learn included."""


def run_growth():
    return {
        "rows": measure.growth_with_rows(),
        "parameters": measure.growth_with_parameters(),
        "import": measure.importing(),
    }


def show_growth(found):
    rows = [[n, f"{microseconds:.2f}"] for n, microseconds in found["rows"].items()]
    parameters = [[n, f"{nanoseconds:.1f}"] for n, nanoseconds in found["parameters"].items()]
    head = ["rows (100 features, 100 units, batches of 200)", "microseconds of an epoch per row"]
    return f"""{table(head, rows)}

{table(["parameters (batches of 512)", "nanoseconds of a step per parameter"], parameters)}

Importing sklearn_deepnn takes {found["import"]:.0f} ms after sklearn.neural_network."""


def show_choices(found):
    return "\n\n".join(
        table([what, "s"], [[choice, f"{s:.2f}"] for choice, s in times.items()]) for what, times in found.items()
    )


SECTIONS = {  # key: (title, how to measure, how to show)
    "fit": ("Fit", run_fit, show_fit),
    "defaults": ("Fit with default parameters, five epochs", measure.default_fits, show_defaults),
    "predict": ("Predict", run_predict, show_predict),
    "search": (
        "Grid search: digits, 3 dims x 3 rates x 5 folds, 30 epochs, n_jobs=2",
        measure.search,
        show_search,
    ),
    "busy": ("Fit while another process spins on each core", run_busy, show_busy),
    "memory": ("Memory", run_memory, show_memory),
    "growth": ("Growth and import", run_growth, show_growth),
    "choices": ("What a user can change", measure.choices, show_choices),
}


def machine():
    """Return what the measurements were taken on."""
    from threadpoolctl import threadpool_info

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next(
            (line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line), model
        )
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"no {package}")
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    blas = next((library for library in libraries if "numpy" in library["filepath"]), libraries[0])  # SciPy has its own
    kernel = (
        f"{blas['internal_api']} {blas['version']}, kernel {blas.get('architecture')}, {blas['num_threads']} threads"
    )
    return [
        f"{date.today()}",
        f"{model}, {os.cpu_count()} cores, {platform.system()}",
        ", ".join(versions),
        kernel,
    ]


def main():
    store = HERE / "report.json"
    found = json.loads(store.read_text()) if store.exists() else {}
    for key in sys.argv[1:] or SECTIONS:
        if key == "write":
            continue
        found[key] = {"machine": machine(), "rows": SECTIONS[key][1]()}
        found = json.loads(json.dumps(found))  # as it will be read
        store.write_text(json.dumps(found, indent=1) + "\n")
        print(key, "done", flush=True)
    text = ["# Benchmarks", (HERE / "notes.md").read_text().strip()]
    for key, (title, _, show) in SECTIONS.items():
        if key in found:
            text += [f"## {title}", show(found[key]["rows"]), "Taken on " + "; ".join(found[key]["machine"]) + "."]
            if key == "fit":
                draw_fit(found[key]["rows"])
                text.insert(-1, "![Time of a fit over that of its products alone](time_over_floor.png)")
    (HERE / "report.md").write_text("\n\n".join(text) + "\n")


if __name__ == "__main__":
    main()
