"""The frontend: accounts, credits, stock and drops, over gRPC and TCP sessions."""
