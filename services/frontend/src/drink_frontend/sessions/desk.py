"""What all connections of a listener share."""

from dataclasses import dataclass

from drink_frontend.sessions.buffers import Buffers
from drink_frontend.sessions.codec import LineDecoder
from drink_frontend.sessions.commands import begins_command
from drink_frontend.sessions.dialects import Dialect
from drink_frontend.sessions.greeter import Greeter
from drink_frontend.sessions.roll import Roll
from drink_frontend.sessions.services import Services
from drink_frontend.sessions.settings import ListenerSettings, SessionSettings
from drink_frontend.sessions.turns import Turns


@dataclass(frozen=True, slots=True)
class Desk:
    """What all connections of a listener share.

    Attributes:
        listener: The listener's settings.
        settings: The settings of all listeners.
        dialect: How it speaks.
        services: What sessions use.
        greeter: Says who welcomes.
        roll: All connections.
        buffers: What all of them hold.
        turns: Of those that have more to do than their share.
    """

    listener: ListenerSettings
    settings: SessionSettings
    dialect: Dialect
    services: Services
    greeter: Greeter
    roll: Roll
    buffers: Buffers
    turns: Turns

    def decoder(self) -> LineDecoder:
        """What makes lines of a client's bytes."""
        settings, dialect = self.settings, self.dialect
        if not dialect.silence_ends_line:
            return LineDecoder(settings.line_bytes_max, settings.endless_line_bytes_max)
        return LineDecoder(
            settings.line_bytes_max,
            settings.endless_line_bytes_max,
            lambda line, more: begins_command(line, more, dialect.heed),
        )
