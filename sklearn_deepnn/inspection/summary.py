"""The layers of a fitted network, as a table for the console, for notebooks and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from ..network.activations import activation_name
from ..network.architecture import Network
from ..network.encoding import Encoding
from ..network.model import names_of
from ..network.parameters import is_statistic
from ..typing import Arrays

MAX_WIDTH = 80  # characters of a line of text below the table
HEADER = "Layer", "Units", "Activation", "Parameters", "Memory"
IS_NUMBER = False, True, False, True, True
# colors are inherited from the page, which may be light or dark; the gray of the lines is visible on both
STYLE = """
.deepnn-summary { max-width: 100%; overflow-x: auto; }
.deepnn-summary table.layers { color: inherit; border-collapse: collapse; margin: 0 0 0.5em; }
.deepnn-summary table.layers caption { color: inherit; font-weight: bold; padding: 0.3em 0; caption-side: top; }
.deepnn-summary table.layers :is(th, td) { color: inherit; padding: 0.25em 1.2em 0.25em 0; vertical-align: top; }
.deepnn-summary table.layers :is(caption, th, td) { text-align: left; }
.deepnn-summary table.layers :is(th, td).number { text-align: right; white-space: nowrap; }
.deepnn-summary table.layers :is(th, td).number { font-variant-numeric: tabular-nums; }
.deepnn-summary table.layers :is(tbody, tfoot) th { font-weight: normal; min-width: 7em; }
.deepnn-summary table.layers :is(thead tr:last-child, tbody tr:last-child) { border-bottom: 1px solid #8888; }
.deepnn-summary :is(p, ul) { color: inherit; max-width: 44em; margin: 0.3em 0; }
@media (max-width: 500px) {
  .deepnn-summary table.layers { font-size: 0.8em; }
  .deepnn-summary table.layers :is(th, td) { padding-right: 0.6em; }
}
"""


class SummaryRow(NamedTuple):
    """One step of the network: input, embedding, linear part, batch normalization, dropout, or output."""

    kind: str  # "input", "embedding", "dense", "batch norm", "dropout" or "output"
    layer: int  # l: 0 for the input and the embedding, L for the output
    detail: str  # how inputs are scaled or encoded, the length of embedding vectors, or the dropout rate; else empty
    units: int  # numbers that the next step takes
    activation: str  # applied after this step; empty if none; the link after the output
    n_parameters: int  # of one network, running statistics included
    n_bytes: int

    @property
    def name(self) -> str:
        """Name of the row: "dense 1", "output"."""
        return self.kind if self.kind in ("input", "embedding", "output") else f"{self.kind} {self.layer}"


@dataclass(frozen=True, repr=False)
class NetworkSummary:
    """The layers, the memory and the training of a fitted network; printed as a table."""

    title: str
    rows: tuple[SummaryRow, ...]  # of one network; ``pandas.DataFrame(summary.rows)`` makes a data frame of them
    ensemble_size: int
    dtype: str
    optimizer: str
    n_iter: int  # epochs trained
    best_iter: int  # the best of them
    keeps_best: bool  # whether the weights of the best epoch are kept, not those of the last
    validated: bool  # whether validation data determine the best epoch, not the training cost
    n_statistics: int = 0  # running statistics of batch normalization, in one network
    n_optimizer_bytes: int = 0  # of the optimizer's state, 0 if training cannot continue
    n_copy_bytes: int = 0  # of the copies of the weights from which training can continue
    notes: tuple[str, ...] = ()  # the estimator's `report_`
    stopped_by: str = ""  # what stopped training before its last epoch
    columns: str = ""  # how many columns of X have numbers, categories and gaps; empty if none is encoded

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Return the summary of a fitted estimator."""
        network, saved = Network.restore(estimator.network_), estimator.training_state_
        parameters, n_validated = estimator.parameters_, len(getattr(estimator, "validation_loss_curve_", []))
        name = saved["preparation"].get("scale_inputs")
        inputs, columns = "not scaled" if name is None else f"{name} scaling", ""
        if hasattr(estimator, "encoding_"):
            encoding = Encoding.restore(estimator.encoding_)
            n, columns = len(encoding.center), describe_columns(encoding, getattr(estimator, "categories_", ()))
            inputs = f"{n:,} column{'s' * (n != 1)} encoded"
        n_statistics = sum(array.size for name, array in parameters.items() if is_statistic(name))
        return cls(
            title=type(estimator).__name__,
            rows=tuple(rows_of(network, parameters, inputs)),
            ensemble_size=network.ensemble_size,
            dtype=parameters["W1"].dtype.name,
            optimizer=saved["call"]["optimizer"],
            n_iter=estimator.n_iter_,
            best_iter=estimator.best_iter_,
            keeps_best=saved["best"] is not None,
            validated=n_validated == estimator.n_iter_,
            n_statistics=n_statistics // network.ensemble_size,
            n_optimizer_bytes=bytes_in(saved["optimizer_state"]),
            n_copy_bytes=bytes_in([saved["parameters"], saved["average"], saved["best"]]),
            notes=tuple(getattr(estimator, "report_", [])),
            stopped_by=saved["call"]["stopped_by"],
            columns=columns,
        )

    @property
    def n_parameters(self) -> int:
        """Parameters of all networks, running statistics included."""
        return self.ensemble_size * sum(row.n_parameters for row in self.rows)

    @property
    def n_bytes(self) -> int:
        """Memory of the parameters of all networks."""
        return self.ensemble_size * sum(row.n_bytes for row in self.rows)

    def __str__(self) -> str:
        heading, body, totals = self._heading(), [cells_of(row) for row in self.rows], self._totals()
        widths = [max(map(len, column)) for column in zip(HEADER, *body, *totals)]
        line = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines, width = [heading, line], min(len(line), MAX_WIDTH)
        for block in ([HEADER], body, totals):
            lines += [*(aligned(cells, widths) for cells in block), line]
        for sentence in self._sentences():
            lines += textwrap.wrap(sentence, width)
        for note in self.notes:
            lines += textwrap.wrap(note, width, initial_indent="- ", subsequent_indent="  ")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the table as HTML, which inherits the colors of the page."""
        caption = f"<caption>{escape(self._heading())}</caption>"
        head = f"<thead>{html_row(HEADER, scope='col')}</thead>"
        body = f"<tbody>{''.join(html_row(cells_of(row)) for row in self.rows)}</tbody>"
        foot = f"<tfoot>{''.join(map(html_row, self._totals()))}</tfoot>"
        table = f'<table class="layers">{caption}{head}{body}{foot}</table>'
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in self._sentences())
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        notes = notes and f"<ul>{notes}</ul>"
        return f'<div class="deepnn-summary"><style>{STYLE}</style>{table}{sentences}{notes}</div>'

    def _heading(self) -> str:
        kind = "one network" if self.ensemble_size == 1 else f"an ensemble of {self.ensemble_size:,} networks"
        return f"{self.title}: {kind}, {self.dtype}"

    def _totals(self) -> list[tuple[str, ...]]:
        """Return the rows below the layers, as text."""
        n, n_bytes, size = self.n_parameters, self.n_bytes, self.ensemble_size
        if size == 1:
            return [("total", "", "", f"{n:,}", readable_bytes(n_bytes))]
        one = "one network", "", "", f"{n // size:,}", readable_bytes(n_bytes // size)
        return [one, (f"all {size:,} networks", "", "", f"{n:,}", readable_bytes(n_bytes))]

    def _sentences(self) -> list[str]:
        """Return the sentences below the table."""
        epochs = f"{self.n_iter:,} epoch{'s' * (self.n_iter != 1)}"
        merit = "was best" if self.keeps_best or self.validated else "had the lowest training cost"
        kept = f"{'its' if self.keeps_best else 'the last'} weights are kept"
        stop = f", stopped by {self.stopped_by}" if self.stopped_by else ""
        sentences = [f"Trained by {self.optimizer} for {epochs}{stop}. Epoch {self.best_iter:,} {merit}; {kept}."]
        if self.columns:
            sentences.append(f"Columns of X: {self.columns}.")
        if self.n_statistics:
            sentences.append(f"{self.n_statistics:,} parameters of a network are running statistics.")
        if self.n_copy_bytes:
            copies = f"{readable_bytes(self.n_copy_bytes)} of weights"
            state = f"{readable_bytes(self.n_optimizer_bytes)} of optimizer state"
            memory = f"{state} and {copies}" if self.n_optimizer_bytes else copies
            sentences.append(f"Training can continue: for this, another {memory} are kept.")
        return sentences


def describe_columns(encoding: Encoding, categories: Iterable[Any]) -> str:
    """Return how many columns have numbers, categories and gaps, in words. `categories` is `categories_`, or empty."""
    found = {name: part.feature for name, part in encoding.parts.items()}
    n_categorical = sum(len(np.unique(found[name])) for name in ("one_hot", "codes") if name in found)
    bins = f" ({len(found['bins']):,} bins)" if "bins" in found else ""
    kinds = []
    if "numbers" in found:
        kinds.append(f"{len(found['numbers']):,} of numbers{bins}")
    if n_categorical:
        kinds.append(f"{n_categorical:,} of categories")
    n_with_gaps = len(found.get("gaps", ())) + sum(map(has_gaps, categories))
    if n_with_gaps:
        kinds.append(f"{n_with_gaps:,} with gaps")
    return ", ".join(kinds)


def has_gaps(categories: Any) -> bool:
    """Say whether a column of `categories_` had gaps that have a code of their own."""
    return categories is not None and 0 <= categories["missing"] != categories["other"]


def rows_of(network: Network, parameters: Arrays, inputs: str) -> Iterator[SummaryRow]:
    """Yield the rows: input, [embedding], then LINEAR -> [batch norm] -> activation -> [dropout], ..., output."""

    def row(kind: str, l: int, *names: str, detail: str = "", activation: str = "") -> SummaryRow:
        arrays = [parameters[name] for name in names if name in parameters]
        n, n_bytes = sum(W.size for W in arrays), sum(W.nbytes for W in arrays)
        per_network = n // network.ensemble_size, n_bytes // network.ensemble_size
        return SummaryRow(kind, l, detail, network.layer_dims[l], activation, *per_network)

    if network.embedding:
        k, _, d = network.embedding  # k codes become k d numbers
        yield row("input", 0, detail=inputs)._replace(units=network.layer_dims[0] - k * (d - 1))
        yield row("embedding", 0, "E", detail=f"vectors of {d}")
    else:
        yield row("input", 0, detail=inputs)
    for l in range(1, network.n_layers):
        name, activation, rate = names_of(l), activation_name(network.activation[l - 1]), network.dropout_rate[l - 1]
        yield row("dense", l, name.W, name.b, activation="" if network.batch_norm else activation)
        if network.batch_norm:
            statistics = name.running_mean, name.running_variance
            yield row("batch norm", l, name.gamma, name.beta, *statistics, activation=activation)
        if rate:
            yield row("dropout", l, detail=f"rate {rate:g}")
    last = names_of(network.n_layers)
    yield row("output", network.n_layers, last.W, last.b, activation=network.loss_function.link.name)


def bytes_in(value: object) -> int:
    """Return the bytes of all arrays in nested dicts and lists."""
    if isinstance(value, (dict, list)):
        return sum(map(bytes_in, value.values() if isinstance(value, dict) else value))
    return value.nbytes if isinstance(value, np.ndarray) else 0


def readable_bytes(n: float) -> str:
    """Return a number of bytes as text, in B, or with one decimal in kB = 1000 B, MB, GB or TB."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.95:  # 999.95 would be rounded to 1000.0
            return f"{n} B" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:,.1f} TB"


def cells_of(row: SummaryRow) -> tuple[str, ...]:
    """Return the cells of a `SummaryRow` as text."""
    label = f"{row.name}, {row.detail}" if row.detail else row.name
    n, n_bytes = (f"{row.n_parameters:,}", readable_bytes(row.n_bytes)) if row.n_parameters else ("", "")
    return label, f"{row.units:,}", row.activation, n, n_bytes


def aligned(cells: Iterable[str], widths: Iterable[int]) -> str:
    """Return a line of the table: numbers are aligned right, the other cells left."""
    columns = zip(cells, widths, IS_NUMBER)
    return "  ".join(cell.rjust(w) if number else cell.ljust(w) for cell, w, number in columns).rstrip()


def html_row(cells: Iterable[str], *, scope: Literal["row", "col"] = "row") -> str:
    """Return a row of HTML. With scope="col" all cells are headers, with scope="row" the first is."""
    html = ""
    for cell, number in zip(cells, IS_NUMBER):
        tag = "td" if scope == "row" and html else "th"
        attributes = (f' scope="{scope}"' if tag == "th" else "") + (' class="number"' if number else "")
        html += f"<{tag}{attributes}>{escape(cell)}</{tag}>"
    return f"<tr>{html}</tr>"
