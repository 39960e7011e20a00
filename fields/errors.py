"""The two exceptions that `fields` raises on purpose."""


class FieldsError(ValueError):
    """Something that the user can put right; its message is one line that says what and how."""


class Cancelled(RuntimeError):
    """The caller's cancel flag stopped a long computation; nothing was changed."""
