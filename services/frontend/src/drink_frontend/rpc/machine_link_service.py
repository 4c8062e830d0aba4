"""MachineLinkService: converts the messages of an agent's link; `links` handles them."""
# ruff: noqa: N802 - the methods are named by the protocol

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from drink.v1 import machine_link_service_pb2 as pb
from drink.v1 import machine_link_service_pb2_grpc
from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.links.messages import AgentMessage
from drink_frontend.links.server import LinkServer
from drink_frontend.rpc.calls import Context, current_call
from drink_frontend.rpc.link_conversion import agent_message, frontend_message
from drink_frontend.usecases.machines import Machines


class MachineLinkService(machine_link_service_pb2_grpc.MachineLinkServiceServicer):
    """The RPC of drink.v1.MachineLinkService.

    Args:
        links: Serves the links.
        machines: Looks tokens of agents up.
    """

    def __init__(self, links: LinkServer, machines: Machines) -> None:
        self._links = links
        self._machines = machines

    async def Connect(
        self, request_iterator: AsyncIterator[pb.ConnectRequest], _context: Context
    ) -> AsyncGenerator[pb.ConnectResponse, None]:
        """Serves the link of the agent's machine until it ends."""
        call = current_call()
        incoming = self._agent_messages(call.owner, request_iterator)
        async with self._links.open(call.owner, incoming, call.peer.address) as link:
            if call.token is not None:
                # A new token ends only links that are open; this one may have been opened just
                # after, with the token that was looked up before.
                await self._machines.authenticate(call.token)
            # `messages` is closed together with this generator. Without `aclosing` that happens at
            # a later garbage collection, and until then a link without a stream could take a drop.
            async with aclosing(link.messages()) as messages:
                async for envelope in messages:
                    yield frontend_message(envelope)

    async def _agent_messages(
        self, machine: str, requests: AsyncIterator[pb.ConnectRequest]
    ) -> AsyncGenerator[AgentMessage, None]:
        """The agent's messages, without those of unknown kinds.

        Raises:
            LinkProtocolError: a message is invalid.
            RateLimitedError: the agent has sent too much; its last message is passed on before.
        """
        async for request in requests:
            accepted = self._links.accepts(machine, request.ByteSize())
            message = agent_message(request)
            if message is not None:
                yield message
            if not accepted:
                raise RateLimitedError("the agent sends too much", retry_after_seconds=1)
