"""`admin import`: creates machines, slots and users from one file; repeating it changes nothing."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self, TypeVar

import typer
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from drink_frontend.admin.command import operator, operator_account, recorded, run
from drink_frontend.admin.machines import write_token
from drink_frontend.domain.errors import FieldInvalidError, MachineNotFoundError
from drink_frontend.domain.ledger import CREDITS_MAX
from drink_frontend.domain.limits import (
    check_account,
    check_ibutton,
    check_item,
    check_machine,
    check_password,
    check_range,
    check_slot,
    check_text,
)
from drink_frontend.domain.stock import STOCK_MAX

if TYPE_CHECKING:
    from drink_frontend.app import Administration


T = TypeVar("T")


def _checked(check: Callable[[T], object]) -> AfterValidator:
    """Validates the value of a key with a check of the domain."""

    def validate(value: T) -> T:
        try:
            check(value)
        except FieldInvalidError as error:
            rule = str(error).partition(": ")[2]
            raise PydanticCustomError("invalid", "{rule}", {"rule": rule}) from None
        return value

    return AfterValidator(validate)


def _secret(check: Callable[[str], object]) -> AfterValidator:
    """Validates a secret value with a check of the domain."""

    def check_secret(value: SecretStr) -> None:
        check(value.get_secret_value())

    return _checked(check_secret)


def _between(lowest: int, highest: int) -> AfterValidator:
    def check_number(value: int) -> None:
        check_range(value, "number", lowest, highest)

    return _checked(check_number)


def _text(value: str) -> None:
    check_text(value, "text")


class SlotPlan(BaseModel):
    """A slot to create."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, _checked(check_slot)]
    item: Annotated[str, _checked(check_item)]
    price: Annotated[int, _between(0, CREDITS_MAX)]
    available: Annotated[int, _between(0, STOCK_MAX)] = 0


class MachinePlan(BaseModel):
    """A machine to create, its slots, and the file for its agent's token."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, _checked(check_machine)]
    display_name: Annotated[str, _checked(_text)]
    location: Annotated[str, _checked(_text)] = ""
    token_file: Path | None = None
    slots: list[SlotPlan] = Field(default_factory=list)


class UserPlan(BaseModel):
    """A user to create, with the initial credits."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, _checked(check_account)]
    password: Annotated[SecretStr, _secret(check_password)] | None = None
    ibutton: Annotated[SecretStr, _secret(check_ibutton)] | None = None
    admin: bool = False
    credits: Annotated[int, _between(0, CREDITS_MAX)] = 0


class Plan(BaseModel):
    """Everything to create."""

    model_config = ConfigDict(extra="forbid")

    machines: list[MachinePlan] = Field(default_factory=list)
    users: list[UserPlan] = Field(default_factory=list)

    @classmethod
    def read(cls, text: str) -> Self:
        """Parses a TOML document; each value must have exactly the type of its key.

        Raises:
            tomllib.TOMLDecodeError: it is not TOML.
            ValidationError: a key is unknown or missing, or its value is invalid.
        """
        # Via JSON, where strict mode accepts text as a path. A date becomes a refused object.
        values = json.dumps(tomllib.loads(text), default=lambda _: {})
        return cls.model_validate_json(values, strict=True)


async def carry_out(plan: Plan, folder: Path, drink: "Administration") -> None:
    """Creates what does not exist yet; what exists is not changed.

    Args:
        plan: What to create.
        folder: Base of relative paths of token files.
        drink: The use cases.

    Raises:
        DrinkError: something cannot be created; everything before it was.
    """
    for machine in plan.machines:
        await _machine(machine, folder, drink)
    for user in plan.users:
        await _user(user, drink)


async def _machine(plan: MachinePlan, folder: Path, drink: "Administration") -> None:
    try:
        machine = await drink.machines.get(plan.name)
    except MachineNotFoundError:
        machine = await drink.machines.create(
            operator(), plan.name, plan.display_name, plan.location
        )
    for slot in plan.slots:
        if machine.slot(slot.number) is None:
            await drink.machines.create_slot(
                operator(),
                plan.name,
                slot.number,
                item=slot.item,
                price=slot.price,
                available=slot.available,
            )
    if plan.token_file is not None and not (folder / plan.token_file).exists():
        token = await drink.machines.new_token(operator(), plan.name)
        write_token(folder / plan.token_file, token)


async def _user(plan: UserPlan, drink: "Administration") -> None:
    user = await drink.accounts.find(plan.name)
    if user is None:
        user = await drink.accounts.create(
            operator(),
            plan.name,
            password=plan.password.get_secret_value() if plan.password else None,
            ibutton=plan.ibutton.get_secret_value() if plan.ibutton else None,
            admin=plan.admin,
        )
    if plan.credits:
        # The request_id is derived from the user, so that a second import grants nothing.
        await drink.transfers.add_credits(
            operator_account(), f"import:{user.name}", user.name, plan.credits
        )


@recorded
def import_plan(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="TOML: [[machines]], [[machines.slots]], [[users]].")
    ],
) -> None:
    """Set up machines, slots and users from a file; what is there already stays as it is."""
    try:
        # Some editors begin UTF-8 with a byte order mark.
        plan = Plan.read(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        typer.echo(f"{file}: {error}", err=True)
        raise typer.Exit(1) from None
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            key = ".".join(str(part) for part in problem["loc"])
            typer.echo(f"{file}: {key}: {problem['msg']}", err=True)
        raise typer.Exit(1) from None
    run(context, lambda drink: carry_out(plan, file.parent, drink))
