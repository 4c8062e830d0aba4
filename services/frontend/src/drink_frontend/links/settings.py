"""Settings of the agents' links."""

from pydantic import BaseModel, ConfigDict, Field


class LinkSettings(BaseModel):
    """Limits of the agents' links."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    heartbeat_interval_s: int = Field(
        default=10,
        ge=1,
        le=300,
        description="Seconds between an agent's heartbeats. After three without any message the "
        "link is cut: half a minute outlives a short stall, and a buyer still waits.",
    )
    hello_limit_s: float = Field(
        default=10,
        gt=0,
        description="Seconds that a new stream may take until its Hello.",
    )
    command_ttl_s: float = Field(
        default=10,
        gt=0,
        le=600,
        description="Seconds after its receipt in which an agent may start a command; later a can "
        "would fall for a buyer who has left.",
    )
    outgoing_max: int = Field(
        default=256,
        ge=8,
        description="Messages that may wait to be sent on one link. An agent that does not read "
        "is cut off at this many; one drop needs two.",
    )
    retry_interval_s: float = Field(
        default=2,
        gt=0,
        description="Seconds until the dispatcher asks a database again that did not answer, and "
        "between looks without any wake-up.",
    )
