"""The one error type that a user is meant to read."""


class NerdrainError(ValueError):
    """Bad input, said in one sentence that names the thing and the mend."""
