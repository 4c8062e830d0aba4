"""The frontend's metrics, in the format of Prometheus."""
