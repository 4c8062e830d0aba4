"""The emulated board without I/O: its methods take bytes and the time, and return bytes.

It behaves as the real firmware was observed to: it reads one command at a time, pushes a status
whenever a slot's sensor changes, and sends a full status after each answer. An invalid line ends
its reader until the power is cycled.
"""

import random
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from drink_agent.board.emulator.counts import Counts
from drink_agent.board.emulator.schedule import Cut, Scope, SegmentWriter, Timers
from drink_agent.board.emulator.spec import ArmedFault, BoardSpec, Dialect, Fault

FALL_AT: Final = 0.4
"""When the can falls, as a part of the motor time: the motor turns 0.5 to 1.5 s of the 3.5 s."""

_MAX_UNREAD: Final = 4096
"""Most unread bytes and lines; more are a violation."""

_MAX_VIOLATIONS: Final = 100
"""Violations that are listed; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Send:
    """One write to the agent."""

    data: bytes
    """The bytes, at least one."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Interrupt the connection."""

    seconds: float
    """Seconds until it is connected again."""
    silently: bool = False
    """Whether the agent cannot detect it: the power has failed, not the cable."""


Output = Send | HangUp


class EmulatedBoard:
    """One board. Methods take monotonic seconds and return the output.

    Args:
        spec: The board's properties.
    """

    def __init__(self, spec: BoardSpec) -> None:
        self.spec = spec
        self.counts = Counts(spec.cans, spec.state_file)
        self.connected = False
        """Whether an agent is connected."""
        self.violation_count = 0
        """Number of lines that would have ended the real firmware's reader."""
        self.violations: list[str] = []
        """The first of them, with the reasons."""
        self.lines_read = 0
        """Number of lines that the agent has sent."""
        self._rng = random.Random(spec.seed)  # noqa: S311
        self._writer = SegmentWriter(spec.cut, self._rng)
        self._faults: dict[int, deque[ArmedFault]] = {}
        self._sensors: dict[int, bool] = {}
        self._found_empty: set[int] = set()
        self._timers = Timers()
        self._temperature = spec.temperature
        self._unread = bytearray()
        self._lines: deque[bytes] = deque()
        self._reader_alive = True
        self._motor_busy = False
        self._deaf_from: float | None = None
        self._hang_up: HangUp | None = None

    @property
    def next_deadline(self) -> float | None:
        """When `tick` is due; None if nothing is pending."""
        due = (self._timers.next_due, self._writer.next_due)
        return min((at for at in due if at is not None), default=None)

    def connect(self, now: float) -> list[Output]:
        """Connects the agent: the board logs in and reports its slots."""
        assert not self.connected
        self.connected = True
        self._unread.clear()
        self._lines.clear()
        self._reader_alive = True
        self._deaf_from = now + self.spec.responsive_s if self.spec.deaf_s else None
        blank = " " if self.spec.dialect is Dialect.RUBY else ""
        self._send_line(f"0{blank}{self.spec.password}", now)
        if self.spec.dialect is Dialect.FIRMWARE:
            for slot in sorted(self.counts.cans):
                self._send_slot(slot, now)
            self._send_all(now)
            self._report(now)
        else:
            self._send_line("9", now)
            self._report(now)
        return self._take(now)

    def disconnect(self) -> None:
        """Loses the connection and its pending output; the motor goes on."""
        self.connected = False
        self._writer.clear()
        self._timers.cancel(Scope.CONNECTION)

    def receive(self, data: bytes, now: float) -> list[Output]:
        """Takes bytes from the agent."""
        if self._reader_alive and not self._is_deaf(now):
            self._unread += data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            *lines, rest = bytes(self._unread).split(b"\n")
            self._unread = bytearray(rest)
            self._lines.extend(lines)
            self.lines_read += len(lines)
            if len(self._unread) + len(self._lines) > _MAX_UNREAD:
                self._violate(b"...", "more than a board can hold")
        self._read_lines(now)
        return self._take(now)

    def tick(self, now: float) -> list[Output]:
        """Does everything that is due."""
        self._timers.run(now)
        self._read_lines(now)
        return self._take(now)

    def arm(self, fault: ArmedFault, slot: int, times: int = 1) -> None:
        """Makes the slot's next commands go wrong."""
        self._faults.setdefault(slot, deque()).extend([fault] * times)

    def disarm(self) -> None:
        """Removes all armed faults."""
        self._faults.clear()

    def refill(self, slot: int, cans: int, now: float) -> list[Output]:
        """Sets the number of cans in a slot, like a person who refills it."""
        before = self._stocked(slot)
        self._found_empty.discard(slot)
        self.counts.refill(slot, cans)
        if self._stocked(slot) != before:
            self._send_slot(slot, now)
        return self._take(now)

    def override_sensor(self, slot: int, stocked: bool | None, now: float) -> list[Output]:
        """Fixes the reading of a slot's sensor; None makes it true again."""
        self._found_empty.discard(slot)
        if stocked is None:
            self._sensors.pop(slot, None)
        else:
            self._sensors[slot] = stocked
        self._send_slot(slot, now)
        return self._take(now)

    def set_temperature(self, degrees: float | None, now: float) -> list[Output]:
        """Sets the temperature in Fahrenheit; None for no thermometer."""
        self._temperature = degrees
        self._send_temperature(now)
        return self._take(now)

    def set_cut(self, cut: Cut) -> None:
        """Changes how writes are cut."""
        self._writer.cut = cut

    def send(self, data: bytes, now: float) -> list[Output]:
        """Sends any bytes to the agent."""
        if self.connected:
            self._writer.write(data, now)
        return self._take(now)

    def cut_connection(self, seconds: float, now: float) -> list[Output]:
        """Interrupts the connection for some seconds."""
        self._hang_up = HangUp(seconds)
        return self._take(now)

    def to_dict(self) -> dict[str, Any]:
        """Returns counts and state in a JSON-able form."""
        return {
            "board": self.spec.name,
            "items": {str(slot): item for slot, item in sorted(self.spec.items.items())},
            **self.counts.to_dict(),
            "connected": self.connected,
            "motor_running": self._motor_busy,
            "lines_read": self.lines_read,
            "protocol_violations": self.violation_count,
            "violations": list(self.violations),
        }

    # --- output ---

    def _take(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        if self.connected:
            outputs.extend(Send(data) for data in self._writer.take(now))
        if self._hang_up is not None:
            outputs.append(self._hang_up)
            self._hang_up = None
        return outputs

    def _send_line(self, line: str, now: float) -> None:
        if self.connected:
            self._writer.write(line.encode("latin-1") + b"\n", now)

    def _send_slot(self, slot: int, now: float) -> None:
        if self.spec.dialect is Dialect.FIRMWARE:
            self._send_line(f"7{slot} {self._stocked(slot):d}", now)

    def _send_all(self, now: float) -> None:
        slots = (f"{slot} {self._stocked(slot):d}" for slot in sorted(self.counts.cans))
        self._send_line("7" + "`".join(slots), now)

    def _send_temperature(self, now: float) -> None:
        if self._temperature is None:
            self._send_line("9", now)
        elif self.spec.dialect is Dialect.RUBY:
            self._send_line(f"8 {self._temperature:.1f}", now)
        elif self._temperature:  # the firmware treats 0 as a failed reading
            self._send_line(f"8{self._temperature:.1f}", now)

    def _report(self, now: float) -> None:
        self._send_temperature(now)
        self._timers.add(now + self.spec.report_s, Scope.CONNECTION, self._report)

    def _stocked(self, slot: int) -> bool:
        if slot in self._found_empty:
            return False
        return self._sensors.get(slot, self.counts.cans.get(slot, 0) > 0)

    # --- input ---

    def _is_deaf(self, now: float) -> bool:
        if self._deaf_from is None or now < self._deaf_from:
            return False
        period_s = self.spec.deaf_s + self.spec.responsive_s
        return (now - self._deaf_from) % period_s < self.spec.deaf_s

    def _read_lines(self, now: float) -> None:
        while self._lines and self._reader_alive and not self._motor_busy:
            self._execute(self._lines.popleft(), now)

    def _execute(self, line: bytes, now: float) -> None:
        opcode, payload = line[:1], line[1:]
        match opcode:
            case b"1":
                if self.spec.dialect is Dialect.FIRMWARE:
                    self._send_all(now)
            case b"2":
                if self.spec.dialect is Dialect.RUBY:
                    self._hang_up = HangUp(self.spec.report_s)
            case b"3":
                self._execute_drop(line, payload, now)
            case b"6" if self.spec.dialect is Dialect.RUBY:
                self._send_line(f"7 {payload.strip().decode('ascii', 'replace') or 0} 1", now)
            case b"6":
                self._send_all(now)
            case _ if not opcode.isdigit():
                self._violate(line, "an empty line" if not line else "no digit first")

    def _execute_drop(self, line: bytes, payload: bytes, now: float) -> None:
        digits = payload.strip() if self.spec.dialect is Dialect.RUBY else payload
        if payload != digits or not payload.isdigit():
            self._violate(line, "no slot number right after the 3")
        if digits.isdigit():
            self._command_slot(int(digits), now)

    def _violate(self, line: bytes, why: str) -> None:
        self.violation_count += 1
        if len(self.violations) < _MAX_VIOLATIONS:
            self.violations.append(f"{line[:80]!r}: {why}")
        if self.spec.dialect is Dialect.FIRMWARE:
            self._reader_alive = False
            self._lines.clear()
            self._unread.clear()

    # --- dispensing ---

    def _command_slot(self, slot: int, now: float) -> None:
        if slot and slot not in self.counts.cans and self.spec.dialect is Dialect.FIRMWARE:
            self._violate(b"3%d" % slot, "a slot that the board does not have")
            return
        armed = self._faults.get(slot)
        fault = armed.popleft() if armed else _NO_FAULT
        by_chance = self.spec.refuse_rate > 0 and self._rng.random() < self.spec.refuse_rate
        if self._stocked(slot) and fault.fault in _FIND_EMPTY:
            self._find_empty(slot, fault, now)
        elif not self._stocked(slot) or fault.fault is Fault.REFUSE or by_chance:
            self._answer("5", now)
        else:
            self._run_motor(slot, fault, now)

    def _find_empty(self, slot: int, fault: ArmedFault, now: float) -> None:
        """Refuses later without running the motor; until then the board reads nothing."""
        self._motor_busy = True
        self._found_empty.add(slot)
        self._send_slot(slot, now)
        self._timers.add(now + fault.seconds, Scope.POWER, lambda due: self._refuse(fault, due))

    def _refuse(self, fault: ArmedFault, now: float) -> None:
        self._motor_busy = False
        if fault.fault is not Fault.FOUND_EMPTY_SILENT:
            self._answer("5", now)

    def _run_motor(self, slot: int, fault: ArmedFault, now: float) -> None:
        self._motor_busy = True
        self.counts.motor_started(slot)
        motor_s = self.spec.motor_s + (fault.seconds if fault.fault is Fault.SLOW else 0.0)
        late_s = fault.seconds if fault.fault is Fault.LATE else 0.0
        falls_at = now + motor_s * FALL_AT
        if fault.fault is Fault.POWER_BEFORE:
            self._timers.add(falls_at, Scope.POWER, lambda _: self._lose_power(fault.seconds))
        if fault.fault is not Fault.JAM:
            self._timers.add(falls_at, Scope.POWER, lambda due: self._fall(slot, due))
        if fault.fault is Fault.POWER:
            self._timers.add(falls_at, Scope.POWER, lambda _: self._lose_power(fault.seconds))
        if fault.fault is Fault.DISCONNECT:
            hang_up = HangUp(fault.seconds)
            self._timers.add(falls_at, Scope.POWER, lambda _: setattr(self, "_hang_up", hang_up))
        done_at = now + motor_s + late_s
        self._timers.add(done_at, Scope.POWER, lambda due: self._finish(fault, due))

    def _fall(self, slot: int, now: float) -> None:
        # The slot may have been emptied while its motor turned.
        if not self.counts.cans[slot]:
            return
        self.counts.can_fell(slot)
        if not self._stocked(slot):
            self._send_slot(slot, now)

    def _lose_power(self, seconds: float) -> None:
        self._timers.cancel(Scope.POWER)
        self._lines.clear()
        self._motor_busy = False
        self._hang_up = HangUp(seconds, silently=True)

    def _finish(self, fault: ArmedFault, now: float) -> None:
        """Stops the motor. The firmware answers over the connection that is open at that time."""
        self._motor_busy = False
        if not self.connected:
            return
        match fault.fault:
            case Fault.SILENT:
                return
            case Fault.REFUSE_AFTER:
                self._answer("5", now)
            case Fault.GARBAGE:
                self._send_line("".join(self._rng.choices(_JUNK, k=40)), now)
                self._answer("4", now)
                self._send_line("7 \xff`", now)
            case Fault.DUPLICATE:
                self._answer("4", now)
                again_at = now + fault.seconds
                self._timers.add(again_at, Scope.CONNECTION, lambda due: self._send_line("4", due))
            case _:
                self._answer("4", now)

    def _answer(self, answer: str, now: float) -> None:
        self._send_line(answer, now)
        if self.spec.dialect is Dialect.FIRMWARE:
            self._send_all(now)


_NO_FAULT: Final = ArmedFault(None)

_FIND_EMPTY: Final = (Fault.FOUND_EMPTY, Fault.FOUND_EMPTY_SILENT)

_JUNK: Final = "abc \x00\x07\x1b\x7f\x80\xff`~|"
