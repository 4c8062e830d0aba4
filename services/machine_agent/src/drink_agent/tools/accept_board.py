"""Makes the board that is there now the machine's."""

from collections.abc import Callable
from pathlib import Path

from drink_agent.board.identity import AnotherBoardError, BoardMemory, Identity
from drink_agent.board.settings import BoardSettings
from drink_agent.board.streams import parse_url


def accept_board(settings: BoardSettings, memory: BoardMemory, tell: Callable[[str], None]) -> bool:
    """Remembers the board's adapter in place of the one before; a running agent heeds it at once.

    Args:
        settings: How the board is reached.
        memory: What is remembered.
        tell: Takes lines for a person.

    Returns:
        Whether it was done; False if the board's port is not there.

    Raises:
        OSError: It could not be written down.
    """
    try:
        known = memory.load()
        tell(f"until now: {_words(known)}")
    except AnotherBoardError as error:
        tell(str(error).rpartition(";")[0])
    url = parse_url(settings.url)
    adapter = None
    if url.scheme == "serial":
        try:
            adapter = memory.found(Path(url.path))
        except OSError as error:
            tell(f"{url.path}: {error.strerror}; plug the machine's board in first")
            return False
    if adapter is None:
        memory.forget()
        tell("from now on: the next board that answers")
    else:
        accepted = Identity(adapter)
        memory.save(accepted)
        tell(f"from now on: {_words(accepted)}")
    return True


def _words(identity: Identity | None) -> str:
    if identity is None or identity == Identity():
        return "any board"
    words = [] if identity.adapter is None else [str(identity.adapter)]
    if identity.greeting:
        words.append("with the login that it was known by")
    return ", ".join(words)
