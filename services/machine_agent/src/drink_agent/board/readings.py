"""What a board's sensors last said."""

from types import MappingProxyType

from drink_agent.board.port import StatusChanged
from drink_agent.domain.evidence import Sensor


class Readings:
    """Slot sensors and temperature of one board."""

    def __init__(self) -> None:
        self._sensors: MappingProxyType[int, Sensor] = MappingProxyType({})
        self._temperature_celsius: float | None = None
        self.fresh: dict[int, Sensor] = {}
        """Readings of this connection; only they are evidence."""
        self.read_at: dict[int, float] = {}
        """When each of them was taken, monotonic seconds."""
        self._list_began_at = float("-inf")

    def connected(self) -> None:
        """What follows comes over a new connection."""
        self.fresh, self.read_at = {}, {}
        self._list_began_at = float("-inf")

    def begin_list(self, now: float) -> None:
        """The board begins to list its slots: those that its last list did not name are gone."""
        for slot in [slot for slot, at in self.read_at.items() if at < self._list_began_at]:
            del self.fresh[slot], self.read_at[slot]
        self._list_began_at = now

    def has_before(self, then: float) -> bool:
        """Whether some reading is older than that, in monotonic seconds."""
        return any(at < then for at in self.read_at.values())

    def disconnected(self) -> None:
        """Forgets the temperature; an empty slot stays empty until the board says otherwise."""
        self._temperature_celsius = None

    def slot(self, slot: int, now: float, *, stocked: bool) -> Sensor:
        """A slot's sensor reported."""
        reading = Sensor.STOCKED if stocked else Sensor.EMPTY
        self.fresh[slot] = reading
        self.read_at[slot] = now
        if self._sensors.get(slot) is not reading:
            self._sensors = MappingProxyType({**self._sensors, slot: reading})
        return reading

    def forget_unlisted(self) -> None:
        """The board has listed all its slots: those of an earlier connection may be gone."""
        if self._sensors.keys() != self.fresh.keys():
            self._sensors = MappingProxyType(dict(self.fresh))

    def temperature(self, degrees: float, unit: str) -> None:
        """The thermometer reported, in "fahrenheit" or "celsius"."""
        celsius = (degrees - 32) * 5 / 9 if unit == "fahrenheit" else degrees
        self._temperature_celsius = round(celsius, 2)

    def status(self, *, ready: bool) -> StatusChanged:
        """All of it now."""
        return StatusChanged(ready, self._sensors, self._temperature_celsius)
