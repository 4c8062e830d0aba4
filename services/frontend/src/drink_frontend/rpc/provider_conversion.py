"""OpenID providers as messages."""

from drink.v1 import account_service_pb2 as pb
from drink_frontend.system.providers import Endpoints
from drink_frontend.usecases.provider_logins import ProviderShown


def provider_message(shown: ProviderShown) -> pb.SignInProvider:
    """A provider as its clients use it."""
    settings, endpoints = shown.settings, shown.endpoints or Endpoints()
    return pb.SignInProvider(
        name=settings.name,
        display_name=settings.label,
        issuer=settings.issuer,
        client_id=settings.client_id,
        device_client_id=settings.device_client_id,
        scopes=settings.scopes,
        authorization_endpoint=endpoints.authorization,
        token_endpoint=endpoints.token,
        end_session_endpoint=endpoints.end_session,
        device_authorization_endpoint=endpoints.device_authorization,
        names_issuer=endpoints.names_issuer,
        takes_access_tokens=settings.access_tokens != "no",
        reachable=shown.is_reachable,
    )
