"""Downloads against a server on this machine that answers as the hub does, through HF_ENDPOINT."""

import hashlib
import shutil
import threading
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
from safetensors.torch import save

from mofa.apps.models_command import run as run_models
from mofa.errors import Cancelled, OutputError, WeightsError
from mofa.weights import download as downloading
from mofa.weights import store
from mofa.weights.download import download
from mofa.weights.pins import Pin, pinned, read_pins, unpin
from mofa.weights.registry import Slot, find_slot

COMMIT = "b" * 40


@dataclass
class Hub:
    """Repository path -> content; `gated` repositories want a token; `asked` notes the requests.

    A `liar` announces other content than it serves; `cut_at` is where the line goes dead; the files are
    those of `commit`, and no other is known.
    """

    endpoint: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    liar: bool = False
    cut_at: int | None = None
    commit: str = COMMIT
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def offer(self, slot: Slot, contents: dict[str, bytes], source: int = 0) -> None:
        for file in slot.files:
            path = slot.sources[source].path(file)
            self.files[f"/{slot.sources[source].repository}/resolve/main/{path}"] = contents[file.name]


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(send=False)

        def do_GET(self) -> None:
            self.answer(send=True)

        def answer(self, send: bool) -> None:
            hub.asked.append((self.command, self.path, self.headers.get("Range")))
            repository = "/".join(self.path.split("/")[1:3])
            revision = self.path.split("/")[4] if "/resolve/" in self.path else "main"
            if revision not in ("main", hub.commit):
                return self.refuse(404, "RevisionNotFound")
            content = hub.files.get(self.path.replace(f"/resolve/{hub.commit}/", "/resolve/main/"))
            if repository in hub.gated and not self.headers.get("Authorization"):
                return self.refuse(403, "GatedRepo")
            if content is None:
                return self.refuse(404, "EntryNotFound")
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
            self.send_response(206 if start else 200)
            digest = hashlib.sha256(b"other" if hub.liar else content).hexdigest()
            self.send_header("ETag", f'"{digest}"')
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if send:
                self.wfile.write(content[start : hub.cut_at])
            return None

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


def use_mirror(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does, which the library reads when it is first imported."""
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    use_mirror(hub.endpoint, monkeypatch)
    monkeypatch.setattr(downloading, "BLOCK", 1 << 16)
    monkeypatch.setattr(downloading, "PAUSE_SECONDS", 0.0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def landmark_contents(fingerprint) -> dict[str, bytes]:
    return {
        "config.json": b"{}",
        "diffusion_pytorch_model.safetensors": save(fingerprint("landmark-adapter")),
    }


def gets(hub: Hub) -> list[tuple[str, str | None]]:
    return [(path, span) for command, path, span in hub.asked if command == "GET"]


def test_a_slot_arrives_whole_with_its_checksum_and_origin(
    hub: Hub, landmark_contents: dict[str, bytes]
) -> None:
    slot = find_slot("landmark")
    hub.offer(slot, landmark_contents)
    seen: list[tuple[str, int, int]] = []
    fetched = download([slot], lambda *step: seen.append(step))
    assert [path.read_bytes() for path in fetched["landmark"]] == list(landmark_contents.values())
    assert store.locate(slot).present
    assert [check.problem for check in store.verify(slot)] == [None, None]
    weights = store.read_manifest(slot)["diffusion_pytorch_model.safetensors"]
    assert (
        weights.origin
        == "MyNiuuu/MOFA-Video-Hybrid/ckpts/mofa/ldmk_controlnet/diffusion_pytorch_model.safetensors"
    )
    size = len(landmark_contents["diffusion_pytorch_model.safetensors"])
    assert ("landmark: diffusion_pytorch_model.safetensors", size, size) in seen
    assert not store.unfinished_folder(slot).exists()
    hub.asked.clear()
    assert download([slot]) == {"landmark": []}
    assert hub.asked == []


def test_an_interrupted_download_goes_on_where_it_stopped(
    hub: Hub, landmark_contents: dict[str, bytes]
) -> None:
    slot = find_slot("landmark")
    hub.offer(slot, landmark_contents)

    def stop_early(stage: str, done: int, total: int) -> None:
        if "safetensors" in stage and done > 200_000:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        download([slot], stop_early)
    assert not store.locate(slot).present
    hub.asked.clear()
    download([slot])
    spans = [span for path, span in gets(hub) if path.endswith("safetensors")]
    assert spans
    assert spans[0] is not None
    assert int(spans[0].removeprefix("bytes=").rstrip("-")) >= 1 << 16
    assert [check.problem for check in store.verify(slot)] == [None, None]


def test_the_second_place_serves_where_the_first_is_gone(hub: Hub, fingerprint) -> None:
    slot = find_slot("trajectory")
    weights = save(fingerprint("trajectory-adapter"))
    hub.offer(slot, {"config.json": b"{}", "diffusion_pytorch_model.safetensors": weights}, source=1)
    download([slot])
    assert store.locate(slot).present


def test_a_file_that_is_nowhere_names_the_places(hub: Hub) -> None:
    with pytest.raises(
        WeightsError, match=r"no longer at MyNiuuu/MOFA-Video-Hybrid/ckpts/mofa/ldmk_controlnet"
    ):
        download([find_slot("landmark")])


def test_a_gated_repository_without_token_is_said_before_anything_is_asked(hub: Hub) -> None:
    with pytest.raises(
        WeightsError, match=r"svd-xt \(4\.5 GB\) is only given to those who accepted its terms"
    ):
        download([find_slot("landmark"), find_slot("svd-xt")])
    assert hub.asked == []


def test_a_gated_repository_wants_its_terms_accepted_and_then_opens(
    hub: Hub, fingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = find_slot("svd-xt")
    contents = {
        file.name: save(fingerprint(file.checkpoint)) if file.checkpoint else b"{}" for file in slot.files
    }
    hub.offer(slot, contents)
    hub.gated.add(slot.sources[0].repository)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    download([slot])
    assert store.locate(slot).present
    assert gets(hub)
    # Nothing was taken from the copy that the hybrid repository carries.
    assert all(slot.sources[0].repository in path for _, path, _ in hub.asked)


def test_a_token_without_acceptance_is_told_apart(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    hub.gated.add("stabilityai/stable-video-diffusion-img2vid-xt-1-1")
    with pytest.raises(WeightsError, match="accept them at"):
        download([find_slot("svd-xt")])
    assert gets(hub) == []


def test_no_room_is_said_before_anything_is_fetched(
    hub: Hub, landmark_contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.offer(find_slot("landmark"), landmark_contents)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(OutputError, match="needed; free some space or set MOFA_HOME"):
        download([find_slot("landmark")])
    assert gets(hub) == []


def test_content_that_was_not_announced_is_deleted(hub: Hub, landmark_contents: dict[str, bytes]) -> None:
    slot = find_slot("landmark")
    hub.offer(slot, landmark_contents)
    hub.liar = True
    with pytest.raises(WeightsError, match="arrived damaged and was deleted"):
        download([slot])
    assert not store.locate(slot).paths


def test_no_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    use_mirror("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(WeightsError, match=r"http://127\.0\.0\.1:9 cannot be reached for cmp"):
        download([find_slot("cmp")])


def test_offline_by_wish_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids"):
        download([find_slot("cmp")])


def test_a_dead_line_is_taken_up_again_until_patience_ends(
    hub: Hub, fingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = save(fingerprint("unimatch"))
    hub.files["/gmflow.pth"] = content
    slot = replace(find_slot("unimatch"), url=f"{hub.endpoint}/gmflow.pth")
    hub.cut_at = 100_000
    with pytest.raises(WeightsError, match="check the network and try again"):
        download([slot])
    assert gets(hub) == [("/gmflow.pth", None)] + [("/gmflow.pth", "bytes=65536-")] * (downloading.TRIES - 1)
    hub.cut_at = None
    # Room is needed for the rest only.
    monkeypatch.setattr(
        store.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, len(content) - 65536)
    )
    [path] = download([slot])["unimatch"]
    assert path.read_bytes() == content
    assert gets(hub)[-1] == ("/gmflow.pth", "bytes=65536-")
    assert store.read_manifest(slot)[path.name].origin == slot.url


def test_a_new_version_does_not_go_on_where_the_old_one_stopped(hub: Hub, fingerprint) -> None:
    slot = replace(find_slot("unimatch"), url=f"{hub.endpoint}/gmflow.pth")
    hub.files["/gmflow.pth"] = b"an older version, and longer than what comes through" * 9_999
    hub.cut_at = 100_000
    with pytest.raises(WeightsError):
        download([slot])
    hub.cut_at = None
    hub.files["/gmflow.pth"] = save(fingerprint("unimatch"))
    [path] = download([slot])["unimatch"]
    assert path.read_bytes() == hub.files["/gmflow.pth"]


def test_a_plain_address_that_serves_something_else_is_refused(hub: Hub) -> None:
    hub.files["/gmflow.pth"] = b"<html>moved</html>"
    slot = replace(find_slot("unimatch"), url=f"{hub.endpoint}/gmflow.pth")
    with pytest.raises(WeightsError, match="arrived damaged"):
        download([slot])
    with pytest.raises(WeightsError, match=r"refused unimatch \(HTTP 404\)"):
        download([replace(slot, url=f"{hub.endpoint}/gone.pth")])
    assert not store.locate(slot).paths


def test_files_in_the_hub_cache_are_not_fetched_again(hub: Hub, landmark_contents: dict[str, bytes]) -> None:
    slot = find_slot("landmark")
    hub.offer(slot, landmark_contents)
    weights = slot.files[1]
    huggingface_hub.hf_hub_download(
        slot.sources[0].repository,
        slot.sources[0].path(weights),
        cache_dir=Path(huggingface_hub.constants.HF_HUB_CACHE),
    )
    hub.asked.clear()
    download([slot])
    assert [path.rsplit("/", 1)[1] for path, _ in gets(hub)] == ["config.json"]
    assert store.locate(slot).present


def test_the_first_download_is_recorded_and_later_ones_bring_the_same(
    hub: Hub, landmark_contents: dict[str, bytes]
) -> None:
    slot = find_slot("landmark")
    hub.offer(slot, landmark_contents)
    download([slot])
    weights = landmark_contents["diffusion_pytorch_model.safetensors"]
    version = Pin(hashlib.sha256(weights).hexdigest(), {slot.sources[0].repository: COMMIT})
    assert read_pins()["landmark/diffusion_pytorch_model.safetensors"] == version
    store.remove(slot)
    hub.asked.clear()
    download([slot])
    assert hub.asked
    assert all(f"/resolve/{COMMIT}/" in path for _, path, _ in hub.asked)
    assert read_pins()["landmark/diffusion_pytorch_model.safetensors"] == version


@pytest.fixture
def fetched_before(hub: Hub, landmark_contents: dict[str, bytes]) -> Slot:
    """Weights that were downloaded once, and removed."""
    slot = find_slot("landmark")
    hub.offer(slot, landmark_contents)
    download([slot])
    store.remove(slot)
    return slot


def test_a_version_that_is_gone_is_said_and_the_newest_taken_on_demand(
    hub: Hub, fetched_before: Slot
) -> None:
    slot = fetched_before
    hub.commit = "c" * 40
    with pytest.raises(WeightsError, match=r"no longer published.*download landmark --newest"):
        download([slot])
    unpin([slot])
    download([slot])
    assert pinned(slot, slot.files[0]).revisions == {slot.sources[0].repository: "c" * 40}


def test_a_commit_that_brings_other_content_is_refused_before_it_is_fetched(
    hub: Hub, landmark_contents: dict[str, bytes], fetched_before: Slot
) -> None:
    slot = fetched_before
    hub.offer(slot, landmark_contents | {"diffusion_pytorch_model.safetensors": b"another"})
    hub.asked.clear()
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model.safetensors of landmark is another"):
        download([slot])
    assert gets(hub) == []


def test_a_plain_address_is_held_to_what_it_served_first(hub: Hub, fingerprint) -> None:
    slot = replace(find_slot("unimatch"), url=f"{hub.endpoint}/gmflow.pth")
    hub.files["/gmflow.pth"] = save(fingerprint("unimatch"))
    [path] = download([slot])["unimatch"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_pins() == {f"unimatch/{slot.files[0].name}": Pin(digest, {})}
    store.remove(slot)
    hub.files["/gmflow.pth"] = save(fingerprint("unimatch"), metadata={"trained": "again"})
    with pytest.raises(WeightsError, match=rf"another version.*not {digest[:12]}"):
        download([slot])
    assert not store.locate(slot).paths
    unpin([slot])
    [path] = download([slot])["unimatch"]
    assert path.read_bytes() == hub.files["/gmflow.pth"]


def test_what_the_registry_says_goes_before_what_was_recorded(
    hub: Hub, landmark_contents: dict[str, bytes]
) -> None:
    slot = find_slot("landmark")
    hub.offer(slot, landmark_contents)
    download([slot])
    said = replace(slot, sources=(replace(slot.sources[0], revision="d" * 40),))
    weights = replace(slot.files[1], sha256="0" * 64)
    assert pinned(said, weights) == Pin("0" * 64, {slot.sources[0].repository: "d" * 40})


def test_a_damaged_record_of_versions_is_one_sentence(hub: Hub) -> None:
    (store.home() / "models").mkdir(parents=True)
    (store.home() / "models" / "pins.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"pins\.json.*damaged; delete it"):
        download([find_slot("landmark")])


def test_the_command_tells_what_it_recorded(
    hub: Hub, landmark_contents: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    hub.offer(find_slot("landmark"), landmark_contents)
    wish = Namespace(action="download", slots=["landmark"], newest=False)
    assert run_models(wish) == 0
    digest = hashlib.sha256(b"{}").hexdigest()
    told = f"recorded for later downloads: landmark/config.json, SHA-256 {digest}, commit {COMMIT[:12]}"
    assert told in capsys.readouterr().out
    store.remove(find_slot("landmark"))
    run_models(wish)
    assert "recorded" not in capsys.readouterr().out
