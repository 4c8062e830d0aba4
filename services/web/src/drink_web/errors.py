"""Errors of the page's own, and of calls to the frontend."""

from collections.abc import Mapping

ANSWERED = frozenset(
    {"MACHINE_OFFLINE", "BOARD_UNREACHABLE", "DIRECTORY_UNAVAILABLE", "PROVIDER_UNAVAILABLE"}
)
"""Reasons of UNAVAILABLE with which a frontend answers that something else is away."""


class CallError(Exception):
    """The frontend refused a call, or did not answer.

    Args:
        status: Name of the gRPC status, such as NOT_FOUND.
        reason: Of the API's `ErrorReason`; empty if the frontend did not say.
        facts: What the reason comes with, such as `price`.
        retry_s: Seconds after which asking again makes sense; 0 if the frontend did not say.
    """

    def __init__(
        self,
        status: str,
        reason: str = "",
        facts: Mapping[str, str] | None = None,
        retry_s: int = 0,
    ) -> None:
        super().__init__(f"{status} {reason}".strip())
        self.status = status
        self.reason = reason
        self.facts = dict(facts or {})
        self.retry_s = retry_s

    @property
    def is_away(self) -> bool:
        """Whether no frontend answered, so that the call may or may not have been carried out."""
        if self.reason in ANSWERED:
            return False
        return self.status in ("UNAVAILABLE", "DEADLINE_EXCEEDED")

    @property
    def is_logged_out(self) -> bool:
        """Whether the login is no longer good."""
        return self.reason == "TOKEN_INVALID"


class PageError(Exception):
    """A request that is answered with a page that says what is wrong.

    Args:
        status: HTTP status.
        text: Key of the sentence in `texts`.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
