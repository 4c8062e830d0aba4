from drink_frontend.rpc.provider_conversion import provider_message
from drink_frontend.system.oidc_settings import ProviderSettings
from drink_frontend.system.providers import Endpoints
from drink_frontend.usecases.provider_logins import ProviderShown

HOME = ProviderSettings(name="home", issuer="https://sso.example.org", client_id="page")


def test_a_provider_that_answers() -> None:
    endpoints = Endpoints(authorization="https://sso.example.org/auth", names_issuer=True)
    message = provider_message(ProviderShown(HOME, endpoints, is_reachable=True))
    assert (message.name, message.display_name, message.client_id) == ("home", "home", "page")
    assert message.authorization_endpoint == "https://sso.example.org/auth"
    assert message.names_issuer
    assert message.reachable
    assert not message.takes_access_tokens


def test_a_provider_that_never_answered() -> None:
    message = provider_message(ProviderShown(HOME, None, is_reachable=False))
    assert (message.issuer, message.token_endpoint) == ("https://sso.example.org", "")
    assert not message.reachable
