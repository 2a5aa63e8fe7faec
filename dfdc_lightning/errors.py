"""The one kind of error that is meant for the user: a sentence, never a traceback."""


class UserError(ValueError):
    """One sentence naming the file or key, the value and the remedy; entry scripts print it and exit 2."""
