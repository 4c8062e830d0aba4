"""The frontend's gRPC edge: drink.v1 spoken to clients and to agents, over the use cases."""
