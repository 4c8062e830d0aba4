"""The agent's end of the link to the frontend."""

import os

from drink_agent.loglines.process import quiet_grpc

# The agent never forks. gRPC's fork handlers are installed when gRPC is imported, are on by
# default, and have made programs hang.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
quiet_grpc()
