from drink_frontend.domain.limits import check_request_id
from tests.fakes.usecases import World


async def test_request_ids_are_valid_and_never_the_same(world: World) -> None:
    make = world.services().request_id
    ids = [check_request_id(make()) for _ in range(100)]
    assert len(set(ids)) == 100
