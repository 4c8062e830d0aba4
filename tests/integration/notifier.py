"""A notifier of a running system, `drink-web notify`, with receivers on this host."""

from collections.abc import Mapping
from typing import Self

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import account_service_pb2_grpc
from drink_frontend.domain.alarms import AlarmKind
from drink_web.texts import TEXTS
from scripts.client import CALL_LIMIT_S, open_channel
from scripts.local_system import LocalSystem
from scripts.plan import UserPlan
from scripts.processes import Process
from tests.fakes.receivers import MailServer, WebHook
from tests.support.ports import free_port

TITLES = {kind: TEXTS["en"](f"alarm_{kind}") for kind in AlarmKind}
"""What each kind of alarm is called in what is told."""

LIMIT_S = 60
"""Seconds within which something is told."""

TIMES = """look_s = 0.2
group_s = 0.2
pause_s = 0.2
lease_s = 120
send_limit_s = 60
retry_first_s = 0.3
retry_limit_s = 0.5
"""


class Notifier:
    """The process; a context manager that ends it.

    Args:
        system: Whose alarms it tells.
        admin: Who logs it in.
        receivers: Whom it tells, by the channel's name.

    Attributes:
        process: The process.
        metrics_port: Port of its metrics.
        receivers: Whom it tells.
    """

    def __init__(
        self, system: LocalSystem, admin: UserPlan, receivers: Mapping[str, MailServer | WebHook]
    ) -> None:
        self._system = system
        self._admin = admin
        self._channels = receivers
        self.receivers = tuple(receivers.values())
        self.metrics_port = free_port()
        self.process = Process(
            "notify", ["drink-web", "--config=notify.toml", "notify"], system.folder
        )

    def __enter__(self) -> Self:
        folder = self._system.folder.absolute()
        channels = ""
        for name, receiver in self._channels.items():
            (folder / f"{name}.url").write_text(f"{receiver.url}\n", encoding="utf-8")
            channels += f'[[notify.channels]]\nname = "{name}"\nurl_file = "{folder}/{name}.url"\n'
        (folder / "notify.token").write_text(self._token(), encoding="utf-8")
        (folder / "notify.toml").write_text(
            f'[frontend]\naddress = "{self._system.address}"\n'
            f'[notify]\ntoken_file = "{folder}/notify.token"\n{TIMES}'
            f'metrics_listen = "127.0.0.1:{self.metrics_port}"\n{channels}'
            '[log]\nformat = "json"\n',
            encoding="utf-8",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()

    def start(self) -> None:
        """Starts it and waits until it tells."""
        self.process.start()
        self.process.wait_for("notifying")
        self.process.wait_for("metrics_listening")

    def told(self, kind: AlarmKind, about: str) -> None:
        """Waits until all have been told that an alarm began."""
        for receiver in self.receivers:
            receiver.wait_for(f"] {TITLES[kind]}: {about}, since", LIMIT_S)

    def over(self, kind: AlarmKind, about: str) -> None:
        """Waits until all have been told that it is over, and checks that each was told once."""
        title = TITLES[kind]
        for receiver in self.receivers:
            receiver.wait_for(f"Over: {title}: {about}, from", LIMIT_S)
            lines = receiver.lines(f"{title}: {about},")
            assert len(lines) == 2, lines

    def _token(self) -> str:
        """A login for nothing else."""
        request = accounts.LoginRequest(scope=accounts.TOKEN_SCOPE_NOTIFY)
        request.password.account = f"accounts/{self._admin.name}"
        request.password.password = self._admin.password
        with open_channel(self._system.address) as channel:
            stub = account_service_pb2_grpc.AccountServiceStub(channel)
            return str(stub.Login(request, timeout=CALL_LIMIT_S).token)
