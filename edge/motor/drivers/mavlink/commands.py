"""Commands to a base and its answers: an answer counts if it is to us and was asked for."""

from edge.motor.drivers.mavlink.stream import MavMessage, mav

ANSWER_LIMIT_NS = 1_000_000_000
NAMES = {mav.MAV_CMD_COMPONENT_ARM_DISARM: "arm", mav.MAV_CMD_DO_SET_MODE: "switch to GUIDED"}


class Commands:
    """Commands that the base has not answered yet. Times are CLOCK_MONOTONIC ns that the caller passes in."""

    def __init__(self, system: int, component: int) -> None:
        """Take the numbers of this end: the base's system, and a component of it."""
        self.refusal = ""  # what the base refused last; empty once it has done it
        self.accepted: int | None = None  # the command that it accepted last
        self._refused: int | None = None  # the command of the refusal
        self._self = (system, component)
        self._asked_ns: dict[int, int] = {}  # when each was first sent without an answer

    def pack(self, command: int, *values: float, now_ns: int) -> MavMessage:
        """Return a command to the base, whose answer will be waited for."""
        self._asked_ns.setdefault(command, now_ns)
        return command_long(self._self[0], command, *values)

    def hear(self, ack: MavMessage) -> None:
        """Take an answer of the base. Older firmware leaves open to whom it answers: 0."""
        target = (ack.target_system, ack.target_component)
        mine = all(number in (0, own) for number, own in zip(target, self._self, strict=True))
        if not mine or ack.command not in self._asked_ns or ack.result == mav.MAV_RESULT_IN_PROGRESS:
            return
        del self._asked_ns[ack.command]
        if ack.result == mav.MAV_RESULT_ACCEPTED:
            self.accepted = ack.command
            self._take_back(ack.command)
        else:
            self.accepted, self._refused = None, ack.command
            results = mav.enums["MAV_RESULT"]
            known = ack.result in results
            name = results[ack.result].name.removeprefix("MAV_RESULT_") if known else str(ack.result)
            how = name.lower().replace("_", " ")
            self.refusal = f"the base refused to {NAMES[ack.command]} ({how})"

    def done(self, command: int) -> None:
        """Wait for no answer to this command: the base's heartbeat shows that it was obeyed."""
        self._asked_ns.pop(command, None)
        self._take_back(command)
        if self.accepted == command:
            self.accepted = None

    def unanswered(self, now_ns: int) -> str:
        """Return what the base has not answered for a second; empty if it answers."""
        for command, asked_ns in self._asked_ns.items():
            if now_ns - asked_ns > ANSWER_LIMIT_NS:
                return (
                    f"the base does not answer the request to {NAMES[command]}: it is heard, but does it "
                    "hear? Check the wire from TX here to its RX, and that its port speaks MAVLink 2"
                )
        return ""

    def forget(self) -> None:
        """Wait for no answer any more."""
        self._asked_ns.clear()
        self.refusal, self.accepted, self._refused = "", None, None

    def _take_back(self, command: int) -> None:
        if self._refused == command:
            self.refusal, self._refused = "", None


def command_long(system: int, command: int, *values: float) -> MavMessage:
    """Return a command to the autopilot of `system`; values that are left out are 0."""
    padded = (*values, *[0.0] * (7 - len(values)))
    return mav.MAVLink_command_long_message(system, mav.MAV_COMP_ID_AUTOPILOT1, command, 0, *padded)
