"""A double of jetson-stats' service at a socket of its own: `python -m tests.edge.board.jtop_service SOCKET`.

It speaks the service's protocol (a multiprocessing manager with a queue, a dict and an event) through the
package's own classes. With `--client` it runs our child against that socket instead.
"""

import multiprocessing
import queue
import sys
import threading
import time

import jtop.service as service  # pyright: ignore

from edge.board import jtop_child

INIT = {
    "version": "",
    "board": {"hardware": {}},
    "interval": 1.0,
    "memory": "",
    "fan": {"pwmfan": ["quiet", "cool"]},
    "jc": False,
    "nvpmodel": {"models": ["15W", "25W"], "default": {"name": "15W", "id": 0}},
}
READING = {
    "gpu": {}, "mem": {},
    "fan": {"pwmfan": {"speed": [30.0], "rpm": [1750]}},
    "nvp": {"status": [True], "thread": False, "model": {"name": "25W", "id": 1}},
    "temperature": {"tj": {"temp": 95.5, "online": True}, "cv0": {"temp": -256, "online": False}},
    "power": {
        "rail": {"VDD_IN": {"power": 9300, "online": True}},
        "tot": {"name": "VDD_IN", "power": 9300},
    },
}  # fmt: skip


def serve() -> None:
    controls, values, fresh = multiprocessing.Queue(), {}, multiprocessing.Event()
    service.JtopManager.register("get_queue", callable=lambda: controls)
    service.JtopManager.register("sync_data", callable=lambda: values)
    service.JtopManager.register("sync_event", callable=lambda: fresh)
    server = service.JtopManager().get_server()
    threading.Thread(target=answer, args=(controls, values, fresh), daemon=True).start()
    print("up", flush=True)
    server.serve_forever()


def answer(controls, values: dict, fresh) -> None:  # type: ignore[no-untyped-def]
    version = service.get_var(service.VERSION_RE)
    started = False
    while True:
        try:
            control = controls.get(timeout=0.2)
        except queue.Empty:
            control = {}
        if "init" in control:
            controls.put(control)
        elif "interval" in control:
            controls.put({"init": {**INIT, "version": version}})
            started = True
        if started:
            values.update(READING, uptime=time.monotonic())
            fresh.set()
            time.sleep(0.2)
        time.sleep(0.05)


if __name__ == "__main__":
    service.JTOP_PIPE = sys.argv[1]
    sys.exit(jtop_child.main() if "--client" in sys.argv else serve())
