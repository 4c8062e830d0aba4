"""Settings of the agents' links."""

from pydantic import BaseModel, ConfigDict, Field


class LinkSettings(BaseModel):
    """Limits of the agents' links."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    heartbeat_interval_s: int = Field(default=10, ge=1, le=300)
    """Seconds between an agent's heartbeats; default 10. After three without any message the link
    is cut: half a minute outlives a short stall, and a buyer still waits."""

    hello_limit_s: float = Field(default=10, gt=0, le=300)
    """Seconds that a new stream may take until its Hello; default 10, as for any handshake."""

    stats_interval_s: int = Field(default=60, ge=0, le=3600)
    """Seconds between two messages of an agent with its counters and sizes, which the frontend's
    metrics show; default 60. 0 asks for none. A message is about 100 bytes, whatever is sold."""

    command_ttl_s: float = Field(default=10, gt=0, le=600)
    """Seconds after its receipt in which an agent may start a command; default 10. Later a
    can would fall after its buyer has left."""

    two_agents_alarm_s: float = Field(default=3600, ge=1, le=86_400)
    """Seconds between alarms (TWO_AGENTS) and log lines about two agents that run as one machine's;
    default 3600. They may replace each other every minute; one alarm is enough."""

    outgoing_max: int = Field(default=256, ge=8, le=65_536)
    """Messages that may wait to be sent on one link; default 256. An agent that does not read is
    cut off then; one drop needs two."""

    retry_first_s: float = Field(default=0.05, gt=0, le=60)
    """Seconds until a database that did not answer is asked again, for a drop or to take a result;
    doubled each time up to `retry_interval_s`. Default 0.05, so that an outage costs a machine
    little more than its own length."""

    retry_interval_s: float = Field(default=2, gt=0, le=60)
    """Longest of these pauses; default 2. A thousand machines then ask 500 times a second, which
    a frontend answers from memory while it has no connection."""

    facts_kept_max: int = Field(default=64, ge=1, le=4_096)
    """Results that one link keeps while the database does not take them; default 64. A machine has
    one drop at its motor, and later results of earlier drops. Above it the link ends, and its
    agent repeats them on the next one."""

    journal_keep_s: float = Field(default=0.2, gt=0, le=5)
    """Seconds from the start of a motor until its agent reports how far its journal has come,
    unless the result says so before, and between two writes of such reports; default 0.2. It saves
    a message and a write for each drop of a quick board. An older copy of a journal is not
    recognised if its agent ends so soon after the start of a motor; see docs/guarantees.md."""

    ack_wait_s: float = Field(default=0.5, gt=0, le=2)
    """Seconds that the acknowledgement of a result waits for a message that takes it along; then it
    leaves alone. Default 0.5: the next command of a machine that is in use comes sooner, and an
    agent repeats a result only after ten seconds. An agent that stops waits for it two seconds."""

    messages_per_s: float = Field(default=200, ge=10, le=100_000)
    """Messages per second that one machine's agents may send in the long run; default 200. A drop
    needs one or two, so that a board without motors is not slowed; 200 cost a fiftieth of a core. A
    message counts once more for each 1,024 bytes. Above it the link is ended with RATE_LIMITED."""

    messages_burst: int = Field(default=2_000, ge=100, le=1_000_000)
    """Messages that it may send at once; default 2,000, ten seconds of the rate."""

    unexpected_per_s: float = Field(default=5, gt=0, le=10_000)
    """Messages per second that one machine's agents may send in the long run about drops whose
    first result is not expected; default 5. Each costs a commit. First results of dispatched drops
    are not counted. Above it the link is ended with RATE_LIMITED."""

    unexpected_burst: int = Field(default=200, ge=10, le=100_000)
    """Such messages at once; default 200, more than an agent repeats after a long outage."""

    opening_interval_s: float = Field(default=2, gt=0, le=600)
    """Seconds between two links of one machine in the long run; default 2. Each costs a commit.
    Above it a link is refused with RATE_LIMITED."""

    openings_burst: int = Field(default=60, ge=1, le=10_000)
    """Links of one machine at once; default 60, a cable that is loose for a minute."""

    status_interval_s: float = Field(default=1, gt=0, le=60)
    """Seconds between two changes of a board's status that are taken in the long run; default 1.
    Of more than that only the newest is taken, as soon as it may be: no sale waits for one."""

    statuses_burst: int = Field(default=60, ge=1, le=10_000)
    """Changes of a board's status at once; default 60, every slot of a machine once."""

    log_line_interval_s: float = Field(default=10, gt=0, le=3_600)
    """Seconds between two log lines that one machine's agents may cause in the long run beside
    those of drops; default 10. The next line has the number of those left out."""

    log_lines_burst: int = Field(default=30, ge=1, le=100_000)
    """Such lines at once; default 30, ten links of three lines."""
