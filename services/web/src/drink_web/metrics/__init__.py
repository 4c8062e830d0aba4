"""The metrics of the page, in the format of Prometheus."""
