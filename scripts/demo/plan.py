"""What the demo runs: three machines and three users."""

from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan

ALICE = UserPlan("alice", "correct-horse", 500)
BOB = UserPlan("bob", "battery-staple", 500)
ADMIN = UserPlan("admin", "hunter2-not", 0, admin=True)

DEMO = Plan(
    machines=(
        MachinePlan(
            "d",
            "Big Drink",
            (
                SlotPlan(1, "Coke", 50, 10),
                SlotPlan(2, "Mountain Dew", 50, 10),
                SlotPlan(3, "Sprite", 45, 5),
            ),
        ),
        MachinePlan(
            "ld",
            "Little Drink",
            (SlotPlan(1, "Jolt", 60, 5), SlotPlan(2, "Bawls", 75, 5)),
        ),
        MachinePlan("s", "Snack", (SlotPlan(1, "Cookies", 30, 8), SlotPlan(2, "Chips", 35, 8))),
    ),
    users=(ALICE, BOB, ADMIN),
    web_port=0,
    motor_s=1.0,
    # The firmware's 10 s would be a long silence to watch.
    response_limit_s=3.0,
)
