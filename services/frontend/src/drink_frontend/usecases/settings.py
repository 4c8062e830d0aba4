"""Settings of drops and accounts."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from drink_frontend.system.calendar import Calendar


class DropSettings(BaseModel):
    """Limits of drops."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    waiting_max: int = Field(default=20, ge=1, le=1_000)
    """Most drops that may wait for one machine; default 20. At 3.5 s of motor time each the last
    buyer waits for 70 s; more would only lengthen the queue."""

    scheduled_max: int = Field(default=100, ge=1, le=10_000)
    """Most delayed drops of one machine; default 100. They delay no other drop, but their
    credits and cans are reserved, and all may become due at once."""

    waiting_per_account_max: int = Field(default=5, ge=1, le=1_000)
    """Most drops of one account that may wait for one machine, delayed ones included; default 5, a
    round for friends. It takes four accounts to fill a queue of 20. Above it a drop is refused with
    TOO_MANY_WAITING."""

    waiting_limit_s: float = Field(default=120, gt=0, le=86_400)
    """Seconds that a reserved drop may wait for its machine before it ends NOT_DISPENSED and its
    credits are free again; default 120. That outlasts a full queue, and an agent's restart."""

    silence_limit_s: float = Field(default=90, gt=0, le=86_400)
    """Seconds after its dispatch that a drop without an outcome becomes UNKNOWN; default 90: 10 s
    for the command to start, 10 s for the board to answer, and a minute in which an agent can
    restart and connect. Its credits stay held."""

    look_interval_s: float = Field(default=1, gt=0, le=60)
    """Seconds between looks at what is overdue; default 1, so no limit is overrun by much more."""

    cancels_per_s: float = Field(default=5, gt=0, le=10_000)
    """Drops per second that one account may cancel in the long run; default 5. A drop that is
    scheduled and cancelled costs no credits, and its 1.5 KB stay in the database for ever. Above it
    a cancellation is refused with RATE_LIMITED."""

    cancels_burst: int = Field(default=300, ge=1, le=100_000)
    """The same at once, after a quiet time; default 300."""

    refund_minutes: int = Field(default=0, ge=0, le=1_440)
    """Minutes after its outcome in which the buyer of a paid drop may give it back, without an
    administrator; default 0, never: nobody sees whether the can came back. Administrators may
    refund a drop at any time."""

    reports_max: int = Field(default=3, ge=1, le=100)
    """Reports of its buyer that are kept of a drop; default 3: what was seen, and two corrections.
    Each stays in the audit log for ever. Above it a report is refused with DROP_REPORTED."""


class AlarmSettings(BaseModel):
    """Limits of the records that one machine's agents can cause without limit."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    records_interval_s: float = Field(default=120, gt=0, le=86_400)
    """Seconds between two audit records of one kind that one machine's agents may cause in the long
    run beside the outcomes of drops; default 120: 5,000 a week, at most 75 MB of all kinds. Events
    above it are counted in `admin alarms` and not recorded: audit records are never deleted."""

    records_burst: int = Field(default=200, ge=1, le=100_000)
    """Such records at once; default 200: all records of a bad day of an honest machine."""

    keep_s: float = Field(default=5, gt=0, le=300)
    """Seconds between two writes of the counts to the database; default 5. A process that is killed
    loses the counts since the last write."""


class MonitorSettings(BaseModel):
    """Alarms that the frontend raises and closes itself.

    A condition has to last for the seconds of its kind before its alarm is raised, and to be over
    for as long as said before it is closed. Of several frontends on one database the one that
    started first looks; each looks at its own certificates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    interval_s: float = Field(default=10, gt=0, le=600)
    """Seconds between two looks at all machines; default 10. A look that changes nothing writes
    nothing."""

    offline_raise_s: float = Field(default=180, ge=0, le=86_400)
    """Seconds without an agent until MACHINE_OFFLINE; default 180: an agent's computer restarts in
    less."""

    offline_clear_s: float = Field(default=60, ge=0, le=86_400)
    """Seconds with an agent until it is closed; default 60."""

    board_raise_s: float = Field(default=60, ge=0, le=86_400)
    """Seconds without an answer of the board until BOARD_DOWN; default 60."""

    board_clear_s: float = Field(default=60, ge=0, le=86_400)
    """Seconds with answers until it is closed; default 60."""

    stock_raise_s: float = Field(default=60, ge=0, le=86_400)
    """Seconds at or below its mark until SLOT_LOW, and without an item until SLOT_EMPTY; default
    60: a drop that fails gives its item back in less."""

    stock_clear_s: float = Field(default=60, ge=0, le=86_400)
    """Seconds with items enough until these are closed; default 60."""

    low_stock_mark: int = Field(default=0, ge=0, le=10_000)
    """Items at which a slot without a mark of its own is low; default 0, never."""

    low_stock_difference: int = Field(default=2, ge=1, le=10_000)
    """Items above its mark at which a slot is no longer low, or as many as it holds; default 2."""

    sensor_raise_s: float = Field(default=120, ge=0, le=86_400)
    """Seconds that a slot with items is reported empty by its sensor until SLOT_DISABLED; default
    120."""

    sensor_clear_s: float = Field(default=60, ge=0, le=86_400)
    """Seconds without that until it is closed; default 60."""

    too_warm_celsius: float = Field(default=12, ge=-100, le=200)
    """Degrees Celsius from which a machine is too warm; default 12. A house without cooling sets
    200."""

    too_cold_celsius: float = Field(default=-2, ge=-100, le=200)
    """Degrees Celsius down to which a machine is too cold; default -2, where drinks begin to
    freeze."""

    temperature_difference: float = Field(default=1, ge=0, le=50)
    """Degrees below the upper or above the lower mark at which it is over; default 1, more than a
    thermometer flickers by."""

    temperature_raise_s: float = Field(default=900, ge=0, le=86_400)
    """Seconds beyond its mark until TOO_WARM or TOO_COLD; default 900: a door that is open for
    filling warms a machine for less."""

    temperature_clear_s: float = Field(default=300, ge=0, le=86_400)
    """Seconds behind its mark until it is closed; default 300."""

    disk_free_percent: float = Field(default=5, ge=0, le=100)
    """Percent of an agent's disk, free at most, that raise AGENT_DISK; default 5. An agent that
    cannot write its journal dispenses nothing. It is closed 2 percent above that."""

    disk_wait_s: float = Field(default=300, ge=0, le=86_400)
    """Seconds until it is raised, and without that until it is closed; default 300."""

    certificate_days: float = Field(default=21, ge=0, le=3_650)
    """Days before the end of a certificate with which a frontend serves until
    CERTIFICATE_EXPIRES; default 21: those that are renewed by themselves have more."""

    age_wait_s: float = Field(default=300, ge=0, le=86_400)
    """Seconds that a certificate or the newest backup is too old until its alarm is raised, and is
    not until it is closed; default 300: a clock that jumps is set right in less."""

    books_hour: int = Field(default=4, ge=-1, le=23)
    """Hour of the day, in `statistics.time_zone`, in which the books are checked as `admin verify`
    does, by a process with the lowest priority; default 4, -1 for never. What it finds is
    BOOKS_UNSOUND."""

    books_limit_s: float = Field(default=3_600, gt=0, le=86_400)
    """Seconds after which that process is ended, and the books count as not checked; default
    3,600."""

    backup_hours: float = Field(default=0, ge=0, le=87_600)
    """Hours without a backup until BACKUP_OLD; default 0, never. `admin backup` records each one;
    whoever backs the database up in another way runs `admin backed-up` after it."""

    @model_validator(mode="after")
    def _check_marks(self) -> Self:
        warm, cold = self.too_warm_celsius, self.too_cold_celsius
        if cold + self.temperature_difference >= warm:
            raise ValueError("too_cold_celsius must be below too_warm_celsius")
        return self


class EventSettings(BaseModel):
    """The log of events that `WatchEvents` reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    keep_hours: int = Field(default=168, ge=1, le=87_600)
    """Hours that events are kept; default 168, a week: a program that was away for longer is told
    CURSOR_EXPIRED and reads lists instead. A drop leaves some 4 KB of events, so that a thousand
    drops a day take 28 MB."""

    memory_bytes: int = Field(default=4_194_304, ge=65_536, le=1_073_741_824)
    """Bytes of the newest events that are kept in memory for all watchers together, as long as the
    database takes for them; default 4,194,304, some thousand drops. A watcher that is further
    behind is told WATCH_TOO_SLOW, and goes on from its cursor."""


class StatisticsSettings(BaseModel):
    """The sums that `StatisticsService` shows."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    time_zone: str = "UTC"
    """The house's time zone for days and hours of statistics, a name of the tz database such as
    `Europe/Berlin`; default `UTC`. At the end of daylight saving the hour that happens twice counts
    as one hour, at its beginning a day lacks an hour. What is counted stays in the zone in which it
    was counted: after a change run `drink-frontend admin statistics rebuild`."""

    interval_s: float = Field(default=2, gt=0, le=3_600)
    """Seconds from a change to the next update of the sums; default 2. All drops of that time are
    counted together, apart from the sales: the longer, the less work for each drop."""

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str) -> str:
        Calendar(value)
        return value


class TemperatureSettings(BaseModel):
    """Temperatures of machines through time, which `ListTemperatures` shows."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    fine_days: int = Field(default=14, ge=1, le=366)
    """Days for which each five minutes are kept; default 14: 4,032 rows of a machine, some 300 KB.
    Of what is older each hour is kept."""

    keep_days: int = Field(default=400, ge=1, le=36_600)
    """Days for which hours are kept; default 400, so that a summer can be compared with the last
    one: 9,600 rows of a machine, some 700 KB."""


class PresenceSettings(BaseModel):
    """Detection of other frontends on the same database."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    beat_interval_s: float = Field(default=5, gt=0, le=60)
    """Seconds between two heartbeats of a frontend in the database; default 5. A frontend without a
    heartbeat during three of another's is considered dead: within 20 s the machines of its agents
    are no longer shown as reachable. Only PostgreSQL allows several frontends."""


class LoginSettings(BaseModel):
    """Rates at which passwords and iButtons can be guessed. Failed attempts wait for their turn.

    A place is one IPv4 address or one IPv6 /64, a site one IPv4 address or one IPv6 /48. Each
    frontend counts for itself, in memory.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    failures_free: int = Field(default=5, ge=1, le=1_000)
    """Wrong attempts for one account from one place that cost no waiting; default 5. People
    mistype."""

    interval_s: float = Field(default=5, gt=0, le=3_600)
    """Seconds after which one account has one more attempt from one place; default 5, which is 720
    guesses an hour. The owner of the account waits as well at the place of a guesser."""

    place_failures_free: int = Field(default=20, ge=1, le=100_000)
    """The same for all accounts together that have not logged in from a place; default 20. Many
    people behind one address mistype more."""

    place_interval_s: float = Field(default=2, gt=0, le=3_600)
    """Seconds until one more of these; default 2, which is 1,800 an hour."""

    known_failures_free: int = Field(default=60, ge=1, le=100_000)
    """The same for all accounts together that have logged in from that place before; default 60.
    Guesses at other names do not count here."""

    known_interval_s: float = Field(default=1, gt=0, le=3_600)
    """Seconds until one more of these; default 1, which is 3,600 an hour."""

    account_failures_free: int = Field(default=20, ge=1, le=100_000)
    """The same for one account from all places together from which it has not logged in; default
    20. It is for guessers with many addresses."""

    account_interval_s: float = Field(default=5, gt=0, le=3_600)
    """Seconds until one more of these; default 5, which is 720 an hour."""

    site_failures_free: int = Field(default=3, ge=1, le=1_000)
    """Wrong attempts for one account from one site that are not counted for the account as a whole;
    default 3. So its owner can log in at a new address while others guess from a thousand."""

    site_interval_s: float = Field(default=1_200, gt=0, le=86_400)
    """Seconds until one more of these; default 1,200, which is 3 an hour."""

    wait_max_s: float = Field(default=60, ge=0, le=600)
    """Longest wait for a turn in seconds; default 60, in which 12 guesses at one account and 30 of
    one place have their turns. An attempt that would wait longer is refused with RATE_LIMITED."""

    known_max: int = Field(default=10_000, ge=1, le=1_000_000)
    """Pairs of account and place remembered after a login; default 10,000, some 2 MB."""


class KioskSettings(BaseModel):
    """Logins with cards at kiosks. Each frontend counts for itself, in memory."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    pairing_s: int = Field(default=600, ge=60, le=86_400)
    """Seconds that a pairing code is good for; default 600: the way to the kiosk, and its start."""

    login_s: int = Field(default=60, ge=10, le=600)
    """Seconds in which somebody who has logged in at a kiosk can buy; default 60. Who leaves the
    kiosk without logging out leaves it to the next person for as long."""

    follow_s: int = Field(default=300, ge=60, le=3_600)
    """Seconds after that in which the login shows and cancels the drops that it has bought; default
    300, more than a drop waits for its machine."""

    reads_burst: int = Field(default=10, ge=1, le=1_000)
    """Cards that one kiosk may read at once, known or not; default 10: a queue of people."""

    reads_interval_s: float = Field(default=3, gt=0, le=3_600)
    """Seconds after which a kiosk may read one more; default 3, faster than people buy. Above it a
    card is refused with RATE_LIMITED."""

    card_burst: int = Field(default=5, ge=1, le=1_000)
    """How often one card may be read at once, at all kiosks; default 5."""

    card_interval_s: float = Field(default=10, gt=0, le=3_600)
    """Seconds after which a card may be read once more; default 10."""

    failures_free: int = Field(default=20, ge=1, le=1_000)
    """Cards that log nobody in and that one kiosk may read at once; default 20. Above it an alarm
    is raised, and the kiosk reads no card until the next one is allowed."""

    failures_interval_s: float = Field(default=120, gt=0, le=86_400)
    """Seconds after which it may read one more of these; default 120, which is 30 an hour. Of the
    numbers with 8 digits one in four million is a card in a house of 1,000 cards: whoever guesses
    them with a stolen token finds one in 16 years."""

    read_s: int = Field(default=5, ge=1, le=60)
    """Seconds after which a card that was held to the reader of a machine's agent logs nobody in
    any more; default 5: who waited for longer has gone, or holds the card to the reader again."""

    card_code_s: int = Field(default=300, ge=60, le=3_600)
    """Seconds that the code is good with which the owner of an unknown card adds it; default 300:
    time to take out a phone and to log in."""

    chip_digits_min: int = Field(default=8, ge=8, le=32)
    """Fewest hexadecimal digits of a chip's number that logs in at a kiosk; default 8, every chip.
    Most houses have chips of 8 digits (4 bytes). Anybody can copy one who was close to it, and many
    are counted up by their makers; but they buy only at a kiosk, in front of people, for a minute.
    14 refuses them: such chips log nobody in and cannot be added."""


class AccountSettings(BaseModel):
    """Limits of accounts."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    token_ttl_s: int = Field(default=2_592_000, ge=60, le=31_536_000)
    """Seconds that a bearer token is valid; default 2,592,000 (30 days), as long as a phone
    stays logged in without asking."""

    notify_token_ttl_s: int = Field(default=63_072_000, ge=60, le=315_360_000)
    """The same for a token that may only lease and settle notifications; default 63,072,000 (two
    years): nobody logs a notifier in again, and one that cannot log in tells nobody of it."""

    password_threads: int = Field(default=1, ge=1, le=64)
    """Password hashes computed at a time; default 1. Each takes about 50 ms of up to four cores,
    and 64 MiB of memory, a quarter of what a small container has."""

    password_waiting_max: int = Field(default=200, ge=1, le=10_000)
    """Most logins that may wait for their hash; default 200, of which the last one waits for about
    10 s. Above it logins are refused with RATE_LIMITED."""

    password_niceness: int = Field(default=5, ge=0, le=19)
    """How much lower the priority of the threads that compute hashes is than that of the rest of
    the process, in nice levels; default 5, a third of the weight. So logins, right and wrong ones,
    use the processor time that drops leave; 0 gives both the same priority."""

    card_key_file: Path | None = None
    """File with the key under which the numbers of cards are hashed, 32 to 1,024 bytes; unset: no
    cards can be added. All frontends of a database have the same key, and it is not in the
    database's backups: without the key nobody can find the short number of a card by trying all
    numbers, and with another key no card logs in."""

    transfers_per_s: float = Field(default=5, gt=0, le=10_000)
    """Transfers of credits per second that one account may make in the long run; default 5. Two
    accounts can send the same credit to and fro, and each transfer's 350 bytes stay in the database
    for ever. Above it a transfer is refused with RATE_LIMITED."""

    transfers_burst: int = Field(default=300, ge=1, le=100_000)
    """The same at once, after a quiet time; default 300."""

    logins: LoginSettings = Field(default_factory=LoginSettings)
    """Rates at which passwords, iButtons and cards can be guessed."""

    kiosks: KioskSettings = Field(default_factory=KioskSettings)
    """Logins with cards at kiosks."""
