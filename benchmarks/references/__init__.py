"""What the services are measured against, as small and as fair as they can be."""
