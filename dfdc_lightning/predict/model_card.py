"""Writes the card of one exported model for people: what it is, its use, its worth, its limits."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dfdc_lightning.predict.card import Card
from dfdc_lightning.predict.text import LIMITS


def model_card(card: Card, parity: str) -> str:
    """Render the card as Markdown.

    Args:
        card: What the model's users need to know.
        parity: A sentence on how far the exported model is from the trained one.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 — Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("model_card.md.jinja")
    return template.render(card=card, parity=parity, limits=LIMITS).rstrip() + "\n"
