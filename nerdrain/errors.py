"""What a user is meant to read: one type of error, and one of warning."""


class NerdrainError(ValueError):
    """Bad input, said in one sentence that names the thing and the mend."""


class ImageWarning(UserWarning):
    """A file holds more than is read from it, such as further frames."""


class Stopped(NerdrainError):
    """A training run was asked to stop, and has saved."""
