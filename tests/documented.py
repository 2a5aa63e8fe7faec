"""What docs/architecture.md says of the files of a run folder, as names to compare with."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "architecture.md"
_WORD = re.compile(r"[\w/]+|[{}]")


def names_of(file: str) -> dict[str, list[str]]:
    """The names listed for a file, each with those in its braces; {…}, as the one before, gives none."""
    (line,) = re.findall(rf"^\| `{re.escape(file)}` \| .*$", DOCUMENT.read_text(encoding="utf-8"), re.M)
    (listed,) = re.findall(r"`([^`]*, [^`]*)`", line.partition(" | ")[2])
    found: dict[str, list[str]] = {}
    depth = 0
    for word in _WORD.findall(listed):
        if word in "{}":
            depth += 1 if word == "{" else -1
        elif depth == 0:
            found[word] = []
        elif depth == 1:
            found[list(found)[-1]].append(word)
    return found
