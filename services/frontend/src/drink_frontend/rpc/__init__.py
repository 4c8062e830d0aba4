"""The gRPC edge of the frontend: serves drink.v1 to users and agents from the use cases.

`interceptors.py` describes the path of a call, `server.py` puts the parts together.
"""
