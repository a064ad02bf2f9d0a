"""What docs/scale.md promises, measured: `python -m tools.bench_scale workers|queue|waiting`.

Seconds are wall time where a machine must be idle for them to mean something, and CPU time everywhere else.
"""

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import torch

from mofa.client import Client
from mofa.media.image import save_png

SCENE = {"frames": 3, "size": "48x32", "controls": [{"kind": "camera", "move": "zoom 1.1"}]}
OWNERS = ("ann", "bob", "cem")
CLOCK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Runs the bench that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("workers", "queue", "waiting"))
    parser.add_argument("--count", type=int, help="scenes (200) or jobs (1000)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        match arguments.what:
            case "workers":
                workers(Path(folder), arguments.count or 200)
            case "queue":
                queue(Path(folder), arguments.count or 1000)
            case "waiting":
                waiting(Path(folder))


def workers(home: Path, count: int) -> None:
    """The same scenes with one worker and with two, a core and a thread for each.

    On a second core a lone worker's encoder works beside it, and the comparison would be of one and a bit.
    """
    photo(home)
    for seed in range(count):
        scene = SCENE | {"picture": "photo.png", "size": "192x128", "frames": 13, "seed": seed}
        (home / f"s{seed:03}.json").write_text(json.dumps(scene))
    spent = {}
    for number in (1, 2):
        line = [
            *MOFA,
            "batch",
            str(home),
            "-o",
            str(home / f"out{number}"),
            "--workers",
            str(number),
            "--quiet",
        ]
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        cores = sorted(os.sched_getaffinity(0))[:number]
        pinned = ["taskset", "--cpu-list", ",".join(map(str, cores)), *line]
        subprocess.run(pinned, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent[number] = time.monotonic() - begin
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rate = f"{cpu:.1f} CPU s, {cpu / spent[number]:.2f} cores"
        print(f"{count} scenes, {number} workers: {spent[number]:.1f} s, {rate}")
    print(f"two workers are {spent[1] / spent[2]:.2f} times as fast as one")
    print(f"two processes that share nothing do {ceiling():.2f} times the work of one on this machine")


def ceiling() -> float:
    """How much more two processes of plain arithmetic do than one: virtual cores do not double."""
    loop = [sys.executable, "-c", "total = 0\nfor i in range(30_000_000): total += i * i"]
    spent = []
    for number in (1, 2):
        begin = time.monotonic()
        for process in [subprocess.Popen(loop) for _ in range(number)]:
            process.wait()
        spent.append(time.monotonic() - begin)
    return 2 * spent[0] / spent[1]


def queue(home: Path, count: int) -> None:
    """Jobs of three keys, the server killed twice: who got how many turns, what was lost, what memory did."""
    keys(home)
    server = Server(home)
    sizes = [server.memory()]
    with client(server.port, "ann") as first:
        plug = first.create(home / "photo.png", SCENE | {"frames": 2000, "size": "640x480"}).id
        begin = time.monotonic()
        for index in range(count):
            owner = "ann" if index < count // 4 else OWNERS[index % 3]
            with client(server.port, owner) as mine:
                mine.create(home / "photo.png", SCENE | {"seed": index}, name=f"{owner}-{index}")
        print(f"{count} jobs queued in {time.monotonic() - begin:.1f} s, most of ann's before the others'")
        first.cancel(plug)
    marks = [count * part // 3 for part in (1, 2)]
    while (ended := server.ended()) <= count:
        if marks and ended >= marks[0]:
            sizes.append(server.memory())
            print(f"killed after {ended} jobs")
            marks.pop(0)
            server.kill()
            server = Server(home)
        time.sleep(0.5)
    sizes.append(server.memory())
    videos = []
    for owner in OWNERS:
        with client(server.port, owner) as mine:
            videos += [video for video in mine.all() if video.id != plug]
    lines = (home / "serve" / "clips" / "manifest.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    finished = [entry["name"] for entry in entries if entry["status"] == "done"]
    print(f"{len(videos)} jobs: {dict(Counter(video.status for video in videos))}")
    print(f"{len(finished)} clips made, {len(set(finished))} different ones")
    turns = Counter(name.split("-")[0] for name in finished[: count // 4])
    print(f"the first {count // 4} turns: {dict(turns)}")
    print(f"server's memory at the start, before each kill, at the end: {[f'{size} MB' for size in sizes]}")
    server.kill()


def waiting(home: Path) -> None:
    """Fifty clients that ask every 5 s and ten event streams, for 30 s: the server's CPU."""
    keys(home)
    server = Server(home)
    name = (
        client(server.port, "ann").create(home / "photo.png", SCENE | {"frames": 600, "size": "640x480"}).id
    )
    stop = threading.Event()

    def poll() -> None:
        with client(server.port, "ann") as mine:
            while not stop.wait(5):
                mine.show(name)

    def listen() -> None:
        address = f"http://127.0.0.1:{server.port}/v1/videos/{name}/events"
        headers = {"Authorization": f"Bearer {'ann' * 8}"}
        with suppress(httpx.HTTPError), httpx.stream("GET", address, headers=headers, timeout=None) as stream:
            for _ in stream.iter_lines():
                if stop.is_set():
                    return

    threads = [threading.Thread(target=poll, daemon=True) for _ in range(50)]
    threads += [threading.Thread(target=listen, daemon=True) for _ in range(10)]
    for thread in threads:
        thread.start()
    time.sleep(5)
    before = server.cpu()
    time.sleep(30)
    print(f"the server took {(server.cpu() - before) / 30:.3f} of a core, {server.memory()} MB")
    stop.set()
    server.kill()


MOFA = [sys.executable, "-m", "mofa.apps.cli"]


class Server:
    """`mofa serve` in a process of its own, answering."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        line = [
            *MOFA,
            "serve",
            "--home",
            str(home / "serve"),
            "--keys",
            str(home / "keys"),
            "--port",
            str(self.port),
        ]
        self._process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
        while not self._answers():
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").is_success
        except httpx.HTTPError:
            return False

    def ended(self) -> int:
        """How many jobs have."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics").text
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return sum(
            int(lines[f'mofa_jobs{{state="{state}"}}']) for state in ("completed", "failed", "cancelled")
        )

    def memory(self) -> int:
        """Resident megabytes of the server without its worker."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    def cpu(self) -> float:
        """CPU seconds of the server without its worker."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK

    def kill(self) -> None:
        """As the system does when memory runs out."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


def client(port: int, owner: str) -> Client:
    """A client with the key of `owner`."""
    return Client(f"http://127.0.0.1:{port}", key=owner * 8)


def keys(home: Path) -> None:
    """A photo, and three owners who may ask for anything."""
    photo(home)
    (home / "keys").write_text("".join(f"{owner} {owner * 8} 100000\n" for owner in OWNERS))


def photo(home: Path) -> None:
    """Noise is a photo, too."""
    save_png(home / "photo.png", torch.randint(0, 255, (3, 128, 192), dtype=torch.uint8))


if __name__ == "__main__":
    main()
