"""The agent's end of the link to the frontend."""

import os

from drink_agent.loglines.process import quiet_grpc

# The agent never forks, and gRPC's handlers for it, on by default, have made programs hang.
# They are installed when gRPC is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
quiet_grpc()
