"""One table of the report and its three forms: Markdown, CSV and LaTeX; and how its numbers are written."""

import csv
import io
import math
import re
from typing import NamedTuple

from dfdc_lightning.report.inference import Difference, Estimate

ABSENT = "–"


class Table(NamedTuple):
    """Cells as text; the caption says what the numbers do and do not account for.

    In `prose`, cells are words that may be broken into lines.
    """

    name: str
    title: str
    caption: str
    columns: list[str]
    rows: list[list[str]]
    prose: bool = False

    @property
    def width(self) -> int:
        """How many characters its widest row has, headings broken into words."""
        words = [max(heading.split(), key=len, default="") for heading in self.columns]
        return sum(max(len(row[i]) for row in [words, *self.rows]) + 2 for i in range(len(words)))

    def markdown(self) -> str:
        """Write a pipe table, aligned so that it reads well as plain text."""
        lines = [[markdown_text(cell) for cell in line] for line in [self.columns, *self.rows]]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join(
            "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        )

    def csv(self) -> str:
        """Write comma-separated lines, the headings first."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()

    def latex(self) -> str:
        """Write a booktabs table that can be included as it is."""
        body = [" & ".join(latex_text(cell) for cell in line) + r" \\" for line in [self.columns, *self.rows]]
        return "\n".join(
            [
                r"% needs \usepackage{booktabs}",
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{latex_text(self.title)}. {latex_text(self.caption)}}}",
                rf"\label{{tab:{self.name.replace('_', '-')}}}",
                rf"\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}",
                r"\toprule",
                body[0],
                r"\midrule",
                *body[1:],
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )


def number(value: float | None) -> str:
    """Write three decimals, or a dash."""
    return ABSENT if value is None else f"{value:.3f}"


def signed(value: float) -> str:
    """Write three decimals with a sign, zero without."""
    text = f"{value:+.3f}"
    return "0.000" if text[1:] == "0.000" else text.replace("-", "−")


def interval(estimate: Estimate) -> str:
    """Write the ends of an interval, the inner end of a bound, or a dash."""
    if estimate.interval is None:
        return ABSENT
    low, high = estimate.interval
    if estimate.bound:
        return f"≥ {_down(low)}" if high == 1 else f"≤ {_up(high)}"
    return f"{low:.3f}–{high:.3f}"


def between(estimate: Estimate) -> str:
    """Write an interval in words."""
    text = interval(estimate)
    return text.replace("≥", "at least").replace("≤", "at most").replace("–", " to ")


def gap(difference: Difference) -> str:
    """Write a difference with its interval, or alone where it has none."""
    if difference.interval is None:
        return signed(difference.difference)
    low, high = difference.interval
    return f"{signed(difference.difference)} ({signed(low)} to {signed(high)})"


def possible(difference: Difference) -> str:
    """Write the largest difference that is still possible, rounded up, or a dash."""
    most = difference.largest_difference_still_possible
    return ABSENT if most is None else _up(most)


def percent(share: float) -> str:
    """Write a share of one as per cent."""
    return f"{100 * share:g} %"


def rate(share: float) -> str:
    """Write a measured share as per cent, to one decimal."""
    return f"{100 * share:.1f} %"


def p_value(p: float | None) -> str:
    """Write a p-value as papers print it."""
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def markdown_text(text: str) -> str:
    """Escape what Markdown would not show as it is: HTML, the end of a cell, a second line."""
    plain = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", plain)


_LATEX: dict[str, str | int | None] = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "Δ": r"$\Delta$",
    "−": "$-$",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
}


def latex_text(text: str) -> str:
    """Escape what LaTeX would not set as it is."""
    plain = " ".join(text.split())
    return plain.translate(str.maketrans(_LATEX)).replace(r" \%", r"\,\%")


def _up(value: float) -> str:
    return f"{math.ceil(1000 * value - 1e-9) / 1000:.3f}"


def _down(value: float) -> str:
    return f"{math.floor(1000 * value + 1e-9) / 1000:.3f}"
