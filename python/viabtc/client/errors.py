"""What a client is told: `StreamError` > `RefusedError`."""


class StreamError(Exception):
    """The stream is closed."""


class RefusedError(StreamError):
    """The server refuses a request or a channel, and says why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
