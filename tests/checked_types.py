"""How annotations are checked while tests run: an int is a float, as everywhere in Python (and in YAML)."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
