"""How a drive ends, and why the base was stopped: one word for each."""

from enum import Enum


class Outcome(Enum):
    """How a drive ended, in one word."""

    REACHED = "reached"  # the policy reached its goal
    FOLLOWED = "followed"  # it did to the end what has no end of its own: followed a thing, or words
    TIMEOUT = "timeout"
    NOTHING = "nothing"  # it looked, and had nothing to say or to do
    FALSE_ARRIVAL = "false_arrival"  # the policy claimed to have reached it; who knows better denies it
    FALSE_ANSWER = "false_answer"  # it named a thing that, as who knows better says, is not there
    STOPPED = "stopped"  # by a person, or at the end of a recording
    FAULT = "fault"  # by a safety rule, missing hardware or a bug


class StopCause(Enum):
    """Why the base was stopped, up to OPERATOR_LOST by the motor process, or a whole drive by the runtime."""

    NONE = "none"  # it was not
    REQUESTED = "requested"  # by the runtime
    RUNTIME_GONE = "runtime_gone"  # the runtime's end of the socket is closed
    QUIT = "quit"  # the motor process must end: by its runtime or by SIGTERM
    SUSPENDED = "suspended"  # the computer slept
    STALE_CHUNK = "stale_chunk"  # the frame that the newest followed chunk answers is too old
    JUMPING_CHUNK = "jumping_chunk"  # as before, and the chunk after it jumped away from it
    BASE_FAULT = "base_fault"  # the base reports a fault
    BASE_DISARMED = "base_disarmed"  # the base disarmed itself
    LOW_BATTERY = "low_battery"
    STALE_ODOMETRY = "stale_odometry"
    BASE_DISAGREES = "base_disagrees"  # the base moves differently from its setpoints
    CONTACT = "contact"  # the base touches something, too often or without getting free
    OPERATOR = "operator"  # a person stopped the drive, for good
    OPERATOR_LOST = "operator_lost"  # what a person could stop it with is gone
    STALE_FRAME = "stale_frame"  # a camera's newest frame is too old
    CAMERA_REPEATS = "camera_repeats"  # it gives the same picture again and again
    CAMERA_STILL = "camera_still"  # its picture does not change while the base turns
    CAMERA_LATE = "camera_late"  # its picture is older than its stamp
    CAMERA_FOREIGN = "camera_foreign"  # its picture moves otherwise than the base
    CAMERA_BLACK = "camera_black"
    CAMERA_WHITE = "camera_white"
    CAMERA_COVERED = "camera_covered"  # nothing has a form in its picture
    CAMERA_SLOW = "camera_slow"  # it gives too few frames a second
    CAMERA_RESIZED = "camera_resized"  # its picture changed its size in the middle
    CAMERA_CLOCK = "camera_clock"  # its stamps are of another clock than CLOCK_MONOTONIC
    CAMERA_BACKWARDS = "camera_backwards"  # its stamps go backwards too often
    MACHINE_SLOW = "machine_slow"  # it halts, or has no processor free, so that all comes late
    MODEL_SILENT = "model_silent"  # the model has not answered for too long
    ENGINE_FAULT = "engine_fault"
    HOT = "hot"  # the machine that computes is too hot
    NO_CHUNK_FOLLOWED = "no_chunk_followed"  # the motor process refused all that the policy planned
    MOTOR_FAULT = "motor_fault"  # the motor process is gone or silent, or the base did not arm
    HARDWARE_MISSING = "hardware_missing"  # a camera, the robot or what a package brings fails
    END_OF_FRAMES = "end_of_frames"  # every recorded frame has been played
    INTERRUPTED = "interrupted"  # by a signal, such as SIGINT
