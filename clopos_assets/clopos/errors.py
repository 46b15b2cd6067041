"""What can go wrong between this project and Clopos, by what the reader should do about it.

Every message is one line: the request, the cause in Clopos' words, what to do. None holds a secret, a token,
a header or a body.
"""


class CloposError(Exception):
    """Base of all faults of the API; `retry_helps` says whether the same call may succeed later."""

    retry_helps: bool = False


class CloposRefusedError(CloposError):
    """Clopos says no and will say no again: credentials, permission, a bad parameter, an unknown venue, a redirect.

    `parameter` is the query parameter that Clopos names, where it names one.
    """

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class CloposUnavailableError(CloposError):
    """Given up after a bounded number of tries or a bounded wait; a later run may succeed."""

    retry_helps = True


class CloposAnswerError(CloposError):
    """An answer that is JSON but not what the documentation describes; asking again gives the same."""
