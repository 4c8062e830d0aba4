"""The proxy that breaks connections, as tests know it."""

from scripts.proxy import FaultProxy, Way

__all__ = ["FaultProxy", "Way"]
