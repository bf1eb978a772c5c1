"""What a fitted network is made of, layer by layer: a table for the console, for notebooks and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np

from ..network.losses import LOSSES
from ..network.model import Network, names_of
from ..network.parameters import is_statistic
from ..typing import Arrays

if TYPE_CHECKING:
    from ..estimators.classifier import DeepNNClassifier

MOST_COLUMNS = 80  # of text that can be wrapped
HEADER = "Layer", "Units", "Activation", "Parameters", "Memory"
IS_NUMBER = False, True, False, True, True
# colours are the page's own, light or dark; lines are a grey that is seen on both
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
    """A part of the network through which the examples pass, in that order.

    Attributes
    ----------
    kind : {"input", "dense", "batch norm", "dropout", "output"}
    layer : int
        l, from 0 for the input to L: "W1" belongs to layer 1.
    detail : str
        How the inputs are scaled, or what share drops out; else empty.
    units : int
    activation : str
        What acts on the sums that this part makes; empty where nothing does. That of the output is the loss's link.
    n_parameters, n_bytes : int
        Of one network, running statistics included.
    """

    kind: str
    layer: int
    detail: str
    units: int
    activation: str
    n_parameters: int
    n_bytes: int

    @property
    def name(self) -> str:
        """What the row is called: "dense 1", "output"."""
        return self.kind if self.kind in ("input", "output") else f"{self.kind} {self.layer}"


@dataclass(frozen=True, repr=False)
class NetworkSummary:
    """What a fitted network is made of. It prints as a table; notebooks show it as one.

    Parameters
    ----------
    title : str
    rows : tuple of SummaryRow
        Of one network: ``pandas.DataFrame(summary.rows)`` makes a table of them.
    ensemble_size : int
        Networks of this kind.
    dtype : str
    optimizer : str
    n_iter, best_iter : int
        Epochs trained, and the best of them.
    keeps_best : bool
        Whether the weights are those of the best epoch, not the last.
    validated : bool
        Whether validation data tell which epoch that is, not the training cost.
    n_statistics : int
        Parameters of one network that are counted, not trained: the running statistics of batch normalisation.
    n_optimizer_bytes, n_copy_bytes : int
        What is kept to go on training, beside the weights that predict: the optimizer's state; and the last epoch's
        weights with the best ones and their moving average, where there are such. 0 if training cannot go on.
    notes : tuple of str
    stopped_by : str
        What ended the training before its last epoch, if anything did.
    """

    title: str
    rows: tuple[SummaryRow, ...]
    ensemble_size: int
    dtype: str
    optimizer: str
    n_iter: int
    best_iter: int
    keeps_best: bool
    validated: bool
    n_statistics: int = 0
    n_optimizer_bytes: int = 0
    n_copy_bytes: int = 0
    notes: tuple[str, ...] = ()
    stopped_by: str = ""

    @classmethod
    def of(cls, estimator: DeepNNClassifier) -> Self:
        """Return the summary of a fitted estimator.

        Parameters
        ----------
        estimator : DeepNNClassifier

        Returns
        -------
        NetworkSummary
        """
        network, saved = Network.restore(estimator.network_), estimator.training_state_
        parameters, ensemble_size = estimator.parameters_, network.ensemble_size
        statistics = (array.size for name, array in parameters.items() if is_statistic(name))
        return cls(
            type(estimator).__name__,
            tuple(rows_of(network, parameters, name_of_scaling(saved))),
            ensemble_size,
            parameters["W1"].dtype.name,
            saved["optimizer_name"],
            estimator.n_iter_,
            estimator.best_iter_,
            saved["best_epoch"] is not None,
            len(getattr(estimator, "validation_loss_curve_", [])) == estimator.n_iter_,
            sum(statistics) // ensemble_size,
            bytes_in(saved["optimizer_state"]),
            bytes_in(saved["vectors"]),
            tuple(getattr(estimator, "report_", [])),
            saved.get("stopped_by", ""),
        )

    @property
    def n_parameters(self) -> int:
        """Number of parameters of all networks, running statistics included."""
        return self.ensemble_size * sum(row.n_parameters for row in self.rows)

    @property
    def n_bytes(self) -> int:
        """Memory of the parameters of all networks."""
        return self.ensemble_size * sum(row.n_bytes for row in self.rows)

    def __str__(self) -> str:
        heading, body, totals = self._heading(), list(map(cells_of, self.rows)), self._totals()
        widths = [max(map(len, column)) for column in zip(HEADER, *body, *totals)]
        width = sum(widths) + 2 * (len(widths) - 1)
        line = "-" * width
        lines, width = [heading, line], min(width, MOST_COLUMNS)
        for part in ([HEADER], body, totals):
            lines += [*(aligned(cells, widths) for cells in part), line]
        for sentence in self._sentences():
            lines += textwrap.wrap(sentence, width)
        for note in self.notes:
            lines += textwrap.wrap(note, width, initial_indent="- ", subsequent_indent="  ")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the table as HTML that takes the colours of the page around it."""
        caption = f"<caption>{escape(self._heading())}</caption>"
        head = f"<thead>{html_row(HEADER, scope='col')}</thead>"
        body = f"<tbody>{''.join(map(html_row, map(cells_of, self.rows)))}</tbody>"
        foot = f"<tfoot>{''.join(map(html_row, self._totals()))}</tfoot>"
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in self._sentences())
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        notes = notes and f"<ul>{notes}</ul>"
        table = f'<table class="layers">{caption}{head}{body}{foot}</table>'
        return f'<div class="deepnn-summary"><style>{STYLE}</style>{table}{sentences}{notes}</div>'

    def _heading(self) -> str:
        kind = "one network" if self.ensemble_size == 1 else f"an ensemble of {self.ensemble_size:,} networks"
        return f"{self.title}: {kind}, {self.dtype}"

    def _totals(self) -> list[tuple[str, ...]]:
        """Return the cells of the rows below the layers."""
        n, n_bytes, size = self.n_parameters, self.n_bytes, self.ensemble_size
        if size == 1:
            return [("total", "", "", f"{n:,}", readable_bytes(n_bytes))]
        one = "one network", "", "", f"{n // size:,}", readable_bytes(n_bytes // size)
        return [one, (f"all {size:,} networks", "", "", f"{n:,}", readable_bytes(n_bytes))]

    def _sentences(self) -> list[str]:
        """Return what is said below the table."""
        epochs = f"{self.n_iter:,} epoch{'s' * (self.n_iter != 1)}"
        merit = "was best" if self.keeps_best or self.validated else "had the lowest training cost"
        kept = f"{'its' if self.keeps_best else 'the last'} weights are kept"
        stop = f", stopped by {self.stopped_by}" if self.stopped_by else ""
        sentences = [f"Trained by {self.optimizer} for {epochs}{stop}. Epoch {self.best_iter:,} {merit}; {kept}."]
        if self.n_statistics:
            share = f"{self.n_statistics:,} parameters of a network"
            sentences.append(f"{share} are running statistics, which are counted, not trained.")
        if self.n_copy_bytes:
            copies = f"{readable_bytes(self.n_copy_bytes)} of weights"
            state = f"{readable_bytes(self.n_optimizer_bytes)} of the optimizer's state"
            more = f"{state} and {copies}" if self.n_optimizer_bytes else copies
            sentences.append(f"Training can go on: for that, another {more} are kept.")
        return sentences


def rows_of(network: Network, parameters: Arrays, scaling: str) -> Iterator[SummaryRow]:
    """Yield the rows of a network: input, then LINEAR -> [batch normalisation] -> activation -> [dropout], ..., output.

    Parameters
    ----------
    network : Network
    parameters : dict of str to ndarray
    scaling : str

    Yields
    ------
    SummaryRow
    """

    def row(kind: str, l: int, *names: str, detail: str = "", activation: str = "") -> SummaryRow:
        arrays = [parameters[name] for name in names if name in parameters]
        n, n_bytes = sum(W.size for W in arrays), sum(W.nbytes for W in arrays)
        per_network = n // network.ensemble_size, n_bytes // network.ensemble_size
        return SummaryRow(kind, l, detail, network.layer_dims[l], activation, *per_network)

    yield row("input", 0, detail=scaling)
    for l, (activation, rate) in enumerate(zip(network.activation, network.dropout_rate), start=1):
        name = names_of(l)
        yield row("dense", l, name.W, name.b, activation="" if network.batch_norm else activation)
        if network.batch_norm:
            normalisation = name.gamma, name.beta, name.running_mean, name.running_variance
            yield row("batch norm", l, *normalisation, activation=activation)
        if rate:
            yield row("dropout", l, detail=f"rate {rate:g}")
    last = names_of(network.n_layers)
    yield row("output", network.n_layers, last.W, last.b, activation=LOSSES[network.loss].out_activation)


def name_of_scaling(saved: dict[str, Any]) -> str:
    """Say how the inputs of a saved training state are scaled."""
    if saved["scaling"] is None:
        return "not scaled"
    return "standard scaling" if saved["moments"] else "robust scaling"


def bytes_in(value: object) -> int:
    """Return the bytes of all arrays in nested dicts and lists."""
    if isinstance(value, (dict, list)):
        return sum(map(bytes_in, value.values() if isinstance(value, dict) else value))
    return value.nbytes if isinstance(value, np.ndarray) else 0


def readable_bytes(n: int) -> str:
    """Return a number of bytes in words: whole ones below 1000 B, else one decimal of kB = 1000 B, MB, GB or TB."""
    if n < 1000:
        return f"{n} B"
    units = ["kB", "MB", "GB", "TB"]
    size = n / 1000
    while size >= 999.95 and len(units) > 1:  # what would be rounded to 1000.0 has a larger unit
        size, units = size / 1000, units[1:]
    return f"{size:,.1f} {units[0]}"


def cells_of(row: SummaryRow) -> tuple[str, ...]:
    """Return a `SummaryRow` as text, one for each column."""
    label = f"{row.name}, {row.detail}" if row.detail else row.name
    n, n_bytes = (f"{row.n_parameters:,}", readable_bytes(row.n_bytes)) if row.n_parameters else ("", "")
    return label, f"{row.units:,}", row.activation, n, n_bytes


def aligned(cells: Iterable[str], widths: Iterable[int]) -> str:
    """Return a line of text with numbers to the right of their columns, the rest to the left."""
    columns = zip(cells, widths, IS_NUMBER)
    return "  ".join(cell.rjust(w) if number else cell.ljust(w) for cell, w, number in columns).rstrip()


def html_row(cells: Iterable[str], *, scope: Literal["row", "col"] = "row") -> str:
    """Return cells as a row of HTML: all are headers with scope="col", with scope="row" the first is."""
    html = ""
    for cell, number in zip(cells, IS_NUMBER):
        tag = "td" if scope == "row" and html else "th"
        attributes = (f' scope="{scope}"' if tag == "th" else "") + (' class="number"' if number else "")
        html += f"<{tag}{attributes}>{escape(cell)}</{tag}>"
    return f"<tr>{html}</tr>"
