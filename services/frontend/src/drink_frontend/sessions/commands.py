"""The one command set behind all dialects: its grammar, and who may use what."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from itertools import takewhile

from drink_frontend.domain.ledger import CREDITS_MAX
from drink_frontend.domain.limits import DELAY_MAX_S
from drink_frontend.domain.stock import STOCK_MAX
from drink_frontend.sessions.phrases import Phrase, Refused

Value = str | int | bool
"""An argument once it is understood."""


class Verb(StrEnum):
    """A command's name; any case is taken on the wire."""

    USER = "USER"
    PASS = "PASS"  # noqa: S105  the name of a command
    AUTH = "AUTH"
    IBUTTON = "IBUTTON"
    WHOAMI = "WHOAMI"
    GETBALANCE = "GETBALANCE"
    MACHINE = "MACHINE"
    MACHINES = "MACHINES"
    STAT = "STAT"
    DROP = "DROP"
    RAND = "RAND"
    TEMP = "TEMP"
    SENDCREDITS = "SENDCREDITS"
    ADDCREDITS = "ADDCREDITS"
    EDITSLOT = "EDITSLOT"
    ADDUSER = "ADDUSER"
    RMUSER = "RMUSER"
    SETADMIN = "SETADMIN"
    EDITUSER = "EDITUSER"
    ISVALIDUSER = "ISVALIDUSER"
    QUERYADMIN = "QUERYADMIN"
    LOG = "LOG"
    LOCATION = "LOCATION"
    CHPASS = "CHPASS"
    CODE = "CODE"
    ACCTMGRCHK = "ACCTMGRCHK"
    VERSION = "VERSION"
    UPTIME = "UPTIME"
    SERVERSTAT = "SERVERSTAT"
    SHUTDOWN = "SHUTDOWN"
    QUIT = "QUIT"


class Access(Enum):
    """Who may use a command."""

    ANYONE = auto()
    USER = auto()
    ADMIN = auto()


Parameter = Callable[[str], Value]
"""Understands one argument, or raises Refused."""


def text(argument: str) -> str:
    """Anything; whoever gets it checks it."""
    return argument


_NUMBER = re.compile(r"-?[0-9]{1,9}")


def _whole(phrase: Phrase, lowest: int, highest: int) -> Parameter:
    def whole(argument: str) -> int:
        # Only ASCII digits: int() would also take blanks, underscores and the digits of any script.
        if not _NUMBER.fullmatch(argument):
            raise Refused(phrase)
        number = int(argument)
        if not lowest <= number <= highest:
            raise Refused(phrase)
        return number

    return whole


def _flag(phrase: Phrase) -> Parameter:
    def flag(argument: str) -> bool:
        if argument.lower() not in {"true", "false"}:
            raise Refused(phrase)
        return argument.lower() == "true"

    return flag


def _reboot(argument: str) -> bool:
    if argument != "-r":
        raise Refused(Phrase.BAD_REBOOT_FLAG)
    return True


_NUMBER_MAX = 999_999_999
_slot = _whole(Phrase.BAD_SLOT, 0, _NUMBER_MAX)
_delay = _whole(Phrase.BAD_DELAY, 0, DELAY_MAX_S)
_admin_flag = _flag(Phrase.BAD_ADMIN_FLAG)


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a command looks like.

    Attributes:
        access: Who may use it.
        parameters: What its arguments are, in order.
        optional: How many of the last ones may be missing.
        secret: Whether its arguments must never be logged.
        whole_rest: Whether its one argument is the rest of the line, blanks and quotes included.
        any_arguments: Whether it takes and ignores any arguments.
        shows: Whether it only shows something, so that what it shows may come from memory.
        machine: Whether it shows the session's machine.
    """

    access: Access
    parameters: tuple[Parameter, ...] = ()
    optional: int = 0
    secret: bool = False
    whole_rest: bool = False
    any_arguments: bool = False
    shows: bool = False
    machine: bool = False


_ANYONE, _USER, _ADMIN = Access.ANYONE, Access.USER, Access.ADMIN

GRAMMAR: Mapping[Verb, Grammar] = {
    Verb.USER: Grammar(_ANYONE, (text,)),
    Verb.PASS: Grammar(_ANYONE, (text,), secret=True),
    Verb.AUTH: Grammar(_ANYONE, (text, text), secret=True),
    Verb.IBUTTON: Grammar(_ANYONE, (text,), secret=True),
    Verb.WHOAMI: Grammar(_USER, shows=True),
    Verb.GETBALANCE: Grammar(_USER, (text,), optional=1, shows=True),
    Verb.MACHINE: Grammar(_ANYONE, (text,)),
    Verb.MACHINES: Grammar(_ANYONE),
    Verb.STAT: Grammar(_ANYONE, (_slot,), optional=1, shows=True, machine=True),
    Verb.DROP: Grammar(_USER, (_slot, _delay), optional=1),
    Verb.RAND: Grammar(_USER, (_delay,), optional=1),
    Verb.TEMP: Grammar(_ANYONE, shows=True, machine=True),
    Verb.SENDCREDITS: Grammar(_USER, (_whole(Phrase.BAD_AMOUNT, 1, CREDITS_MAX), text)),
    Verb.ADDCREDITS: Grammar(_ADMIN, (text, _whole(Phrase.BAD_CREDITS, -CREDITS_MAX, CREDITS_MAX))),
    Verb.EDITSLOT: Grammar(
        _ADMIN,
        (
            _slot,
            text,
            _whole(Phrase.BAD_COST, 0, CREDITS_MAX),
            _whole(Phrase.BAD_QUANTITY, 0, STOCK_MAX),
            _whole(Phrase.BAD_DROPPED_COUNT, 0, _NUMBER_MAX),
            _flag(Phrase.BAD_ENABLED_FLAG),
        ),
    ),
    Verb.ADDUSER: Grammar(_ADMIN, (text, text), optional=1, secret=True),
    Verb.RMUSER: Grammar(_ADMIN, (text,)),
    Verb.SETADMIN: Grammar(_ADMIN, (text, _admin_flag)),
    Verb.EDITUSER: Grammar(
        _ADMIN, (text, _whole(Phrase.BAD_CREDITS, 0, _NUMBER_MAX), _admin_flag), optional=1
    ),
    Verb.ISVALIDUSER: Grammar(_ADMIN, (text,)),
    Verb.QUERYADMIN: Grammar(_ADMIN, (text,)),
    Verb.LOG: Grammar(_ADMIN, (text,), optional=1, whole_rest=True),
    Verb.LOCATION: Grammar(_ANYONE, shows=True, machine=True),
    Verb.CHPASS: Grammar(_USER, (text, text), secret=True),
    Verb.CODE: Grammar(_ANYONE, any_arguments=True),
    Verb.ACCTMGRCHK: Grammar(_ANYONE),
    Verb.VERSION: Grammar(_ANYONE),
    Verb.UPTIME: Grammar(_ANYONE),
    Verb.SERVERSTAT: Grammar(_ANYONE),
    Verb.SHUTDOWN: Grammar(_ADMIN, (_reboot,), optional=1),
    Verb.QUIT: Grammar(_ANYONE, any_arguments=True),
}
"""Every command. Whoever adds one finds everything about its form here."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was typed, its arguments not yet understood."""

    verb: Verb
    arguments: tuple[str, ...]

    @property
    def grammar(self) -> Grammar:
        """What it should look like."""
        return GRAMMAR[self.verb]

    @property
    def arity_fits(self) -> bool:
        """Whether it has as many arguments as it should."""
        grammar = self.grammar
        most = len(grammar.parameters)
        return grammar.any_arguments or most - grammar.optional <= len(self.arguments) <= most

    def values(self) -> tuple[Value, ...]:
        """Its arguments, understood. To be asked only if the arity fits.

        Raises:
            Refused: one cannot be what it should be; the first such one counts.
        """
        pairs = zip(self.grammar.parameters, self.arguments, strict=False)
        return tuple(parameter(argument) for parameter, argument in pairs)

    @property
    def masked(self) -> str:
        """For logs: the verb, and its arguments unless they are secret."""
        shown = ["****"] if self.grammar.secret and self.arguments else self.arguments
        return " ".join([self.verb, *shown])


_BARE: Mapping[str, Command] = {verb.value: Command(verb, ()) for verb in Verb}
"""What most lines are: a verb alone."""

_NAMES = frozenset(verb.value.encode() for verb in Verb)
_NAME_BYTES_MAX = max(map(len, _NAMES))

_WORD = re.compile(r'"(?P<quoted>[^"]*)"(?= |$)|(?P<plain>[^ ]+)')


def words(line: str) -> list[str]:
    """The words of a line; one in double quotes may hold blanks.

    A quote that is not closed is an ordinary character, since passwords were never quoted.
    """
    return [
        match["plain"] if match["quoted"] is None else match["quoted"]
        for match in _WORD.finditer(line)
    ]


@dataclass(frozen=True, slots=True)
class Heed:
    """Which arguments a dialect looks at. The others are ignored, as its servers did.

    Attributes:
        most: For some verbs, the most arguments that count.
        numbers: Verbs of whose arguments after the first only whole numbers count, up to the first
            that is none.
    """

    most: Mapping[Verb, int] = field(default_factory=dict)
    numbers: frozenset[Verb] = frozenset()

    def of(self, verb: Verb, arguments: list[str]) -> tuple[str, ...]:
        """Those of a command's arguments that count."""
        if verb in self.numbers:
            rest = takewhile(_NUMBER.fullmatch, arguments[1:])
            arguments = [*arguments[:1], *rest]
        return tuple(arguments[: self.most.get(verb, len(arguments))])


HEED_ALL = Heed()
"""Every argument counts."""


def parse(line: str, heed: Heed = HEED_ALL) -> Command | None:
    """The command in a line; None if there is no such command.

    Args:
        line: Not blank.
        heed: Which arguments count.
    """
    if (bare := _BARE.get(line)) is not None:
        return bare
    name, _, rest = line.strip(" ").partition(" ")
    try:
        # upper() turns letters like the long s into ASCII ones.
        verb = Verb(name.upper() if name.isascii() else "")
    except ValueError:
        return None
    if GRAMMAR[verb].whole_rest:
        stripped = rest.strip(" ")
        return Command(verb, (stripped,) if stripped else ())
    return Command(verb, heed.of(verb, words(rest)))


_ENDS_IN_PASSWORD = frozenset({Verb.PASS, Verb.AUTH, Verb.CHPASS, Verb.ADDUSER})
"""Commands whose last argument may go on with anything, the name of a command too."""


def begins_command(line: bytes, more: bytes, heed: Heed = HEED_ALL) -> bool:
    """Whether `more` begins the next command, though `line` before it has no end.

    So it is where `more` begins with the name of a command, `line` is a complete command without it
    and does not end in a password, of which `more` may be the rest.

    Args:
        line: A line that has begun.
        more: What has arrived after it, at once.
        heed: As for `parse`.
    """
    first = more[: _NAME_BYTES_MAX + 1].replace(b"\n", b" ").partition(b" ")[0]
    if first.upper() not in _NAMES:
        return False
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return False
    command = parse(text, heed) if text.strip(" ") else None
    if command is None or not command.arity_fits:
        return False
    parameters = len(command.grammar.parameters)
    takes_more = len(command.arguments) < min(parameters, heed.most.get(command.verb, parameters))
    if command.verb in _ENDS_IN_PASSWORD and not takes_more:
        return False
    # After a blank an argument is still to come.
    return not text.endswith(" ") or not (takes_more or command.grammar.whole_rest)
