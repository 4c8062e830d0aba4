"""Everything that a session can say in one line, whatever the dialect."""

from enum import StrEnum, auto


class Phrase(StrEnum):
    """Everything that is said in one line; each dialect has a text for each.

    Facts that a text may use are named in braces here.
    """

    # Said on success.
    GREETING = auto()
    """{name} of the machine, or of the service; {version}."""
    PASSWORD_WANTED = auto()
    BALANCE = auto()
    """{credits} that can be spent."""
    USERNAME = auto()
    """{name}."""
    MACHINE_CHOSEN = auto()
    """{name} of the machine."""
    SLOTS_LISTED = auto()
    """{count}."""
    MACHINES_LISTED = auto()
    """{count}."""
    DROPPED = auto()
    """{credits} left."""
    TEMPERATURE = auto()
    """{degrees} Fahrenheit."""
    CREDITS_SENT = auto()
    """{credits} left."""
    CREDITS_ADDED = auto()
    SAVED = auto()
    USER_CREATED = auto()
    USER_REMOVED = auto()
    ADMIN_FLAG_SET = auto()
    USER_KNOWN = auto()
    USER_NOT_KNOWN = auto()
    IS_ADMIN = auto()
    IS_NOT_ADMIN = auto()
    PASSWORD_CHANGED = auto()
    NOTED = auto()
    LOCATION = auto()
    """{place}."""
    ACCOUNTS_READY = auto()
    VERSION = auto()
    """{version}."""
    UPTIME = auto()
    """{since}, as HTTP writes dates."""
    SERVER_STATE = auto()
    """{json} of all machines and whether they can be reached."""
    STOPPING = auto()
    REBOOTING = auto()
    GOODBYE = auto()

    # Refused because of what was typed.
    UNKNOWN_COMMAND = auto()
    GARBLED = auto()
    """The line is too long, or not text."""
    WRONG_ARITY = auto()
    NOT_IMPLEMENTED = auto()
    BAD_PARAMETERS = auto()
    BAD_ADMIN_FLAG = auto()
    BAD_COST = auto()
    BAD_CREDITS = auto()
    BAD_AMOUNT = auto()
    """Of credits to send."""
    BAD_DELAY = auto()
    BAD_ENABLED_FLAG = auto()
    BAD_DROPPED_COUNT = auto()
    BAD_PASSWORD = auto()
    BAD_QUANTITY = auto()
    BAD_SLOT = auto()
    BAD_REBOOT_FLAG = auto()

    # Refused because of who asks.
    LOGIN_NEEDED = auto()
    USER_NEEDED = auto()
    LOGGED_IN_ALREADY = auto()
    """PASS without a new USER."""
    WRONG_PASSWORD = auto()
    WRONG_IBUTTON = auto()
    THROTTLED = auto()
    DENIED = auto()
    LAST_ADMINISTRATOR = auto()

    # Refused because of what there is.
    NO_MACHINE = auto()
    UNKNOWN_MACHINE = auto()
    NO_MACHINES = auto()
    UNKNOWN_SLOT = auto()
    UNKNOWN_USER = auto()
    UNKNOWN_RECIPIENT = auto()
    USER_EXISTS = auto()
    POOR = auto()
    SLOT_EMPTY = auto()
    SLOT_DISABLED = auto()
    NO_SLOTS = auto()
    MACHINE_BUSY = auto()
    UNREACHABLE = auto()
    NO_TEMPERATURE = auto()

    # How a drop can end other than well.
    DROP_FAILED = auto()
    """The item did not fall; {credits} that can be spent."""
    OUTCOME_UNKNOWN = auto()
    """The credits stay held; {drop}."""
    DROP_IN_PROGRESS = auto()

    # What goes wrong here.
    FAULT = auto()
    NOT_READY = auto()
    STOCK_UNREADABLE = auto()
    TRANSFER_FAILED = auto()
    USER_NOT_CREATED = auto()
    USER_NOT_REMOVED = auto()
    ADMIN_FLAG_NOT_SET = auto()

    # Said and then hung up.
    SESSIONS_FULL = auto()
    IDLE = auto()


class Refused(Exception):  # noqa: N818  a refusal is an answer, not a failure of ours
    """A command that ends in a phrase of refusal."""

    def __init__(self, phrase: Phrase) -> None:
        super().__init__(phrase)
        self.phrase = phrase
