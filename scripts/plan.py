"""What an installation consists of, and the configuration files that say so."""

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SlotPlan:
    """A slot: its number, item, price in credits, and items."""

    number: int
    item: str
    price: int
    cans: int


@dataclass(frozen=True)
class MachinePlan:
    """A machine, its slots, and the port that its board dials; 0 for a board on a serial line."""

    name: str
    display_name: str
    slots: tuple[SlotPlan, ...]
    board_port: int = 0


@dataclass(frozen=True)
class UserPlan:
    """A user, the password, and the credits to begin with."""

    name: str
    password: str
    credits: int
    admin: bool = False


@dataclass(frozen=True)
class Plan:
    """What an installation consists of.

    Attributes:
        machines: Its machines.
        users: Its users.
        rpc_port: gRPC port; 0 takes any free one.
        session_port: Session port; 0 takes any free one.
        metrics_port: Port of the frontend's metrics; 0 takes any free one.
        web_port: Port of the page; 0 takes any free one, None: there is no page.
        web_metrics_port: Port of the page's metrics; 0 takes any free one.
        motor_s: Seconds that an emulated motor runs.
        response_limit_s: Seconds that an agent waits for its board's answer.
        frontend: More of the frontend's configuration, TOML by section name.
        agent: More of each agent's configuration, likewise; `{machine}` in it is its machine.
        web: More of the page's configuration, likewise.
    """

    machines: tuple[MachinePlan, ...]
    users: tuple[UserPlan, ...]
    rpc_port: int = 0
    session_port: int = 0
    metrics_port: int = 0
    web_port: int | None = None
    web_metrics_port: int = 0
    motor_s: float = 0.05
    response_limit_s: float = 10
    frontend: dict[str, str] = field(default_factory=dict)
    agent: dict[str, str] = field(default_factory=dict)
    web: dict[str, str] = field(default_factory=dict)


def import_toml(plan: Plan) -> str:
    """What `drink-frontend admin import` sets it up from."""
    lines: list[str] = []
    for machine in plan.machines:
        lines += [
            "[[machines]]",
            f"name = {json.dumps(machine.name)}",
            f"display_name = {json.dumps(machine.display_name)}",
            f'token_file = "{machine.name}.token"',
        ]
        for slot in machine.slots:
            lines += [
                "[[machines.slots]]",
                f"number = {slot.number}",
                f"item = {json.dumps(slot.item)}",
                f"price = {slot.price}",
                f"available = {slot.cans}",
            ]
    for user in plan.users:
        lines += [
            "[[users]]",
            f"name = {json.dumps(user.name)}",
            f"password = {json.dumps(user.password)}",
            f"credits = {user.credits}",
            f"admin = {str(user.admin).lower()}",
        ]
    return "\n".join(lines) + "\n"


def settings_toml(sections: dict[str, str], more: dict[str, str]) -> str:
    """Sections of a configuration by name, each with more keys if there are any."""
    bodies = {name: [body] for name, body in sections.items()}
    for name, body in more.items():
        bodies.setdefault(name, []).append(body)
    return "".join(f"[{name}]\n" + "\n".join(body) + "\n" for name, body in bodies.items())
