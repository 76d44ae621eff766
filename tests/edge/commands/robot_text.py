"""A robot file that plays pictures."""

from pathlib import Path

ROBOT = """
name: 로봇
cameras:
  front:
    address: file://{pictures}
    mount: {{vertical_fov_deg: 50, height_m: 0.3, pitch_deg: 5, forward_m: 0.1}}
  wrist: {{address: "file://{pictures}"}}
motors: {motors}
base: {{drive: differential, radius_m: 0.25, linear_m_s: 0.4, angular_rad_s: 0.8}}
"""


def robot_file(tmp_path: Path, pictures: Path, motors: str, camera: str = "") -> str:
    path = tmp_path / "my-robot.yaml"
    text = ROBOT.format(pictures=pictures, motors=motors)
    path.write_text(text.replace(f"file://{pictures}", camera or f"file://{pictures}", 1), encoding="utf-8")
    return str(path)
