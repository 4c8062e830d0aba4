"""REST for clients of the kindred HTTP server: its paths and shapes over this house's API."""
