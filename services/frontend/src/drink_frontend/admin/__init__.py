"""`drink-frontend admin`: what an installation sets up and looks after, without any SQL."""
