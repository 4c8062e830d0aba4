"""AccountService: logging in, and accounts and their credits."""
# ruff: noqa: N802 - the methods are named by the protocol

from functools import partial

from drink.v1 import account_service_pb2 as pb
from drink.v1 import account_service_pb2_grpc
from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.entities import ALL_ENTRIES, Account, Proof
from drink_frontend.domain.errors import FieldInvalidError, KioskRequiredError
from drink_frontend.domain.limits import (
    PASSWORD_MAX,
    check_account,
    check_barcode,
    check_ibutton,
    check_range,
    check_text,
)
from drink_frontend.domain.tokens import AccessToken
from drink_frontend.rpc.calls import Context, administrator, caller, current_call
from drink_frontend.rpc.conversion import (
    account_message,
    card_message,
    drop_name,
    entry_message,
    entry_selection,
    page_limit,
    page_token,
    page_token_after,
    parse_account,
    parse_card_name,
    parse_page_token,
    parse_page_token_after,
    parse_scope,
    parse_token_name,
    timestamp,
    token_message,
)
from drink_frontend.rpc.identity_conversion import identity_message
from drink_frontend.rpc.preferences_conversion import parse_favourite, preferences_message
from drink_frontend.rpc.provider_conversion import provider_message
from drink_frontend.rpc.response_limits import PageLimits
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.provider_logins import Entry, ProviderLogins
from drink_frontend.usecases.transfers import Transfers


class AccountService(account_service_pb2_grpc.AccountServiceServicer):
    """The RPCs of drink.v1.AccountService.

    Args:
        accounts: The use cases of accounts.
        transfers: The use cases of credits.
        provider_logins: The use cases of logins with OpenID providers.
        pages: Limits pages of lists.
    """

    def __init__(
        self,
        accounts: Accounts,
        transfers: Transfers,
        provider_logins: ProviderLogins,
        pages: PageLimits,
    ) -> None:
        self._provider_logins = provider_logins
        self._accounts = accounts
        self._transfers = transfers
        self._tokens = accounts.tokens
        self._cards = accounts.cards
        self._identities = accounts.identities
        self._preferences = accounts.preferences
        self._pages = pages

    async def Login(self, request: pb.LoginRequest, _context: Context) -> pb.LoginResponse:
        """Returns a bearer token for a password, iButton or card, or a token of a provider."""
        scope = parse_scope(request.scope)
        name = check_text(request.display_name, "display_name")
        origin = current_call().origin
        entry = await self._sign_in(request, origin)
        if entry is None:
            account, proof = await self._log_in(request, origin)
            token, expires_ms = await self._tokens.issue(account, proof, scope=scope, name=name)
        else:
            account = entry.account
            token, expires_ms = await self._tokens.issue(
                account,
                Proof.PROVIDER,
                scope=scope,
                name=name,
                ttl_s=entry.ttl_s,
                assertion=entry.assertion,
            )
        return pb.LoginResponse(
            token=token, expire_time=timestamp(expires_ms), account=account_message(account)
        )

    async def _log_in(self, request: pb.LoginRequest, peer: str) -> tuple[Account, Proof]:
        match request.WhichOneof("credentials"):
            case "password":
                name = parse_account(request.password.account, "password.account")
                password = request.password.password
                check_range(len(password), "password.password", 1, PASSWORD_MAX)
                account = await self._accounts.login_password(name, password, peer)
                return account, Proof.PASSWORD
            case "ibutton":
                login = await self._accounts.login_ibutton(check_ibutton(request.ibutton), peer)
                return login.account, login.proof
            case "card":
                login = await self._accounts.login_card(request.card, peer)
                return login.account, login.proof
            case "barcode":
                check_barcode(request.barcode)
                raise KioskRequiredError("a barcode logs in only at a paired kiosk")
            case _:
                raise FieldInvalidError("credentials", "must be a password, an iButton or a card")

    async def _sign_in(self, request: pb.LoginRequest, peer: str) -> Entry | None:
        """The login with a token of an OpenID provider; None for other credentials."""
        match request.WhichOneof("credentials"):
            case "oidc":
                given = request.oidc
                return await self._provider_logins.log_in(
                    check_text(given.provider, "oidc.provider"),
                    given.id_token,
                    given.nonce,
                    peer,
                    access_token=given.access_token,
                )
            case "access_token":
                return await self._provider_logins.log_in_access(request.access_token, peer)
            case _:
                return None

    async def ListSignInProviders(
        self, _request: pb.ListSignInProvidersRequest, _context: Context
    ) -> pb.ListSignInProvidersResponse:
        """The OpenID providers."""
        found = await self._provider_logins.list()
        return pb.ListSignInProvidersResponse(providers=map(provider_message, found))

    async def EndProviderSessions(
        self, request: pb.EndProviderSessionsRequest, _context: Context
    ) -> pb.EndProviderSessionsResponse:
        """Ends the logins that a logout token names."""
        origin = current_call().origin
        count = await self._provider_logins.end_sessions(request.logout_token, origin)
        return pb.EndProviderSessionsResponse(count=count)

    async def Logout(self, _request: pb.LogoutRequest, _context: Context) -> pb.LogoutResponse:
        """Ends the login whose token the call brings."""
        token_digest = current_call().token_digest
        assert token_digest is not None, "the method is for users only"
        await self._tokens.log_out(caller(), token_digest)
        return pb.LogoutResponse()

    async def ListTokens(
        self, request: pb.ListTokensRequest, _context: Context
    ) -> pb.ListTokensResponse:
        """One page of an account's tokens."""
        limit = page_limit(request.page_size)
        account = await self._account_shown(request.parent)
        scope = f"tokens {account.id}"
        after = parse_page_token_after(request.page_token, scope)
        current = current_call().token_digest
        async with self._pages.turn(caller().id, limit):
            found = await self._tokens.list(caller(), account.id)
            messages, token = self._pages.page(
                [each for each in found if not after or _place(each) < after][:limit],
                partial(token_message, account.name, current=current),
                limit,
                lambda each: page_token_after(_place(each), scope),
            )
            return pb.ListTokensResponse(tokens=messages, next_page_token=token)

    async def RevokeToken(
        self, request: pb.RevokeTokenRequest, _context: Context
    ) -> pb.RevokeTokenResponse:
        """Ends one token of the caller, or of anybody for an administrator."""
        account, token_id = parse_token_name(request.name, "name")
        await self._tokens.revoke(caller(), account, token_id)
        return pb.RevokeTokenResponse()

    async def RevokeAllTokens(
        self, request: pb.RevokeAllTokensRequest, _context: Context
    ) -> pb.RevokeAllTokensResponse:
        """Ends all tokens of the caller, or of anybody for an administrator."""
        name = parse_account(request.parent, "parent") if request.parent else caller().id
        keep = current_call().token_digest if request.keep_current else None
        count = await self._tokens.revoke_all(caller(), name, keep)
        return pb.RevokeAllTokensResponse(count=count)

    async def ChangePassword(
        self, request: pb.ChangePasswordRequest, _context: Context
    ) -> pb.ChangePasswordResponse:
        """Gives the caller another password, and a token in place of those of before."""
        check_range(len(request.old_password), "old_password", 1, PASSWORD_MAX)
        account = await self._accounts.change_password(
            caller(), request.old_password, request.new_password, current_call().origin
        )
        token, expires_ms = await self._tokens.issue(account)
        return pb.ChangePasswordResponse(token=token, expire_time=timestamp(expires_ms))

    async def GetAccount(
        self, request: pb.GetAccountRequest, _context: Context
    ) -> pb.GetAccountResponse:
        """The caller's account, or the one that is named."""
        account = await self._account_shown(request.name, "name")
        return pb.GetAccountResponse(account=account_message(account))

    async def _account_shown(self, name: str, field: str = "parent") -> Account:
        """The account that is named, if the caller may see it, or the caller's own."""
        if name:
            return await self._accounts.get(caller(), parse_account(name, field))
        return await self._accounts.balance(caller().id)

    async def AddCredits(
        self, request: pb.AddCreditsRequest, _context: Context
    ) -> pb.AddCreditsResponse:
        """Moves credits between the funding account and a user."""
        actor = administrator("grant credits")
        name = parse_account(request.account, "account")
        account = await self._transfers.add_credits(
            actor, request.request_id, name, request.credits, reason=request.reason
        )
        return pb.AddCreditsResponse(account=account_message(account))

    async def SetCredits(
        self, request: pb.SetCreditsRequest, _context: Context
    ) -> pb.SetCreditsResponse:
        """Sets what a user owns to a number."""
        actor = administrator("set credits")
        name = parse_account(request.account, "account")
        for field in ("posted_credits", "expected_posted_credits"):
            if not request.HasField(field):
                raise FieldInvalidError(field, "is missing")
        account = await self._transfers.set_posted(
            actor,
            request.request_id,
            name,
            request.posted_credits,
            request.expected_posted_credits,
            reason=request.reason,
        )
        return pb.SetCreditsResponse(account=account_message(account))

    async def TransferCredits(
        self, request: pb.TransferCreditsRequest, _context: Context
    ) -> pb.TransferCreditsResponse:
        """Sends credits of the caller to another user."""
        recipient = parse_account(request.recipient, "recipient")
        account = await self._transfers.send(
            caller(), request.request_id, recipient, request.credits, reason=request.reason
        )
        return pb.TransferCreditsResponse(account=account_message(account))

    async def ListEntries(
        self, request: pb.ListEntriesRequest, _context: Context
    ) -> pb.ListEntriesResponse:
        """One page of an account's entries, newest first."""
        limit = page_limit(request.page_size)
        selection = entry_selection(request)
        account = await self._account_shown(request.parent)
        scope = f"entries {account.id}"
        if selection != ALL_ENTRIES:
            scope += f" {selection}"
        before = parse_page_token(request.page_token, scope)
        async with self._pages.turn(caller().id, limit):
            entries = await self._transfers.entries(caller(), account.id, before, limit, selection)
            messages, token = self._pages.page(
                entries,
                partial(entry_message, account.name),
                limit,
                lambda entry: page_token(entry.sequence, scope),
            )
            return pb.ListEntriesResponse(
                entries=messages,
                next_page_token=token,
            )

    async def ListAccounts(
        self, request: pb.ListAccountsRequest, _context: Context
    ) -> pb.ListAccountsResponse:
        """One page of users' accounts, by name."""
        account = administrator("see others' accounts")
        limit = page_limit(request.page_size)
        prefix = request.name_prefix and check_account(request.name_prefix, "name_prefix")
        scope = f"accounts {prefix} {request.open_only}"
        after = parse_page_token_after(request.page_token, scope)
        async with self._pages.turn(account.id, limit):
            found = await self._accounts.list_users(
                after, limit, prefix=prefix, open_only=request.open_only
            )
            messages, token = self._pages.page(
                found, account_message, limit, lambda each: page_token_after(each.name, scope)
            )
            return pb.ListAccountsResponse(
                accounts=messages,
                next_page_token=token,
            )

    async def CreateAccount(
        self, request: pb.CreateAccountRequest, _context: Context
    ) -> pb.CreateAccountResponse:
        """Creates a user's account, or opens a closed one again."""
        actor = administrator("make accounts").id
        account = await self._accounts.create(
            actor,
            parse_account(request.name, "name"),
            password=request.password if request.HasField("password") else None,
            ibutton=request.ibutton if request.HasField("ibutton") else None,
            admin=request.admin,
            readmit=request.reopen,
            display_name=request.display_name,
        )
        return pb.CreateAccountResponse(account=account_message(account))

    async def UpdateAccount(
        self, request: pb.UpdateAccountRequest, _context: Context
    ) -> pb.UpdateAccountResponse:
        """Changes the fields of a user's account that the request sets."""
        actor = administrator("change accounts").id
        account = await self._accounts.change(
            actor,
            parse_account(request.name, "name"),
            admin=request.admin if request.HasField("admin") else None,
            closed=request.closed if request.HasField("closed") else None,
            ibutton=request.ibutton or None,
            no_ibutton=request.HasField("ibutton") and not request.ibutton,
            credit_limit=request.credit_limit if request.HasField("credit_limit") else None,
            new_name=request.new_name if request.HasField("new_name") else None,
            display_name=request.display_name if request.HasField("display_name") else None,
        )
        left = await self._accounts.open_drops(account.id) if request.closed else ()
        return pb.UpdateAccountResponse(
            account=account_message(account), open_drops=[drop_name(drop.id) for drop in left]
        )

    async def EraseAccount(
        self, request: pb.EraseAccountRequest, _context: Context
    ) -> pb.EraseAccountResponse:
        """Erases the names, the credentials and the cards of a closed account."""
        actor = administrator("erase accounts").id
        account = await self._accounts.erase(actor, parse_account(request.name, "name"))
        return pb.EraseAccountResponse(account=account_message(account))

    async def SetPassword(
        self, request: pb.SetPasswordRequest, _context: Context
    ) -> pb.SetPasswordResponse:
        """Gives a user another password."""
        actor = administrator("set others' passwords").id
        name = parse_account(request.name, "name")
        account = await self._accounts.change(actor, name, password=request.password)
        return pb.SetPasswordResponse(account=account_message(account))

    async def AddCard(self, request: pb.AddCardRequest, _context: Context) -> pb.AddCardResponse:
        """Adds a card to a user."""
        number, label = request.WhichOneof("number"), request.display_name
        # Whoever adds a number learns whether it is in use; a code tells nothing of its card.
        needs_admin = number in ("chip", "barcode")
        actor = administrator("add cards") if needs_admin else caller()
        name = parse_account(request.parent, "parent")
        match number:
            case "code":
                origin = current_call().origin
                card = await self._cards.add_with_code(
                    actor, name, request.code, origin, label=label
                )
            case "chip" | "barcode":
                kind = CardKind.CHIP if number == "chip" else CardKind.BARCODE
                text = getattr(request, number)
                card = await self._cards.add(actor.id, name, kind, text, label=label)
            case _:
                raise FieldInvalidError("number", "must be a chip's, a barcode or a code")
        account = await self._accounts.balance(card.account)
        return pb.AddCardResponse(card=card_message(account.name, card))

    async def ListCards(
        self, request: pb.ListCardsRequest, _context: Context
    ) -> pb.ListCardsResponse:
        """The cards of the caller, or of anybody for an administrator."""
        account = await self._account_shown(request.parent)
        found = await self._cards.list(caller(), account.id)
        return pb.ListCardsResponse(cards=map(partial(card_message, account.name), found))

    async def RemoveCard(
        self, request: pb.RemoveCardRequest, _context: Context
    ) -> pb.RemoveCardResponse:
        """Removes a card of the caller, or of anybody for an administrator."""
        account, card_id = parse_card_name(request.name, "name")
        await self._cards.remove(caller(), account, card_id)
        return pb.RemoveCardResponse()

    async def ListIdentities(
        self, request: pb.ListIdentitiesRequest, _context: Context
    ) -> pb.ListIdentitiesResponse:
        """The identities of the caller, or of anybody for an administrator."""
        account = await self._account_shown(request.parent)
        found = await self._identities.list(caller(), account.id)
        return pb.ListIdentitiesResponse(identities=map(identity_message, found))

    async def LinkIdentity(
        self, request: pb.LinkIdentityRequest, _context: Context
    ) -> pb.LinkIdentityResponse:
        """Links an identity to a user."""
        actor = administrator("link identities").id
        name = parse_account(request.parent, "parent")
        found = await self._identities.link(actor, name, request.source, request.subject)
        return pb.LinkIdentityResponse(identity=identity_message(found))

    async def UnlinkIdentity(
        self, request: pb.UnlinkIdentityRequest, _context: Context
    ) -> pb.UnlinkIdentityResponse:
        """Removes an identity of a user."""
        actor = administrator("unlink identities").id
        name = parse_account(request.parent, "parent")
        await self._identities.unlink(actor, name, request.source, request.subject)
        return pb.UnlinkIdentityResponse()

    async def GetPreferences(
        self, _request: pb.GetPreferencesRequest, _context: Context
    ) -> pb.GetPreferencesResponse:
        """The caller's preferences."""
        found = await self._preferences.get(caller().id)
        return pb.GetPreferencesResponse(preferences=preferences_message(found))

    async def UpdatePreferences(
        self, request: pb.UpdatePreferencesRequest, _context: Context
    ) -> pb.UpdatePreferencesResponse:
        """Changes what is given of the caller's preferences."""
        favourites = None
        if request.HasField("favourites"):
            favourites = [parse_favourite(name) for name in request.favourites.names]
        changed = await self._preferences.change(
            caller().id,
            favourites=favourites,
            ranked=request.ranked if request.HasField("ranked") else None,
            language=request.language if request.HasField("language") else None,
        )
        return pb.UpdatePreferencesResponse(preferences=preferences_message(changed))


def _place(token: AccessToken) -> str:
    """Where a token stands in the list, whose order is that of these texts, reversed."""
    return f"{token.expires_ms:016} {token.id}"
