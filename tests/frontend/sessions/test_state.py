import pytest

from drink_frontend.domain.errors import SlotEmptyError, StorageUnavailableError
from drink_frontend.sessions.dialects import CLASSIC, DRINKD
from drink_frontend.sessions.reply_codes import Refused, ReplyCode
from drink_frontend.sessions.state import RETRY_DELAYS_S, SessionState, retry_unavailable
from tests.support.sessions import World


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drink_frontend.sessions.state.RETRY_DELAYS_S", (0.0, 0.0))


class Attempts:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.usefixtures("no_waiting")
class TestInsist:
    @pytest.mark.parametrize("failures", [0, 1, 2])
    async def test_tries_again(self, failures: int) -> None:
        attempts = Attempts(*[StorageUnavailableError("x")] * failures)
        assert await retry_unavailable(attempts) == "done"
        assert attempts.made == failures + 1

    async def test_gives_up(self) -> None:
        attempts = Attempts(*[StorageUnavailableError("x")] * 9)
        with pytest.raises(StorageUnavailableError):
            await retry_unavailable(attempts)
        assert attempts.made == 3

    async def test_takes_a_refusal_for_an_answer(self) -> None:
        attempts = Attempts(SlotEmptyError("x"))
        with pytest.raises(SlotEmptyError):
            await retry_unavailable(attempts)
        assert attempts.made == 1


def test_insisting_takes_as_long_as_it_says() -> None:
    assert 2 <= sum(RETRY_DELAYS_S) <= 3


@pytest.mark.parametrize(
    ("dialect", "said", "number"), [(CLASSIC, 1, 1), (CLASSIC, 99, 99), (DRINKD, 0, 1)]
)
async def test_slot_numbers(world: World, dialect: object, said: int, number: int) -> None:
    state = SessionState(world.services(), dialect, "", "d")  # type: ignore[arg-type]
    assert state.slot_number(said) == number


@pytest.mark.parametrize("said", [0, 100, 10**9])
async def test_slot_numbers_that_cannot_be(world: World, said: int) -> None:
    state = SessionState(world.services(), CLASSIC, "", "d")
    with pytest.raises(Refused) as refused:
        state.slot_number(said)
    assert refused.value.code is ReplyCode.UNKNOWN_SLOT


async def test_the_caller_is_known_only_after_identifying(world: World) -> None:
    state = SessionState(world.services(), CLASSIC, "", "d")
    with pytest.raises(AssertionError):
        _ = state.caller
    state.log_in(world.accounts["user"])
    assert await state.load_caller() is state.caller
    state.unload()
    with pytest.raises(AssertionError):
        _ = state.caller
