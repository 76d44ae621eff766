"""The faults that are injected: a row each, with the ends that are right for it. Causes are added here."""

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.soak.faults import cameras
from benchmarks.soak.faults import injections as do
from benchmarks.soak.faults.fault import BUG, KILLED, WENT_ON, Fault

SLACK_MS = 40  # as in tests/faults: a firmware's tick, and a machine that is busy with other work
RAMP_MS = 250  # from full speed to zero
FIRMWARE_MS = 300  # the base's own limit without setpoints
AGE_MS = 500  # from the newest frame to zero
AWAY_MS = 200  # without a frame, until the base is told to hold
HEARD_MS = 100  # from the base's or the operator's word to the motor process
SILENT_MS = 2000  # the model may be silent for so long
BRAKED_MS = HEARD_MS + RAMP_MS + SLACK_MS

_STALE = ("stale_chunk", "stale_frame")
_LINE = ("motor_fault", "stale_odometry", "base_fault", "hardware_missing", "base_disagrees")
_JUNK = (
    "the weather is nice",
    "go forward " * 40,
    "go forward -1e999 m",
    "[" * 200,
    '{"a":' * 60,
    "turn left and turn right",
    "<loc0000><loc0000><loc1023><loc1023>",
    "<loc0900><loc0100><loc0100><loc0900> red cup",
    "\x01\ud7ff‮" * 20,
)

CLEAN = Fault(0, "no fault", (WENT_ON,))

FAULTS: tuple[Fault, ...] = (
    CLEAN,
    Fault(1, "camera unplugged: reads block", ("hardware_missing", *_STALE), cameras.hang_stream,
          AWAY_MS + RAMP_MS + SLACK_MS, rig="stream"),
    Fault(2, "camera says success and delivers no data", ("hardware_missing",), rig="relay",
          camera="broken://empty/"),
    Fault(3, "camera repeats its last frame", ("camera_repeats",), cameras.repeat_picture,
          300 + RAMP_MS + SLACK_MS, rig="relay"),
    Fault(4, "camera stack hangs", (WENT_ON,), cameras.hang_camera_process,
          hold_ms=AWAY_MS + RAMP_MS + SLACK_MS, rig="stream"),
    Fault(5, "camera never comes back", ("hardware_missing", *_STALE), cameras.kill_stream,
          AWAY_MS + RAMP_MS + SLACK_MS, rig="stream"),
    Fault(6, "camera delivers frames that are too old", ("stale_frame", "camera_clock", "camera_late"),
          cameras.age_frames, AGE_MS + SLACK_MS, rig="relay"),
    Fault(7, "camera drops frames", (WENT_ON,), cameras.drop_half, rig="relay"),
    Fault(8, "camera slower than driving needs", ("camera_slow", *_STALE), cameras.drop_nine_in_ten,
          AGE_MS + SLACK_MS, rig="relay"),
    Fault(9, "camera delivers another shape", ("camera_resized",), rig="relay", camera="broken://resized/"),
    Fault(10, "camera black", ("camera_black",), cameras.blacken, 500 + RAMP_MS + SLACK_MS, rig="relay"),
    Fault(11, "camera stamps in the future", ("camera_clock",), cameras.stamp_ahead,
          4 * 34 + RAMP_MS + SLACK_MS, rig="relay"),
    Fault(16, "bundle: slow warm-up", (WENT_ON,), breaks="slow_warm_up"),
    Fault(19, "inference hangs", ("model_silent",), breaks="hangs",
          zero_ms=SILENT_MS + BRAKED_MS),
    Fault(20, "inference slow: elapsed rows", (WENT_ON,), breaks="late"),
    Fault(22, "inference killed for memory", (KILLED,), do.kill_inference, 50 + RAMP_MS),
    Fault(23, "inference says NaN", (WENT_ON,), breaks="nan", hold_ms=BRAKED_MS),
    Fault(24, "inference jumps", ("jumping_chunk", "stale_chunk"), breaks="jump",
          zero_ms=AGE_MS + SLACK_MS),
    Fault(25, "chunk used up", ("stale_chunk",), breaks="used_up", zero_ms=AGE_MS + SLACK_MS),
    Fault(26, "inference raises", (BUG,), breaks="raises", zero_ms=BRAKED_MS),
    Fault(27, "output frozen while the scene changes", ("stale_chunk",), breaks="frozen",
          zero_ms=AGE_MS + SLACK_MS),
    Fault(28, "answers without sense (28 to 32)", (WENT_ON,), breaks="says", says=_JUNK),
    Fault(33, "parser raises", (BUG,), breaks="parser", zero_ms=BRAKED_MS),
    Fault(34, "no fresh command", ("stale_chunk",), breaks="silent", zero_ms=AGE_MS + SLACK_MS),
    Fault(35, "runtime SIGKILLed", (KILLED,), do.kill_runtime, 50 + RAMP_MS),
    Fault(36, "runtime SIGSTOPped", (*_STALE, "jumping_chunk", "model_silent"), do.stop_runtime,
          AGE_MS + SLACK_MS),
    Fault(37, "cable out", _LINE, do.cut, FIRMWARE_MS + SLACK_MS, rig="relay", wired="pty"),
    Fault(38, "corrupted bytes", (WENT_ON,), do.damage_packets, rig="relay", wired="pty"),
    Fault(39, "packets repeated and replayed", (WENT_ON,), do.repeat_packets, rig="relay", wired="pty"),
    Fault(40, "board reads no more", _LINE, do.befall("mute"), rig="relay", board_dies=True),
    Fault(41, "board reboots", ("base_disarmed",), do.befall("reboot"), SLACK_MS, rig="relay",
          board_stops=True),
    Fault(42, "feedback disagrees with the command", ("base_disagrees", "camera_still"),
          do.befall("wheels dead"), rig="relay"),
    Fault(43, "heartbeat alive, decisions stale", ("stale_chunk",), breaks="stale",
          zero_ms=AGE_MS + SLACK_MS),
    Fault(44, "two owners of one port", (WENT_ON,), do.second_run, rig="relay"),
    Fault(45, "battery low", ("low_battery",), do.befall("battery 0.05"), 1000 + BRAKED_MS, rig="relay"),
    Fault(46, "hot machine", ("hot",), do.heat_up, SILENT_MS + BRAKED_MS, needs=("machine",)),
    Fault(48, "a loop stalls for 200 ms", (WENT_ON,), do.stall),
    Fault(49, "wall clock steps", (WENT_ON,), do.step_clock, needs=("clock",)),
    Fault(50, "the interpreter's lock is held", (*_STALE, "jumping_chunk"), breaks="gil",
          zero_ms=AGE_MS + SLACK_MS),
    Fault(51, "suspend and resume", (*_STALE, "suspended", "machine_slow", "motor_fault", "jumping_chunk"),
          do.sleep, FIRMWARE_MS + SLACK_MS),
    Fault(52, "telemetry lost", (WENT_ON,), do.lose_telemetry, needs=("machine",)),
    Fault(53, "emergency stop, and its reset", ("base_fault",), do.press_and_release, BRAKED_MS,
          rig="relay", board_stops=True),
    Fault(54, "gamepad is gone", ("operator_lost",), do.unplug_pad, BRAKED_MS, needs=("pad",)),
    Fault(55, "Ctrl-C, SIGTERM, terminal closed", ("interrupted",), do.interrupt, BRAKED_MS),
    Fault(56, "manual takeover", (WENT_ON,), do.take_over, needs=("pad",)),
    Fault(57, "start with a command that is not zero", (WENT_ON,), needs=("pad",), off_centre=True),
    Fault(58, "disk full", (WENT_ON,), do.fill_disk, rig="relay", needs=("disk",)),
    Fault(59, "recorder dies", (WENT_ON,), do.take_folder_away, rig="relay",
          arguments=("--log-level", "debug")),
    Fault(60, "power cut", (KILLED,), do.cut_power, FIRMWARE_MS + SLACK_MS),
    Fault(61, "slow card", (WENT_ON,), do.stall_log, arguments=("--log-level", "debug")),
    Fault(65, "remote peer drops", _LINE, do.cut, FIRMWARE_MS + SLACK_MS, rig="relay", wired="udp"),
    Fault(66, "message too large", (WENT_ON,), do.send_too_much),
    Fault(67, "peer without the token", ("operator",), do.ask_to_stop, BRAKED_MS),
    # Words on the lens stay where they are in the picture, and move otherwise than the room.
    Fault(68, "text in the scene gives orders", (WENT_ON, "camera_foreign", "camera_still"),
          cameras.paint_orders, rig="relay"),
)  # fmt: skip

LEFT_OUT: Mapping[int, str] = MappingProxyType(
    {
        13: "needs plans of TensorRT, or a double of its library",
        21: "needs a GPU, or a double of CUDA's library",
    }
)
