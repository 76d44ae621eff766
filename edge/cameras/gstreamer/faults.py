"""What a child process reports, as an error for people: what happened, and the next command."""

from collections.abc import Callable
from typing import Any

from edge.address import MAX_SHOWN_CHARS, without_password
from edge.cameras.gstreamer.job import StreamJob
from edge.errors import EdgeError, HardwareMissing, UsageError

INSTALL = (
    "sudo apt install gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad "
    "gstreamer1.0-libav"
)
_PACKAGES = {
    "nvarguscamerasrc": "nvidia-l4t-gstreamer",
    "nvvidconv": "nvidia-l4t-gstreamer",
    "v4l2src": "gstreamer1.0-plugins-good",
    "rtspsrc": "gstreamer1.0-plugins-good",
    "jpegdec": "gstreamer1.0-plugins-good",
    "videocrop": "gstreamer1.0-plugins-good",
    "videoflip": "gstreamer1.0-plugins-good",
    "avdec_mjpeg": "gstreamer1.0-libav",
    "decodebin": "gstreamer1.0-plugins-base",
    "videoconvert": "gstreamer1.0-plugins-base",
    "videoscale": "gstreamer1.0-plugins-base",
    "appsink": "gstreamer1.0-plugins-base",
    "x264enc": "gstreamer1.0-plugins-ugly",
}
_NOT_FOUND, _BUSY, _OPEN_READ, _OPEN_BOTH, _NOT_AUTHORIZED = 3, 4, 5, 7, 15  # GstResourceError
_NO_ELEMENT = 1  # GstParseError
_MISSING_PLUGIN = 12  # GstCoreError
_NO_DECODER = (6, 8)  # GstStreamError: WRONG_TYPE, CODEC_NOT_FOUND, DECODE
_DEVICES = "`ls -l /dev/v4l/by-id/` lists the cameras that are plugged in"
_BUSY_HINT = "another program uses it: `fuser -v /dev/video*` names it"
SENSOR_MODES = (
    "`v4l2-ctl --list-formats-ext` lists the sensor's modes; such as ?width=1920&height=1080&fps=30"
)
_FORMATS = {  # what shows the formats of a camera
    "v4l2": "`v4l2-ctl --list-formats-ext` lists what it has; such as ?format=yuyv&width=640&height=480",
    "csi": SENSOR_MODES,
}
Words = tuple[type[EdgeError], str, str]  # kind of error, what happened, hint


def fault_of(report: dict[str, Any], job: StreamJob, name: str) -> EdgeError:
    """Return the error for a child's report `failed`, `ended`, `gone` or `silent`."""
    if report["kind"] == "failed":
        kind, what, hint = _failed(report, job)
    elif report["kind"] == "ended":
        kind, what, hint = HardwareMissing, "the stream has ended", "is its sender still up?"
    elif report["kind"] == "gone":
        what = f"its process is gone ({report['text']})"
        kind, hint = HardwareMissing, "GST_DEBUG=2 before the command shows what GStreamer says"
    else:
        kind, what, hint = _silent(report["limit_s"], job)
    beginning = "camera address" if kind is UsageError else f"camera {name!r}"
    return kind(f"{beginning} {job.shown[:MAX_SHOWN_CHARS]!r}: {without_password(what)}", hint)


def _silent(limit_s: float, job: StreamJob) -> Words:
    hints = {
        "csi": "is its ribbon cable in? `sudo systemctl restart nvargus-daemon`, then try again",
        "v4l2": "does it deliver that size, rate and format? `v4l2-ctl --list-formats-ext` lists what it has",
        "rtsp": "try transport=udp or transport=tcp; timeout=30 waits longer for a slow one",
    }
    return HardwareMissing, f"no image for {limit_s:g} s", hints.get(job.scheme, "does its source run?")


def _failed(report: dict[str, Any], job: StreamJob) -> Words:
    domain, code = report["domain"], report["code"]
    by_domain: dict[str, Callable[[dict[str, Any], StreamJob], Words]] = {
        "gst_parse_error": _parse_error,
        "gst-resource-error-quark": _resource_error,
    }
    said = _said(report)
    if domain in by_domain:
        return by_domain[domain](report, job)
    if domain == "library":
        return HardwareMissing, f"GStreamer is not installed: {said}", INSTALL
    if domain == "stall" or (domain == "pace" and job.scheme != "gst"):
        return HardwareMissing, f"{said}, so what it shows is old", "close what else uses this machine"
    if domain == "pace":
        return (
            UsageError,
            said,
            'end the pipeline with "! identity sync=true", or give its source is-live=true',
        )
    if domain == "size":
        return (
            HardwareMissing,
            said,
            "out=WxH does not help: a model must not see two views; set the camera's size",
        )
    if domain == "opencv":
        return HardwareMissing, said, f"{_DEVICES}; {_BUSY_HINT}"
    if "not-negotiated" in said and job.scheme in _FORMATS:
        return HardwareMissing, f"it has no such size, rate or format: {said}", _FORMATS[job.scheme]
    if (domain == "gst-core-error-quark" and code == _MISSING_PLUGIN) or (
        domain == "gst-stream-error-quark" and code in _NO_DECODER
    ):
        return HardwareMissing, f"GStreamer can't decode it: {said}", INSTALL
    return HardwareMissing, said, "GST_DEBUG=2 before the command shows more"


def _parse_error(report: dict[str, Any], job: StreamJob) -> Words:
    text = report["text"]
    element = text.removeprefix('no element "').rstrip('"')
    if report["code"] == _NO_ELEMENT and (element in _PACKAGES or job.scheme != "gst"):
        package = _PACKAGES.get(element)
        if package == "nvidia-l4t-gstreamer":
            hint = f"csi:// is for a Jetson: `sudo apt install {package}` there; in a container mount it"
        else:
            hint = f"sudo apt install {package}" if package else INSTALL
        return HardwareMissing, f"GStreamer lacks the element {element}", hint
    if job.scheme != "gst":
        return (
            HardwareMissing,
            f"this GStreamer can't play it: {text}",
            "`gst-launch-1.0 --version`: 1.16 is needed",
        )
    hint = "try it alone: `gst-launch-1.0 PIPELINE ! fakesink`; it must end in raw video"
    return UsageError, f"GStreamer says: {text}", hint


def _resource_error(report: dict[str, Any], job: StreamJob) -> Words:
    code, said = report["code"], _said(report)
    if job.scheme == "rtsp":
        return _network_error(code, said)
    if code == _BUSY or "busy" in said.lower():
        return HardwareMissing, f"it is busy: {said}", _BUSY_HINT
    if code == _NOT_FOUND:
        return (
            HardwareMissing,
            f"it is not there: {said}",
            _DEVICES if job.scheme == "v4l2" else "check its name",
        )
    if "ermission" in said:
        return HardwareMissing, f"no permission: {said}", VIDEO_GROUP
    if job.scheme == "csi":
        return HardwareMissing, said, "`sudo systemctl restart nvargus-daemon`, then try again"
    return HardwareMissing, said, "check its cable and power"


def _network_error(code: int, said: str) -> Words:
    if code == _NOT_AUTHORIZED:
        return HardwareMissing, f"user or password is wrong: {said}", "rtsp://USER:PASSWORD@HOST/PATH"
    if code == _NOT_FOUND:
        return HardwareMissing, f"the host has no such stream: {said}", "check the path behind the host"
    if code in (_OPEN_READ, _OPEN_BOTH):
        return HardwareMissing, f"no host answers there: {said}", "is it on this network? `ping` its address"
    return HardwareMissing, said, "check the network and the camera's power"


def _said(report: dict[str, Any]) -> str:
    """Return GStreamer's text, with the last line of what it says to developers, where the cause stands."""
    text, lines = report["text"].rstrip("."), report["detail"].strip().splitlines()
    last = lines[-1].strip().rstrip(".") if len(lines) > 1 else ""
    return f"{text} ({last})" if last and last not in text else text


VIDEO_GROUP = "add this user to the group video, `sudo usermod -aG video $USER`, and log in again"
