"""The exceptions that `fields` raises on purpose."""


class FieldsError(ValueError):
    """Something that the user can put right; its message is one line that says what and how."""


class Cancelled(RuntimeError):
    """The caller's cancel flag stopped a long computation; nothing was changed."""


class Interrupted(KeyboardInterrupt):
    """A fit was stopped from outside; what it had reached is kept where the message says.

    Attributes:
        number: of the Unix signal.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number
