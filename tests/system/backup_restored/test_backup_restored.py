"""Backup restored: what was in it holds, what came after it is forgotten, and selling goes on."""

import grpc
import pytest

from drink.v1.drop_service_pb2 import Drop
from scripts.demo.plan import ALICE
from tests.system.compose_system import SQLITE, ComposeSystem

DATABASE = "/var/lib/drink-frontend/drink.db"


def back_up(system: ComposeSystem) -> None:
    if system.profile.names == SQLITE.names:
        system.admin("backup", f"{DATABASE}.copy")
    else:
        dump = ("pg_dump", "--username=drink", "--format=custom", "--file=/tmp/copy", "drink")
        system.run("postgres", *dump)


def restore(system: ComposeSystem) -> None:
    """Puts the copy in place, as docs/operations.md says, while no frontend runs."""
    frontends = system.profile.frontends
    system.docker("stop", *frontends)
    if system.profile.names == SQLITE.names:
        script = f"rm -f {DATABASE}-wal {DATABASE}-shm && mv {DATABASE}.copy {DATABASE}"
        system.do("run", "--rm", "--no-deps", "--entrypoint=sh", frontends[0], "-c", script)
    else:
        for command in (
            ("dropdb", "--username=drink", "--maintenance-db=postgres", "drink"),
            ("createdb", "--username=drink", "--maintenance-db=postgres", "drink"),
            ("pg_restore", "--username=drink", "--dbname=drink", "/tmp/copy"),
        ):
            system.run("postgres", *command)
    system.docker("start", *frontends)
    system.wait_ready()


def test_fault_36_the_books_are_put_back_while_machines_sell_on(system: ComposeSystem) -> None:
    alice = system.client(ALICE)
    kept = alice.drop("d/1")
    back_up(system)
    forgotten = alice.drop("d/1")
    credits_ = alice.account().posted_credits
    restore(system)
    system.untruths.unpaid["d/1"] += 1  # nobody is left who knows of that can
    assert alice.get(kept.name).state == Drop.STATE_DISPENSED
    with pytest.raises(grpc.RpcError) as error:
        alice.get(forgotten.name)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert alice.account().posted_credits == credits_ + forgotten.price
    system.verify()
    assert alice.drop("d/1").state == Drop.STATE_DISPENSED
    alice.close()
