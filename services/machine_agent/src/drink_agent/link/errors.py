"""What can be wrong with a link."""


class LinkViolationError(Exception):
    """The frontend said something that the protocol does not allow."""


class LinkSetupError(Exception):
    """The link cannot even be tried: a token or certificate cannot be used."""
