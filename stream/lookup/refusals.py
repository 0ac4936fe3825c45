"""The exception with which a handler refuses a request, in the HTTP door and in a worker's lookup server.

Each server turns the exception into an answer in its own form.
"""

from __future__ import annotations

from collections.abc import Mapping


class HttpRefusal(Exception):
    """An answer that ends a request.

    Parameters
    ----------
    status
        HTTP status, 400 or above.
    code
        A stable code for machines, such as ``bad_number``.
    message
        The reason in words, for the client's developer.
    details
        Further fields of the answer, such as where the mistake is and what is allowed there.
    headers
        Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details: Mapping[str, str] = details or {}
        self.headers: Mapping[str, str] = headers or {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.status}, {self.code!r}, {self.message!r})"

    def with_headers(self, headers: Mapping[str, str]) -> HttpRefusal:
        """Return the same refusal with further headers."""
        return HttpRefusal(
            self.status, self.code, self.message, details=self.details, headers={**self.headers, **headers}
        )
