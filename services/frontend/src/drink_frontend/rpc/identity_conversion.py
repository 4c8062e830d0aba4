"""Converts between drink.v1 messages and identities."""

from drink.v1 import account_service_pb2 as pb
from drink_frontend.domain.identities import Identity
from drink_frontend.rpc.conversion import timestamp


def identity_message(identity: Identity) -> pb.Identity:
    """An identity as a drink.v1 message."""
    message = pb.Identity(
        source=identity.source,
        subject=identity.subject,
        source_name=identity.name or "",
        create_time=timestamp(identity.created_ms),
        admin=identity.admin,
    )
    if identity.login_ms is not None:
        message.login_time.CopyFrom(timestamp(identity.login_ms))
    if identity.left_ms is not None:
        message.leave_time.CopyFrom(timestamp(identity.left_ms))
    return message
