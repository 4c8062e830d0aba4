"""The types of boards: one driver each, without sockets, threads or clocks.

A new type of board is a module here with a subclass of `Driver`, its line in `DRIVERS`, and its
test. The settings' check and the documentation of `board.dialect` follow from `DRIVERS`.
"""

from collections.abc import Mapping
from typing import Final

from drink_agent.board.drivers.coke1994 import Coke1994Driver
from drink_agent.board.drivers.driver import Driver
from drink_agent.board.drivers.tini import TiniDriver

DRIVERS: Final[Mapping[str, type[Driver]]] = {"tini": TiniDriver, "coke1994": Coke1994Driver}
"""The drivers by the value of the setting `board.dialect`."""
