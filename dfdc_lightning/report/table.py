"""One table of the report and its three forms: Markdown, CSV and LaTeX; and how its numbers are written."""

import csv
import io
from typing import NamedTuple

from dfdc_lightning.report.statistics import Interval

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
        """Characters of its widest row, headings broken into words."""
        words = [max(heading.split(), key=len, default="") for heading in self.columns]
        return sum(max(len(row[i]) for row in [words, *self.rows]) + 2 for i in range(len(words)))

    def markdown(self) -> str:
        """A pipe table, aligned so that it reads well as plain text."""
        widths = [max(len(row[i]) for row in [self.columns, *self.rows]) for i in range(len(self.columns))]
        lines = [self.columns, ["-" * width for width in widths], *self.rows]
        return "\n".join(
            "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        )

    def csv(self) -> str:
        """Comma-separated, one header row."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()

    def latex(self) -> str:
        """A booktabs table, ready to be included."""
        body = [" & ".join(_escape(cell) for cell in line) + r" \\" for line in [self.columns, *self.rows]]
        return "\n".join(
            [
                r"% needs \usepackage{booktabs}",
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{_escape(self.title)}. {_escape(self.caption)}}}",
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
    """Three decimals, or a dash."""
    return ABSENT if value is None else f"{value:.3f}"


def signed(value: float) -> str:
    """Three decimals with a sign."""
    return f"{value:+.3f}".replace("-", "−")


def span(interval: Interval) -> str:
    """An interval of numbers that cannot be negative."""
    return f"{interval.low:.3f}–{interval.high:.3f}"


def percent(share: float) -> str:
    """A share of one as per cent."""
    return f"{100 * share:g} %"


def p_value(p: float | None) -> str:
    """A p-value as papers print it."""
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _escape(text: str) -> str:
    for plain, escaped in (
        ("\\", r"\textbackslash "),
        ("&", r"\&"),
        ("%", r"\%"),
        ("_", r"\_"),
        ("#", r"\#"),
    ):
        text = text.replace(plain, escaped)
    for plain, escaped in (("Δ", r"$\Delta$"), ("−", "$-$"), ("–", "--"), ("<", "$<$"), (" \\%", r"\,\%")):
        text = text.replace(plain, escaped)
    return text
