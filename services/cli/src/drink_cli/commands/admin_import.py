"""The command that sets up a house from one file; repeating it changes nothing."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import machine_service_pb2 as machines
from drink_cli.api import Api
from drink_cli.context import command, shared
from drink_cli.errors import CallError, CommandError, Exit
from drink_cli.files import create_private, write_private
from drink_cli.import_plan import ImportPlan, MachinePlan, PlanError, SlotPlan, UserPlan, read_plan
from drink_cli.output import Output
from drink_cli.text import short

FILE_BYTES_MAX = 4_194_304
"""Bytes of a file of ten thousand users; no larger file is read whole."""

THERE = "is there, and stays as it is"


@dataclass(frozen=True, slots=True)
class House:
    """What the server has before an import.

    Attributes:
        slots: Resource names of the slots of each machine.
        users: Accounts by their names in lower case.
    """

    slots: Mapping[str, frozenset[str]]
    users: Mapping[str, accounts.Account]


@command
def import_house(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="TOML: [[machines]], [[machines.slots]], [[users]].")
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be made.")
    ] = False,
) -> None:
    """Set up machines, slots, users and their credits from a file.

    What is there already stays as it is, so the same file may be imported again: after an import
    that was cut off it makes the rest, and gives nothing twice.
    """
    plan = _read(file)
    options = shared(context)
    with options.api() as api:
        house = _house(api)
        _Import(api, options.output, file, dry_run=dry_run).carry_out(plan, house)


class _Import:
    """One import: what is missing is made in the order of the file, and told line by line."""

    def __init__(self, api: Api, output: Output, file: Path, *, dry_run: bool) -> None:
        self._api = api
        self._output = output
        self._file = file
        self._dry_run = dry_run

    def carry_out(self, plan: ImportPlan, house: House) -> None:
        """Makes what is missing.

        Raises:
            CommandError: something cannot be made; everything before it was.
        """
        for line, steps in self._parts(plan, house):
            try:
                for name, done, is_made in steps:
                    self._tell(line, name, done, is_made=is_made)
            except CommandError as error:
                rest = "" if self._dry_run else ". What stands before it is made: import it again"
                raise CommandError(f"{self._file}:{line}: {error}{rest}", error.code) from None

    def _parts(
        self, plan: ImportPlan, house: House
    ) -> Iterator[tuple[int, Iterator[tuple[str, str, bool]]]]:
        """The steps of each line: what it is about, what was done, and whether that is new."""
        for machine in plan.machines:
            yield machine.line, self._machine(machine, house)
            there = house.slots.get(machine.name, frozenset())
            for slot in machine.slots:
                yield slot.line, self._slot(slot, is_there=slot.name in there)
            if machine.token_file is not None:
                yield machine.line, self._token(machine, house)
        for user in plan.users:
            yield user.line, self._user(user, house.users.get(user.name.lower()))

    def _machine(self, plan: MachinePlan, house: House) -> Iterator[tuple[str, str, bool]]:
        name = f"machine {plan.name}"
        if plan.name in house.slots:
            yield name, THERE, False
            return
        if not self._dry_run:
            if plan.token_file is not None:
                # An empty file: the token of this machine is still to be made, also by an import
                # that is started again.
                _reserve(self._path(plan.token_file))
            request = machines.CreateMachineRequest(
                name=f"machines/{plan.name}",
                display_name=plan.display_name,
                location=plan.location,
            )
            self._api.call(self._api.machines.CreateMachine, request)
        yield name, plan.display_name, True

    def _slot(self, plan: SlotPlan, *, is_there: bool) -> Iterator[tuple[str, str, bool]]:
        name = f"slot {short(plan.name)}"
        if is_there:
            yield name, THERE, False
            return
        if not self._dry_run:
            request = machines.CreateSlotRequest(
                name=plan.name, item=plan.item, price=plan.price, available=plan.available
            )
            self._api.call(self._api.machines.CreateSlot, request)
        yield name, f"{plan.item} for {plan.price} credits, {plan.available} in it", True

    def _token(self, plan: MachinePlan, house: House) -> Iterator[tuple[str, str, bool]]:
        assert plan.token_file is not None
        path, name = self._path(plan.token_file), f"token of {plan.name}"
        is_reserved = path.exists() and not path.stat().st_size
        if path.exists() and not is_reserved:
            yield name, f"{path} {THERE}", False
            return
        if plan.name in house.slots and not is_reserved:
            # Its agent may run with a token of before, which a new one would end.
            how = f"drink admin machine token {plan.name} --output {path}"
            yield name, f"none is made, since the machine was there; `{how}` makes one", False
            return
        if not self._dry_run:
            request = machines.IssueAgentTokenRequest(name=f"machines/{plan.name}")
            token = self._api.call(self._api.machines.IssueAgentToken, request).token
            try:
                write_private(path, token + "\n")
            except OSError as error:
                raise CommandError(f"{path}: {error.strerror}", Exit.FAULT) from None
        yield name, f"in {path}", True

    def _user(
        self, plan: UserPlan, account: accounts.Account | None
    ) -> Iterator[tuple[str, str, bool]]:
        name = f"user {plan.name}"
        if account is not None and account.closed:
            yield name, "is closed, and stays as it is", False
            return
        if account is not None and short(account.name) != plan.name:
            raise CommandError(f"the user {short(account.name)} differs only in case", Exit.REFUSED)
        if account is not None:
            yield name, THERE, False
        else:
            if not self._dry_run:
                request = accounts.CreateAccountRequest(
                    name=f"accounts/{plan.name}",
                    password=plan.password,
                    ibutton=plan.ibutton,
                    admin=plan.admin,
                )
                self._api.call(self._api.accounts.CreateAccount, request)
            yield name, "an administrator" if plan.admin else "a member", True
        if plan.credits:
            yield self._credits(plan, is_new=account is None)

    def _credits(self, plan: UserPlan, *, is_new: bool) -> tuple[str, str, bool]:
        name = f"credits of {plan.name}"
        if self._dry_run:
            once = "" if is_new else ", unless an import gave them before"
            return name, f"{plan.credits}{once}", True
        # The request_id of the user, which the server's own import has as well: however often and
        # by whomever a file is imported, the credits are given once.
        request = accounts.AddCreditsRequest(
            request_id=f"import:{plan.name}",
            account=f"accounts/{plan.name}",
            credits=plan.credits,
        )
        try:
            self._api.call(self._api.accounts.AddCredits, request)
        except CallError as error:
            if error.reason != "REQUEST_ID_REUSED":
                raise
            return (
                name,
                "an import gave other credits under this name before; none are given now",
                False,
            )
        return name, f"{plan.credits}, given once", True

    def _path(self, token_file: str) -> Path:
        return self._file.parent / token_file

    def _tell(self, line: int, name: str, what: str, *, is_made: bool) -> None:
        would = "would be made: " if self._dry_run and is_made else ""
        facts = {"line": line, "what": name, "made": is_made and not self._dry_run, "text": what}
        if self._dry_run:
            facts["would_be_made"] = is_made
        self._output.event(facts, f"{name}: {would}{what}")


def _read(file: Path) -> ImportPlan:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None
    if len(content) > FILE_BYTES_MAX:
        raise CommandError(f"{file}: has more than {FILE_BYTES_MAX} bytes", Exit.USAGE)
    try:
        # Some editors begin UTF-8 with a byte order mark.
        return read_plan(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CommandError(f"{file}:{line}: not UTF-8", Exit.USAGE) from None
    except PlanError as error:
        raise CommandError(f"{file}:{error.line}: {error}", Exit.USAGE) from None


def _house(api: Api) -> House:
    users = api.each(api.accounts.ListAccounts, accounts.ListAccountsRequest(), "accounts")
    by_name = {short(each.name).lower(): each for each in users}
    found = api.call_public(api.machines.ListMachines, machines.ListMachinesRequest()).machines
    slots = {short(each.name): frozenset(slot.name for slot in each.slots) for each in found}
    return House(slots, by_name)


def _reserve(path: Path) -> None:
    """Makes an empty file for a token, or takes the empty one that is there."""
    try:
        os.close(create_private(path))
    except FileExistsError:
        if path.stat().st_size:
            raise CommandError(
                f"{path} is there, and the machine is not: move the file away", Exit.REFUSED
            ) from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.USAGE) from None
