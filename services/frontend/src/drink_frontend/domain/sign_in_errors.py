"""The refusals of logins at other sources than the own database, and of their identities."""

from drink_frontend.domain.errors import DrinkError


class IdentityNotLinkedError(DrinkError):
    """Somebody has logged in at a source, and no account is linked to that identity."""

    reason = "IDENTITY_NOT_LINKED"
    code = "FAILED_PRECONDITION"


class IdentityNotFoundError(DrinkError):
    """The account has no such identity."""

    reason = "IDENTITY_NOT_FOUND"
    code = "NOT_FOUND"


class TooManyIdentitiesError(DrinkError):
    """The account has as many identities as it may have; fact `identities_max`."""

    reason = "TOO_MANY_IDENTITIES"
    code = "FAILED_PRECONDITION"


class NotMemberError(DrinkError):
    """Somebody has logged in at a source who is not in the group of those who may."""

    reason = "NOT_A_MEMBER"
    code = "PERMISSION_DENIED"


class DirectoryUnavailableError(DrinkError):
    """The directory cannot say whether the password is right: it is away, slow or set up wrong."""

    reason = "DIRECTORY_UNAVAILABLE"
    code = "UNAVAILABLE"
    retry_after_s = 10
