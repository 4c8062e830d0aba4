"""What a soak run consists of: three machines, ten buyers, and limits short enough to be met."""

import socket
from dataclasses import replace

from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan

CANS = 10_000
"""Items in a slot that is not to run empty."""

FEW_CANS = 4
"""Items in one that is."""

SCARCE_SLOT = 3
"""Runs empty."""

LYING_SLOT = 4
"""Where alone a board says what is not so: runs its motor and drops nothing, or drops and says that
it refused."""

SLOTS = (
    SlotPlan(1, "Coke", 50, CANS),
    SlotPlan(2, "Dew", 40, CANS),
    SlotPlan(SCARCE_SLOT, "Jolt", 60, FEW_CANS),
    SlotPlan(LYING_SLOT, "Bawls", 75, CANS),
)

ADMIN = UserPlan("admin", "hunter2-not", 0, admin=True)

CALLERS = tuple(UserPlan(f"caller-{n}", f"password-{n}", 200_000) for n in range(1, 6))
"""The buyers over gRPC."""

PAUPER = UserPlan("pauper", "password-0", 200)
"""Soon has nothing but what others send him."""

DEBTOR = UserPlan("debtor", "password-9", 0)
"""Has only what he may owe, what others send him, and refunds."""

CREDIT_LIMITS = (0, 100, 300, 1_000)
"""What he may owe, one after the other."""

TYPISTS = tuple(UserPlan(f"typist-{n}", f"password-{n}", 200_000) for n in range(1, 4))
"""The buyers in sessions."""

COMMAND_TTL_S, RESPONSE_LIMIT_S = 2, 1.5
"""Seconds until a command is no longer started, and that a board has to answer one."""

STOP_LIMIT_S = 2
"""Seconds that a stopping service waits for drops."""

SILENCE_LIMIT_S = 5
"""Seconds after which the frontend gives up on an agent with a drop: more than the two above, and
less than the longest faults."""

MOTOR_S = 0.3
"""Seconds that a motor runs: long enough for something to happen meanwhile."""

PLAN = Plan(
    machines=tuple(
        MachinePlan(name, f"Machine {name}", SLOTS, board_port=port)
        for name, port in (("d", 0), ("ld", 0), ("s", 1))
    ),
    users=(*CALLERS, PAUPER, DEBTOR, *TYPISTS, ADMIN),
    motor_s=MOTOR_S,
    response_limit_s=RESPONSE_LIMIT_S,
    frontend={
        "links": f"heartbeat_interval_s = 1\ncommand_ttl_s = {COMMAND_TTL_S}",
        "drops": "\n".join(
            [
                "waiting_limit_s = 10",
                f"silence_limit_s = {SILENCE_LIMIT_S}",
                "look_interval_s = 0.2",
                "waiting_max = 8",
            ]
        ),
        "shutdown": f"drops_limit_s = {STOP_LIMIT_S}\ncalls_limit_s = 1",
    },
    agent={
        "board": "probe_interval_s = 0.3\nsilence_limit_s = 6",
        "journal": "compact_bytes = 65536",
        "agent": f"stop_limit_s = {STOP_LIMIT_S}\nack_wait_s = 0.5\nupkeep_interval_s = 0.5",
    },
)
"""Machine s dials in over TCP; the port is chosen by `soak_plan`."""


def soak_plan() -> Plan:
    """The plan, with a free port for the board that dials."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    machines = [
        replace(machine, board_port=port if machine.board_port else 0) for machine in PLAN.machines
    ]
    return replace(PLAN, machines=tuple(machines))
