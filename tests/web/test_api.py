from pathlib import Path

import pytest

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink_web.api import Api
from drink_web.errors import CallError
from drink_web.settings import ConfigError, FrontendSettings
from tests.support.rpc_frontend import ANN, running_frontend


async def refused(api: Api, method: object, request: object, caller: object) -> CallError:
    with pytest.raises(CallError) as caught:
        await api.call(method, request, caller)  # type: ignore[arg-type]
    return caught.value


async def test_a_refusal_has_its_reason_and_facts() -> None:
    async with running_frontend() as frontend:
        api = Api(FrontendSettings(address=frontend.target))
        request = drops.DropRequest(request_id="r", slot="machines/d/slots/1", price_ceiling=1)
        error = await refused(api, api.drops.Drop, request, ANN)
        assert (error.status, error.reason) == ("FAILED_PRECONDITION", "PRICE_ABOVE_CEILING")
        assert error.facts["price"] == "50"
        error = await refused(api, api.accounts.GetAccount, accounts.GetAccountRequest(), ())
        assert error.is_logged_out
        await api.close()


async def test_no_frontend_is_no_answer() -> None:
    api = Api(FrontendSettings(address="127.0.0.1:1"))
    error = await refused(api, api.accounts.GetAccount, accounts.GetAccountRequest(), ())
    assert error.is_away
    await api.close()


async def test_the_clients_address_is_told_with_the_gateways_token_only(tmp_path: Path) -> None:
    plain = Api(FrontendSettings())
    assert list(plain.caller("t", "192.0.2.1")) == [("authorization", "Bearer t")]
    path = tmp_path / "gateways"
    path.write_text(f"web {'s' * 64}\n")
    gateway = Api(FrontendSettings(gateway_token_file=path))
    assert list(gateway.caller("", "192.0.2.1")) == [
        ("x-drink-gateway-token", "s" * 64),
        ("x-drink-client-address", "192.0.2.1"),
    ]
    for api in (plain, gateway):
        await api.close()


async def test_the_frontend_counts_the_browser_and_not_the_page(tmp_path: Path) -> None:
    path = tmp_path / "gateways"
    path.touch(0o600)
    path.write_text(f"web {'s' * 64}\n")
    async with running_frontend(gateways=path) as frontend:
        api = Api(FrontendSettings(address=frontend.target, gateway_token_file=path))
        caller = api.caller(str(ANN[0][1]).removeprefix("Bearer "), "192.0.2.1")
        await api.call(api.accounts.GetAccount, accounts.GetAccountRequest(), caller)
        error = await refused(
            api,
            api.accounts.GetAccount,
            accounts.GetAccountRequest(),
            api.caller("t", "not an address"),
        )
        assert error.reason == "FIELD_INVALID"
        await api.close()


@pytest.mark.parametrize("key", ["gateway_token_file", "ca_file"])
async def test_a_missing_file_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        Api(FrontendSettings.model_validate({key: tmp_path / "missing"}))


async def test_an_empty_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    with pytest.raises(ConfigError, match="has no token"):
        Api(FrontendSettings(gateway_token_file=tmp_path / "token"))
