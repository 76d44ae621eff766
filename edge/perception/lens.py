"""A camera's lens as calibration has measured it, and images as a pinhole camera would have taken them.

Models are trained on pictures of pinhole cameras, and `edge.perception.geometry` counts with one. So the
image is straightened before anybody sees it, onto the widest pinhole image that the lens fills: its optical
axis goes through the middle, its pixels are square, and its size is that of the camera's images.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.cameras.shm import HandsOver
from edge.errors import UsageError
from edge.interfaces import (
    AnnouncesFrames,
    AwaitsAnswers,
    Camera,
    Closing,
    PlaysRecording,
    ShowsStills,
    SuggestsFaster,
)
from edge.records import Frame, Image

Floats = NDArray[np.float64]
BROWN, FISHEYE = "brown", "fisheye"
TERMS = {BROWN: 5, FISHEYE: 4}  # OpenCV's k1 k2 p1 p2 k3, and k1 to k4 of cv2.fisheye
WIDEST_RAD = math.radians(110)  # from side to side of a straightened image: wider ones are all corners
_SIDE_POINTS = 33
_FOCALS, _HALVINGS = 100, 12  # focal lengths that are tried, then steps between two of them
_ROUNDS, _CLOSE = 60, 1e-9
_MEASURE = "`vla-edge calibrate camera FILE` measures it again"


@dataclass(frozen=True, slots=True)
class Lens:
    """What a lens makes of directions. Positions are pixels (x, y), whole in the middle of a pixel."""

    model: str  # BROWN or FISHEYE
    size_px: tuple[int, int]  # width and height of the images it was measured in
    focal_px: tuple[float, float]
    centre_px: tuple[float, float]  # where the optical axis meets the image
    distortion: tuple[float, ...]  # TERMS[model] numbers
    error_px: float = 0.0  # what calibration left over, root of the mean square

    def project(self, points: ArrayLike) -> Floats:
        """Return where points (N, 3), x right, y down, z ahead, are in the image: (N, 2)."""
        points = np.asarray(points, np.float64)
        bent = self._bend(points[:, :2] / points[:, 2:])
        return bent * np.asarray(self.focal_px) + np.asarray(self.centre_px)

    def rays(self, pixels: ArrayLike) -> Floats:
        """Return x / z and y / z of what is seen at pixels (N, 2): (N, 2); NaN where the lens shows nothing.

        It is the inverse of `project`.
        """
        pixels = np.asarray(pixels, np.float64)
        wanted: Floats = (pixels - np.asarray(self.centre_px)) / np.asarray(self.focal_px)
        if self.model == FISHEYE:
            return self._unbend_fisheye(wanted)
        found: Floats = np.array(wanted, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(_ROUNDS):
                ratio, shift = self._brown(found)
                found = (wanted - shift) / ratio[:, None]
            off = np.abs(self._bend(found) - wanted).max(1)
        found[~(off < 1e-6)] = np.nan
        return found

    @property
    def straight_focal_px(self) -> float:
        """The focal length of the straightened image: the least that leaves no pixel of it empty.

        Raises UsageError if even its middle would be empty: such numbers are not of a lens.
        """
        width, height = self.size_px
        widest_px = width / 2 / math.tan(WIDEST_RAD / 2)
        focals_px = np.geomspace(4 * max(self.focal_px), widest_px, _FOCALS)
        # From long to short: beyond the first that leaves something empty, a lens may fold back.
        first = next((i for i, focal_px in enumerate(focals_px) if not self._fills(focal_px)), _FOCALS)
        if first == 0:
            raise UsageError(f"a lens of {width} x {height} pixels with such numbers shows nothing", _MEASURE)
        full_px, empty_px = float(focals_px[first - 1]), float(focals_px[min(first, _FOCALS - 1)])
        for _ in range(_HALVINGS):
            middle_px = (full_px + empty_px) / 2
            full_px, empty_px = (middle_px, empty_px) if self._fills(middle_px) else (full_px, middle_px)
        return full_px

    def _fills(self, focal_px: float) -> bool:
        """Return True if a straightened image of that focal length would be filled up to its border."""
        width, height = self.size_px
        rays = _border(width, height) / focal_px
        seen = self.project(np.column_stack([rays, np.ones(len(rays))]))
        limits = np.array([width - 0.5, height - 0.5])
        return bool(np.all((seen >= -0.5) & (seen <= limits)))

    @property
    def vertical_fov_rad(self) -> float:
        """What the straightened image shows from top to bottom."""
        return 2 * math.atan(self.size_px[1] / 2 / self.straight_focal_px)

    def _bend(self, rays: Floats) -> Floats:
        if self.model == BROWN:
            ratio, shift = self._brown(rays)
            return rays * ratio[:, None] + shift
        radius = np.hypot(rays[:, 0], rays[:, 1])
        theta = np.arctan(radius)
        ratio = np.divide(self._fisheye(theta), radius, out=np.ones_like(radius), where=radius > 1e-12)
        return rays * ratio[:, None]

    def _brown(self, rays: Floats) -> tuple[Floats, Floats]:
        """Return what rays (N, 2) are multiplied by, (N,), and what is added, (N, 2)."""
        k1, k2, p1, p2, k3 = self.distortion
        x, y = rays[:, 0], rays[:, 1]
        r2 = x * x + y * y
        ratio = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        shift = np.stack([2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], 1)
        return ratio, shift

    def _fisheye(self, theta: Floats) -> Floats:
        t2 = theta * theta
        k1, k2, k3, k4 = self.distortion
        return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))

    def _unbend_fisheye(self, bent: Floats) -> Floats:
        wanted = np.hypot(bent[:, 0], bent[:, 1])
        theta = np.minimum(wanted, math.pi / 2)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(_ROUNDS):
                slope = (self._fisheye(theta + 1e-6) - self._fisheye(theta - 1e-6)) / 2e-6
                step = (self._fisheye(theta) - wanted) / slope
                theta = np.minimum(np.maximum(theta - step, 0.0), math.pi / 2 - 1e-6)
                if np.abs(step).max(initial=0.0) < _CLOSE:
                    break
            off = np.abs(self._fisheye(theta) - wanted)
        scale = np.divide(np.tan(theta), wanted, out=np.ones_like(wanted), where=wanted > 1e-12)
        found = bent * scale[:, None]
        found[~(off < 1e-6)] = np.nan
        return found


def _border(width: int, height: int) -> Floats:
    """Return points on the outermost pixels of an image, from its middle, (N, 2)."""
    x = np.linspace(-(width - 1) / 2, (width - 1) / 2, _SIDE_POINTS)
    y = np.linspace(-(height - 1) / 2, (height - 1) / 2, _SIDE_POINTS)
    return np.concatenate([np.stack([x, np.full_like(x, s)], 1) for s in (y[0], y[-1])]
                          + [np.stack([np.full_like(y, s), y], 1) for s in (x[0], x[-1])])  # fmt: skip


class Straightener:
    """Takes the distortion of one lens out of images. The map is computed once."""

    def __init__(self, lens: Lens) -> None:
        """Compute the map. Raises UsageError for numbers that are not of a lens."""
        width, height = self.size_px = lens.size_px
        x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
        focal_px = lens.straight_focal_px
        rays = np.stack([x.ravel() / focal_px, y.ravel() / focal_px, np.ones(x.size)], 1)
        at = np.asarray(np.reshape(lens.project(rays), (height, width, 2)), np.float32)
        self._map = cv2.convertMaps(at[..., 0], at[..., 1], cv2.CV_16SC2)

    def fits(self, image: Image) -> bool:
        """Return True for an image of the size that the lens was measured in."""
        return image.shape[1::-1] == self.size_px

    def apply(self, image: Image) -> Image:
        """Return a straightened image (H, W, 3), for one that `fits`."""
        straight = cv2.remap(image, *self._map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(straight, np.uint8)


class StraightCamera(Closing):
    """A camera behind a known lens: its frames are straightened, each once."""

    def __init__(self, camera: Camera, lens: Lens) -> None:
        """Take an opened camera. Raises UsageError for numbers that are not of a lens."""
        self.name = camera.name
        self._camera = camera
        self._straightener = Straightener(lens)
        self._raw: Frame | None = None  # the newest, as it came
        self._frame: Frame | None = None
        # A camera has these only if they hold for it: `edge.interfaces` asks whether they are there.
        if isinstance(camera, PlaysRecording):
            self.plays_recording = camera.plays_recording
        if isinstance(camera, ShowsStills):
            self.shows_stills = camera.shows_stills
        if isinstance(camera, AwaitsAnswers):
            self.answered = camera.answered
        if isinstance(camera, AnnouncesFrames):
            self.wait = camera.wait
        if isinstance(camera, SuggestsFaster):
            self.faster = camera.faster
        if isinstance(camera, HandsOver):
            self.hand_over = camera.hand_over

    def latest(self, max_age_s: float) -> Frame:
        """Return the newest frame, straightened. Raises what the camera raises.

        Raises UsageError if its first image has another size than those that the lens was measured in.
        """
        raw = self._camera.latest(max_age_s)
        if self._frame is None or raw is not self._raw:
            self._frame, self._raw = self._straight(raw), raw
        return self._frame

    def _straight(self, raw: Frame) -> Frame:
        if self._straightener.fits(raw.image):
            return replace(raw, image=self._straightener.apply(raw.image))
        if self._frame is not None:
            return raw  # a size that changes in a drive is a fault, which the judge of its health names
        width, height = self._straightener.size_px
        raise UsageError(
            f"camera {self.name!r}: its lens was measured in images of {width} x {height}, "
            f"and it gives {raw.image.shape[1]} x {raw.image.shape[0]}",
            f"give it that size, or {_MEASURE}",
        )

    def close(self) -> None:
        """Close the camera."""
        self._camera.close()


def behind(lens: Lens | None, camera: Camera) -> Camera:
    """Return the camera, whose frames are straightened if its lens is known."""
    return camera if lens is None else StraightCamera(camera, lens)
