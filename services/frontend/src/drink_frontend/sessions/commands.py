"""The command set of all dialects: names, grammar, access, and reply codes of errors.

A new command is one row of `Verb`, and a handler in `user_commands` or `admin_commands`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from itertools import takewhile
from typing import NamedTuple, Self

from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountNotFoundError,
    BalanceChangedError,
    CredentialsInvalidError,
    DrinkError,
    FieldInvalidError,
    MachineNotFoundError,
    StorageUnavailableError,
)
from drink_frontend.domain.ledger import CREDITS_MAX
from drink_frontend.domain.limits import DELAY_MAX_S
from drink_frontend.domain.stock import STOCK_MAX
from drink_frontend.sessions.reply_codes import ERRORS, FIELD_ERRORS, Refused, ReplyCode

Value = str | int | bool
"""A parsed argument."""


class Access(Enum):
    """Who may use a command."""

    ANYONE = auto()
    USER = auto()
    ADMIN = auto()


Parameter = Callable[[str], Value]
"""Parses one argument, or raises Refused."""


def text(argument: str) -> str:
    """Any text; the use case checks it."""
    return argument


_NUMBER = re.compile(r"-?[0-9]{1,9}")


def _whole(code: ReplyCode, lowest: int, highest: int) -> Parameter:
    def whole(argument: str) -> int:
        # Only ASCII digits: int() would also take blanks, underscores and the digits of any script.
        if not _NUMBER.fullmatch(argument):
            raise Refused(code)
        number = int(argument)
        if not lowest <= number <= highest:
            raise Refused(code)
        return number

    return whole


def _flag(code: ReplyCode) -> Parameter:
    def flag(argument: str) -> bool:
        if argument.lower() not in {"true", "false"}:
            raise Refused(code)
        return argument.lower() == "true"

    return flag


def _reboot(argument: str) -> bool:
    if argument != "-r":
        raise Refused(ReplyCode.BAD_REBOOT_FLAG)
    return True


_NUMBER_MAX = 999_999_999
_slot = _whole(ReplyCode.BAD_SLOT, 0, _NUMBER_MAX)
_delay = _whole(ReplyCode.BAD_DELAY, 0, DELAY_MAX_S)
_admin_flag = _flag(ReplyCode.BAD_ADMIN_FLAG)


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a command looks like.

    Attributes:
        access: Who may use it.
        parameters: Parsers of its arguments, in order.
        optional: How many of the last arguments may be missing.
        secret: Whether its arguments must never be logged.
        whole_rest: Whether its one argument is the rest of the line, blanks and quotes included.
        any_arguments: Whether it takes and ignores any arguments.
        shows_machine: Whether its reply is made from the session's machine alone.
        errors: Reply codes of errors where they differ from `reply_codes.ERRORS`.
        unavailable: Reply code while the database does not answer. A command that changes something
            has one that does not exclude that the change was committed.
    """

    access: Access
    parameters: tuple[Parameter, ...] = ()
    optional: int = 0
    secret: bool = False
    whole_rest: bool = False
    any_arguments: bool = False
    shows_machine: bool = False
    errors: Mapping[type[DrinkError], ReplyCode] = field(default_factory=dict)
    unavailable: ReplyCode = ReplyCode.NOT_READY

    def code_for(self, error: DrinkError) -> ReplyCode | None:
        """The reply code of an error; None if the error is a fault of the service."""
        if isinstance(error, FieldInvalidError):
            return FIELD_ERRORS.get(str(error.facts["field"]), ReplyCode.BAD_PARAMETERS)
        if isinstance(error, StorageUnavailableError):
            return self.unavailable
        for kind in type(error).__mro__:
            if code := self.errors.get(kind) or ERRORS.get(kind):
                return code
        return None


_ANYONE, _USER, _ADMIN = Access.ANYONE, Access.USER, Access.ADMIN


class Verb(StrEnum):
    """Every command, by its name on the wire in upper case, with its grammar.

    Attributes:
        grammar: What the command looks like, and who may use it.
    """

    grammar: Grammar

    def __new__(cls, name: str, grammar: Grammar) -> Self:
        """The name is the value."""
        verb = str.__new__(cls, name)
        verb._value_ = name
        verb.grammar = grammar
        return verb

    USER = "USER", Grammar(_ANYONE, (text,))
    PASS = "PASS", Grammar(_ANYONE, (text,), secret=True)
    AUTH = "AUTH", Grammar(_ANYONE, (text, text), secret=True)
    IBUTTON = (
        "IBUTTON",
        Grammar(
            _ANYONE,
            (text,),
            secret=True,
            errors={CredentialsInvalidError: ReplyCode.WRONG_IBUTTON},
        ),
    )
    WHOAMI = "WHOAMI", Grammar(_USER)
    GETBALANCE = "GETBALANCE", Grammar(_USER, (text,), optional=1)
    MACHINE = (
        "MACHINE",
        Grammar(_ANYONE, (text,), errors={MachineNotFoundError: ReplyCode.UNKNOWN_MACHINE}),
    )
    MACHINES = "MACHINES", Grammar(_ANYONE)
    STAT = (
        "STAT",
        Grammar(
            _ANYONE,
            (_slot,),
            optional=1,
            shows_machine=True,
            unavailable=ReplyCode.STOCK_UNREADABLE,
        ),
    )
    DROP = "DROP", Grammar(_USER, (_slot, _delay), optional=1, unavailable=ReplyCode.FAULT)
    RAND = "RAND", Grammar(_USER, (_delay,), optional=1, unavailable=ReplyCode.FAULT)
    TEMP = "TEMP", Grammar(_ANYONE, shows_machine=True)
    SENDCREDITS = (
        "SENDCREDITS",
        Grammar(
            _USER,
            (_whole(ReplyCode.BAD_AMOUNT, 1, CREDITS_MAX), text),
            errors={
                AccountNotFoundError: ReplyCode.UNKNOWN_RECIPIENT,
                AccountClosedError: ReplyCode.UNKNOWN_RECIPIENT,
            },
            unavailable=ReplyCode.TRANSFER_FAILED,
        ),
    )
    ADDCREDITS = (
        "ADDCREDITS",
        Grammar(
            _ADMIN,
            (text, _whole(ReplyCode.BAD_CREDITS, -CREDITS_MAX, CREDITS_MAX)),
            unavailable=ReplyCode.FAULT,
        ),
    )
    EDITSLOT = (
        "EDITSLOT",
        Grammar(
            _ADMIN,
            (
                _slot,
                text,
                _whole(ReplyCode.BAD_COST, 0, CREDITS_MAX),
                _whole(ReplyCode.BAD_QUANTITY, 0, STOCK_MAX),
                _whole(ReplyCode.BAD_DROPPED_COUNT, 0, _NUMBER_MAX),
                _flag(ReplyCode.BAD_ENABLED_FLAG),
            ),
            unavailable=ReplyCode.FAULT,
        ),
    )
    ADDUSER = (
        "ADDUSER",
        Grammar(
            _ADMIN,
            (text, text),
            optional=1,
            secret=True,
            unavailable=ReplyCode.USER_NOT_CREATED,
        ),
    )
    RMUSER = (
        "RMUSER",
        Grammar(_ADMIN, (text,), unavailable=ReplyCode.USER_NOT_REMOVED),
    )
    SETADMIN = (
        "SETADMIN",
        Grammar(_ADMIN, (text, _admin_flag), unavailable=ReplyCode.ADMIN_FLAG_NOT_SET),
    )
    EDITUSER = (
        "EDITUSER",
        Grammar(
            _ADMIN,
            (text, _whole(ReplyCode.BAD_CREDITS, 0, _NUMBER_MAX), _admin_flag),
            optional=1,
            errors={BalanceChangedError: ReplyCode.FAULT},
            unavailable=ReplyCode.FAULT,
        ),
    )
    ISVALIDUSER = "ISVALIDUSER", Grammar(_ADMIN, (text,))
    QUERYADMIN = "QUERYADMIN", Grammar(_ADMIN, (text,))
    LOG = "LOG", Grammar(_ADMIN, (text,), optional=1, whole_rest=True, unavailable=ReplyCode.FAULT)
    LOCATION = "LOCATION", Grammar(_ANYONE, shows_machine=True)
    CHPASS = "CHPASS", Grammar(_USER, (text, text), secret=True, unavailable=ReplyCode.FAULT)
    CODE = "CODE", Grammar(_ANYONE, any_arguments=True)
    ACCTMGRCHK = "ACCTMGRCHK", Grammar(_ANYONE)
    VERSION = "VERSION", Grammar(_ANYONE)
    UPTIME = "UPTIME", Grammar(_ANYONE)
    SERVERSTAT = "SERVERSTAT", Grammar(_ANYONE)
    SHUTDOWN = "SHUTDOWN", Grammar(_ADMIN, (_reboot,), optional=1)
    QUIT = "QUIT", Grammar(_ANYONE, any_arguments=True)


class Command(NamedTuple):
    """A command with its arguments as text."""

    verb: Verb
    arguments: tuple[str, ...]

    @property
    def arity_fits(self) -> bool:
        """Whether it has as many arguments as it should."""
        grammar = self.verb.grammar
        most = len(grammar.parameters)
        return grammar.any_arguments or most - grammar.optional <= len(self.arguments) <= most

    def values(self) -> tuple[Value, ...]:
        """Its parsed arguments. The arity must fit.

        Raises:
            Refused: an argument is invalid; the first invalid one decides the code.
        """
        if not self.arguments:
            return ()
        pairs = zip(self.verb.grammar.parameters, self.arguments, strict=False)
        return tuple(parameter(argument) for parameter, argument in pairs)

    @property
    def redacted(self) -> str:
        """The command for logs: the verb, and its arguments unless they are secret."""
        shown = ["****"] if self.verb.grammar.secret and self.arguments else self.arguments
        return " ".join([self.verb, *shown])


_BARE: Mapping[str, Command] = {verb.value: Command(verb, ()) for verb in Verb}
"""Commands without arguments, which most lines are."""

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
class ArgumentLimits:
    """Which arguments a dialect uses. Its servers ignored the others.

    Attributes:
        max_args: The most arguments that are used, for some verbs.
        numeric: Verbs of whose arguments after the first only whole numbers are used, up to the
            first argument that is none.
    """

    max_args: Mapping[Verb, int] = field(default_factory=dict)
    numeric: frozenset[Verb] = frozenset()

    def apply(self, verb: Verb, arguments: list[str]) -> tuple[str, ...]:
        """The arguments of a command that are used."""
        if verb in self.numeric:
            rest = takewhile(_NUMBER.fullmatch, arguments[1:])
            arguments = [*arguments[:1], *rest]
        return tuple(arguments[: self.max_args.get(verb, len(arguments))])


ALL_ARGUMENTS = ArgumentLimits()
"""Every argument is used."""


def parse(line: str, limits: ArgumentLimits = ALL_ARGUMENTS) -> Command | None:
    """The command in a line; None if there is no such command.

    Args:
        line: Without its end.
        limits: Which arguments are used.
    """
    if (bare := _BARE.get(line)) is not None:
        return bare
    name, _, rest = line.strip(" ").partition(" ")
    # upper() turns letters like the long s into ASCII ones.
    verb = Verb.__members__.get(name.upper()) if name.isascii() else None
    if verb is None:
        return None
    if verb.grammar.whole_rest:
        stripped = rest.strip(" ")
        return Command(verb, (stripped,) if stripped else ())
    return Command(verb, limits.apply(verb, words(rest)))


_ENDS_IN_PASSWORD = frozenset({Verb.PASS, Verb.AUTH, Verb.CHPASS, Verb.ADDUSER})
"""Commands whose last argument may go on with anything, the name of a command too."""


def begins_command(line: bytes, more: bytes, limits: ArgumentLimits = ALL_ARGUMENTS) -> bool:
    """Whether `more` begins the next command, though `line` before it has no end.

    So it is where `more` begins with the name of a command, `line` is a complete command without it
    and does not end in a password, of which `more` may be the rest.

    Args:
        line: A line that has begun.
        more: What has arrived after it, at once.
        limits: As for `parse`.
    """
    first = more[: _NAME_BYTES_MAX + 1].replace(b"\n", b" ").partition(b" ")[0]
    if first.upper() not in _NAMES:
        return False
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return False
    command = parse(text, limits)
    if command is None or not command.arity_fits:
        return False
    parameters = len(command.verb.grammar.parameters)
    takes_more = len(command.arguments) < min(
        parameters, limits.max_args.get(command.verb, parameters)
    )
    if command.verb in _ENDS_IN_PASSWORD and not takes_more:
        return False
    # After a blank an argument is still to come.
    return not text.endswith(" ") or not (takes_more or command.verb.grammar.whole_rest)
