"""Pictures of a run, drawn with OpenCV alone. Pure functions from records to images."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from edge.records import Detection, Image, Odometry
from edge.runs.labels import Rect, label_spot
from edge.runs.room import Color, RoomMap, RoomObject

Point = tuple[float, float]

PAPER, FLOOR, GRID, WALL, INK, FAINT = (
    (246, 246, 243),
    (255, 255, 255),
    (228, 229, 226),
    (70, 74, 80),
    (38, 42, 48),
    (125, 130, 136),
)
ACCENT = (22, 150, 84)
OVERSAMPLING = 2  # drawn larger and scaled down: smooth lines and text
SHEET_PX = 720  # the longer side of the room on it
MARGIN_PX = 36
TITLE_PX = 56
TILE_WIDTH_PX = 320
TILES_PER_ROW = 4
CAPTION_PX = 62
LABEL_PX = 12  # height of a label


@dataclass(frozen=True, slots=True)
class AnsweredFrame:
    """One frame's image, with the prompt and the model's answer."""

    image: Image
    seconds: float  # since the drive's start
    prompt: str
    answer: str
    detections: tuple[Detection, ...] = ()
    source: str = ""  # the picture's file; then the time says nothing


def draw_path(path: Sequence[Odometry], room: RoomMap | None, title: str) -> Image:
    """Draw the path of the robot from above, coloured by time, in its room if that is known."""
    points = _in_room(path, room)
    bounds = (room.x0_m, room.y0_m, room.x1_m, room.y1_m) if room else _bounds_around(points)
    sheet = _Sheet(bounds)
    sheet.grid(walls=room is not None)
    for thing in room.objects if room else ():
        sheet.object(thing)
    _draw_path(sheet, points, path, room.start_yaw_rad if room else 0.0)
    sheet.labels()
    length_m = sum(math.dist(a, b) for a, b in pairwise(points))
    seconds = (path[-1].stamp_ns - path[0].stamp_ns) / 1e9 if path else 0.0
    sheet.captions(title, f"{length_m:.1f} m in {seconds:.1f} s", seconds)
    return sheet.finished()


def draw_strip(frames: Sequence[AnsweredFrame]) -> Image:
    """Draw the frames side by side, in rows of four, each with the model's boxes and answer."""
    tiles = [_tile(frame) for frame in frames] or [_blank(CAPTION_PX, TILE_WIDTH_PX)]
    columns = min(len(tiles), TILES_PER_ROW)
    height = max(tile.shape[0] for tile in tiles)
    rows = -(-len(tiles) // columns)
    gap = 8
    sheet = _blank(rows * (height + gap) + gap, columns * (TILE_WIDTH_PX + gap) + gap)
    for index, tile in enumerate(tiles):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (TILE_WIDTH_PX + gap)
        sheet[top : top + tile.shape[0], left : left + TILE_WIDTH_PX] = tile
    return sheet


def spread(frames: Sequence[AnsweredFrame], count: int) -> list[AnsweredFrame]:
    """Return at most `count` of the frames, evenly spread, the first and the last among them."""
    if len(frames) <= count:
        return list(frames)
    return [frames[round(index)] for index in np.linspace(0, len(frames) - 1, count)]


def latin(text: str) -> str:
    """Return `text` as OpenCV can draw it: Hangul romanized, accents dropped, the rest escaped."""
    out: list[str] = []
    for character in unicodedata.normalize("NFC", text):
        if "가" <= character <= "힣":
            initial, rest = divmod(ord(character) - ord("가"), 588)
            vowel, final = divmod(rest, 28)
            out.append(INITIALS[initial] + VOWELS[vowel] + FINALS[final])
        elif character.isascii():
            out.append(character if character.isprintable() else " ")
        else:
            bare = unicodedata.normalize("NFKD", character)
            kept = "".join(each for each in bare if each.isascii() and each.isprintable())
            out.append(kept or f"\\u{ord(character):04x}")
    return "".join(out)


# Revised Romanization of Korean, letter by letter.
INITIALS = "g kk n d tt r m b pp s ss  j jj ch k t p h".split(" ")
VOWELS = "a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i".split(" ")
FINALS = " k k k n n n t l k m l l l p l m p p t t ng t t k t p t".split(" ")


class _Sheet:
    """A sheet of paper with a scale."""

    def __init__(self, bounds: tuple[float, float, float, float]) -> None:
        self.x0_m, self.y0_m, self.x1_m, self.y1_m = bounds
        wide_m, high_m = self.x1_m - self.x0_m, self.y1_m - self.y0_m
        self._px_per_m = SHEET_PX / max(wide_m, high_m)
        self._width_px = max(round(wide_m * self._px_per_m), SHEET_PX // 2)
        self._height_px = round(high_m * self._px_per_m)
        width = self._width_px + 2 * MARGIN_PX
        height = self._height_px + 2 * TITLE_PX + MARGIN_PX
        self._sheet = _blank(height * OVERSAMPLING, width * OVERSAMPLING)
        self._taken: list[Rect] = []  # what no label should cover
        self._labels: list[tuple[tuple[int, int], int, str, Color]] = []  # center, gap, words

    def at(self, point: Point) -> tuple[int, int]:
        """Return the pixel at a position in metres; x to the right, y up."""
        x = MARGIN_PX + (point[0] - self.x0_m) * self._px_per_m
        y = TITLE_PX + (self.y1_m - point[1]) * self._px_per_m
        return round(x * OVERSAMPLING), round(y * OVERSAMPLING)

    def px(self, length_m: float) -> int:
        return round(length_m * self._px_per_m * OVERSAMPLING)

    def grid(self, walls: bool) -> None:
        corners = self.at((self.x0_m, self.y1_m)), self.at((self.x1_m, self.y0_m))
        cv2.rectangle(self._sheet, *corners, FLOOR, -1)
        for x in range(math.ceil(self.x0_m), math.floor(self.x1_m) + 1):
            cv2.line(self._sheet, self.at((x, self.y0_m)), self.at((x, self.y1_m)), GRID, OVERSAMPLING)
        for y in range(math.ceil(self.y0_m), math.floor(self.y1_m) + 1):
            cv2.line(self._sheet, self.at((self.x0_m, y)), self.at((self.x1_m, y)), GRID, OVERSAMPLING)
        cv2.rectangle(self._sheet, *corners, WALL if walls else GRID, (5 if walls else 1) * OVERSAMPLING)

    def object(self, thing: RoomObject) -> None:
        center, radius = self.at((thing.x_m, thing.y_m)), max(self.px(thing.radius_m), 4 * OVERSAMPLING)
        cv2.circle(self._sheet, center, radius, thing.color, -1, cv2.LINE_AA)
        cv2.circle(self._sheet, center, radius, WALL, OVERSAMPLING, cv2.LINE_AA)
        if thing.is_target:
            cv2.circle(self._sheet, center, radius + 7 * OVERSAMPLING, ACCENT, 3 * OVERSAMPLING, cv2.LINE_AA)
        color = ACCENT if thing.is_target else FAINT
        gap = 12 if thing.is_target else 5
        self._taken.append(Rect.around(center, radius))
        self._labels.append((center, radius + gap * OVERSAMPLING, thing.label, color))

    def line(self, points: Sequence[Point], color: Color, width_px: int) -> None:
        corners = np.array([self.at(point) for point in points], np.int32)
        cv2.polylines(self._sheet, [corners], False, color, width_px * OVERSAMPLING, cv2.LINE_AA)
        self._taken += [Rect.around((int(x), int(y)), width_px) for x, y in corners]

    def start(self, point: Point) -> None:
        center = self.at(point)
        cv2.circle(self._sheet, center, 8 * OVERSAMPLING, FLOOR, -1, cv2.LINE_AA)
        cv2.circle(self._sheet, center, 8 * OVERSAMPLING, INK, 3 * OVERSAMPLING, cv2.LINE_AA)
        self._taken.append(Rect.around(center, 8 * OVERSAMPLING))
        self._labels.insert(0, (center, 12 * OVERSAMPLING, "start", INK))

    def end(self, point: Point, yaw_rad: float) -> None:
        """Draw an arrowhead that points where the robot looks."""
        cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
        x, y = self.at(point)
        tips = ((14, 0), (-9, 9), (-5, 0), (-9, -9))  # ahead and to the left, in pixels
        corners = [
            (
                round(x + (cos * ahead - sin * left) * OVERSAMPLING),
                round(y - (sin * ahead + cos * left) * OVERSAMPLING),
            )
            for ahead, left in tips
        ]
        cv2.fillPoly(self._sheet, [np.array(corners, np.int32)], INK, cv2.LINE_AA)
        self._taken.append(Rect.around((x, y), 14 * OVERSAMPLING))

    def captions(self, title: str, measure: str, seconds: float) -> None:
        left, right = MARGIN_PX, MARGIN_PX + self._width_px
        top = TITLE_PX + self._height_px + 34
        _text(self._sheet, title, (left, 36), 0.72, INK, right - left, OVERSAMPLING)
        _text(self._sheet, measure, (left, top + 8), 0.5, INK, right - left, OVERSAMPLING)
        bar_left = right - 180
        for index in range(180):
            x = (bar_left + index) * OVERSAMPLING
            shade = _shade(index / 179)
            cv2.line(self._sheet, (x, top * OVERSAMPLING), (x, (top + 9) * OVERSAMPLING), shade, OVERSAMPLING)
        _text(self._sheet, "0 s", (bar_left, top + 26), 0.4, FAINT, 60, OVERSAMPLING)
        _text(self._sheet, f"{seconds:.0f} s", (right - 30, top + 26), 0.4, FAINT, 60, OVERSAMPLING)
        _text(self._sheet, "grid: 1 m", (left, top + 30), 0.4, FAINT, 90, OVERSAMPLING)

    def finished(self) -> Image:
        height, width = self._sheet.shape[:2]
        small = (width // OVERSAMPLING, height // OVERSAMPLING)
        return np.asarray(cv2.resize(self._sheet, small, interpolation=cv2.INTER_AREA), np.uint8)

    def labels(self) -> None:
        """Write the labels, once everything else is drawn."""
        room = Rect(*self.at((self.x0_m, self.y1_m)), *self.at((self.x1_m, self.y0_m)))
        for center, gap, words, color in self._labels:
            size = (_text_width(words, 0.42, OVERSAMPLING), LABEL_PX * OVERSAMPLING)
            spot = label_spot(center, gap, size, self._taken, room)
            at = spot.x0 // OVERSAMPLING, spot.y1 // OVERSAMPLING - 2
            _text(self._sheet, words, at, 0.42, color, 999, OVERSAMPLING)
            self._taken.append(spot)


def _draw_path(sheet: _Sheet, points: list[Point], path: Sequence[Odometry], turn_rad: float) -> None:
    if not points:
        return
    begin_ns, span_ns = path[0].stamp_ns, max(path[-1].stamp_ns - path[0].stamp_ns, 1)
    sheet.line(points, FLOOR, 8)
    for index in range(len(points) - 1):
        sheet.line(points[index : index + 2], _shade((path[index].stamp_ns - begin_ns) / span_ns), 4)
    sheet.start(points[0])
    sheet.end(points[-1], path[-1].yaw_rad + turn_rad)


def _in_room(path: Sequence[Odometry], room: RoomMap | None) -> list[Point]:
    if room is None:
        return [(each.x_m, each.y_m) for each in path]
    cos, sin = math.cos(room.start_yaw_rad), math.sin(room.start_yaw_rad)
    return [
        (room.start_x_m + cos * each.x_m - sin * each.y_m, room.start_y_m + sin * each.x_m + cos * each.y_m)
        for each in path
    ]


def _bounds_around(points: list[Point]) -> tuple[float, float, float, float]:
    xs, ys = [x for x, _ in points] or [0.0], [y for _, y in points] or [0.0]
    center_x, center_y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    half = max(max(xs) - min(xs), max(ys) - min(ys), 1.0) / 2 + 0.5
    return center_x - half, center_y - half, center_x + half, center_y + half


def _tile(frame: AnsweredFrame) -> Image:
    tall = round(frame.image.shape[0] * TILE_WIDTH_PX / frame.image.shape[1])
    picture = np.array(
        cv2.resize(frame.image, (TILE_WIDTH_PX, tall), interpolation=cv2.INTER_LINEAR), np.uint8
    )
    for detection in frame.detections:
        box = detection.box
        low = round(box.x0 * (TILE_WIDTH_PX - 1)), round(box.y0 * (tall - 1))
        high = round(box.x1 * (TILE_WIDTH_PX - 1)), round(box.y1 * (tall - 1))
        cv2.rectangle(picture, low, high, (255, 255, 255), 4)
        cv2.rectangle(picture, low, high, ACCENT, 2)
    caption = _blank(CAPTION_PX, TILE_WIDTH_PX)
    when = frame.source or f"{frame.seconds:.1f} s"
    begin = 12 + max(50, min(_text_width(when, 0.42), TILE_WIDTH_PX // 2))
    _text(caption, when, (6, 20), 0.42, FAINT, begin - 8)
    _text(caption, frame.prompt, (begin, 20), 0.46, INK, TILE_WIDTH_PX - begin - 6)
    _text(caption, frame.answer, (6, 44), 0.46, ACCENT if frame.detections else FAINT, TILE_WIDTH_PX - 12)
    return np.vstack([picture, caption])


def _text(
    sheet: Image, words: str, at: tuple[int, int], size: float, color: Color, width: int, scale: int = 1
) -> None:
    """Write one line of text, cut with dots if it is longer than `width`."""
    words = latin(words)
    if _text_width(words, size, scale) > width * scale:
        while words and _text_width(words + "...", size, scale) > width * scale:
            words = words[:-1]
        words += "..."
    place = (at[0] * scale, at[1] * scale)
    cv2.putText(sheet, words, place, cv2.FONT_HERSHEY_SIMPLEX, size * scale, color, scale, cv2.LINE_AA)


def _text_width(words: str, size: float, scale: int = 1) -> int:
    return cv2.getTextSize(latin(words), cv2.FONT_HERSHEY_SIMPLEX, size * scale, scale)[0][0]


def _blank(height: int, width: int) -> Image:
    return np.full((height, width, 3), PAPER, np.uint8)


def _shade(fraction: float) -> Color:
    """Return the colour of a moment: from violet at the start to orange at the end."""
    level = np.array([[round(40 + 190 * fraction)]], np.uint8)
    blue, green, red = (int(value) for value in cv2.applyColorMap(level, cv2.COLORMAP_PLASMA)[0, 0])
    return red, green, blue
