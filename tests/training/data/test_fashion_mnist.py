"""Fashion-MNIST's reader, search order and download, on small files of the same format over a real local server."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from requirements import needs

from donna_hw.errors import FileFormatError, UnavailableError
from donna_hw.training.data import fashion_mnist, load_dataset
from donna_hw.training.data.fashion_mnist import DEBIAN_FOLDER, FILES, find_or_download, load_fashion_mnist, read_idx

NAMES = list(FILES)
NOWHERE = Path("/nonexistent")


def idx(array: np.ndarray) -> bytes:
    """Return an array in LeCun's IDX format: two zeros, 8 for unsigned bytes, the rank, big-endian sizes, the bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def small_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(12, 5, 4), (12,), (6, 5, 4), (6,)]
    return {name: rng.integers(0, 10, shape, dtype=np.uint8) for name, shape in zip(NAMES, shapes, strict=True)}


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Four small files by the real names, whose checksums replace the real ones."""
    unpacked = {name: idx(array) for name, array in small_arrays().items()}
    monkeypatch.setattr(fashion_mnist, "FILES", {n: hashlib.sha256(d).hexdigest() for n, d in unpacked.items()})
    return {name: gzip.compress(data) for name, data in unpacked.items()}


def write_files(folder: Path, packed: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, data in packed.items():
        (folder / f"{name}.gz").write_bytes(data)
    return folder


@dataclass
class Server:
    """A server on this machine's loopback. answers: bytes by path; promised: a Content-Length that is not true."""

    address: str = ""
    answers: dict[str, bytes] = field(default_factory=dict)
    promised: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/")
            state.asked.append(name)
            if name not in state.answers:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(state.promised.get(name, len(state.answers[name]))))
            self.end_headers()
            self.wfile.write(state.answers[name])

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        state.address = f"http://127.0.0.1:{listening.server_port}/"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            listening.shutdown()
            thread.join()


def test_the_reader_returns_the_declared_shape(tmp_path: Path) -> None:
    for array in small_arrays().values():
        data = idx(array)
        path = tmp_path / "a.gz"
        path.write_bytes(gzip.compress(data))
        read = read_idx(path, hashlib.sha256(data).hexdigest())
        assert read.dtype == np.uint8
        assert np.array_equal(read, array)
        read[...] = 0  # torch warns of arrays that cannot be written


def test_a_wrong_checksum_is_refused_with_both(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"other"))
    actual = hashlib.sha256(b"other").hexdigest()
    message = rf"a\.gz: the SHA-256 of the unpacked file must be {'0' * 64}; got '{actual}'; delete it"
    with pytest.raises(FileFormatError, match=message):
        read_idx(path, "0" * 64)


@pytest.mark.parametrize(
    "spoil", [lambda d: b"", lambda d: d[:-9], lambda d: b"<html>", lambda d: d[:20] + b"!" + d[21:]]
)
def test_a_corrupt_gzip_file_is_refused(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    data = idx(next(iter(small_arrays().values())))
    path = tmp_path / "a.gz"
    path.write_bytes(spoil(gzip.compress(data, mtime=0)))
    with pytest.raises(FileFormatError, match=r"a\.gz: (not a gzip file|the SHA-256 of the unpacked file must be)"):
        read_idx(path, hashlib.sha256(data).hexdigest())


def test_folders_are_searched_in_order_and_only_whole_ones_count(tmp_path: Path, packed: dict[str, bytes]) -> None:
    home = tmp_path / "home"
    cached = write_files(home / ".cache" / "donna_hw" / "fashion_mnist", packed)
    assert find_or_download(str(tmp_path / "mine"), NOWHERE, "", home) == cached
    mine = write_files(tmp_path / "mine", packed)
    assert find_or_download(str(mine), NOWHERE, "", home) == mine
    assert find_or_download("", NOWHERE, "", home) == cached
    debian = write_files(tmp_path / "debian", packed)
    assert find_or_download(str(mine), debian, "", home) == debian
    (debian / f"{NAMES[2]}.gz").unlink()
    assert find_or_download(str(mine), debian, "", home) == mine


def test_a_download_fills_the_cache_once(tmp_path: Path, packed: dict[str, bytes], server: Server) -> None:
    server.answers = {f"{name}.gz": data for name, data in packed.items()}
    folder = find_or_download("", NOWHERE, server.address, tmp_path)
    assert folder == tmp_path / ".cache" / "donna_hw" / "fashion_mnist"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == server.answers
    assert server.asked == [f"{name}.gz" for name in NAMES]
    assert find_or_download("", NOWHERE, server.address, tmp_path) == folder
    assert len(server.asked) == len(NAMES)


def test_a_corrupt_download_is_refused_and_not_saved(tmp_path: Path, packed: dict[str, bytes], server: Server) -> None:
    server.answers = {f"{name}.gz": data for name, data in packed.items()}
    last = f"{NAMES[-1]}.gz"
    server.answers[last] = gzip.compress(b"something else")
    with pytest.raises(FileFormatError, match=f"{last}: the SHA-256 of the unpacked file must be"):
        find_or_download("", NOWHERE, server.address, tmp_path)
    assert not list(tmp_path.rglob(last))
    server.answers[last] = packed[NAMES[-1]]
    assert (find_or_download("", NOWHERE, server.address, tmp_path) / last).read_bytes() == packed[NAMES[-1]]


def test_a_download_that_breaks_off_is_refused_and_not_saved(
    tmp_path: Path, packed: dict[str, bytes], server: Server
) -> None:
    first = f"{NAMES[0]}.gz"
    server.answers = {first: packed[NAMES[0]][:-10]}
    server.promised = {first: len(packed[NAMES[0]])}
    with pytest.raises(UnavailableError, match=rf"Fashion-MNIST cannot be downloaded from .*{first}.*apt install"):
        find_or_download("", NOWHERE, server.address, tmp_path)
    assert not list(tmp_path.rglob(first))


def test_a_missing_file_and_a_missing_server_give_a_hint(tmp_path: Path, server: Server) -> None:
    with pytest.raises(UnavailableError, match=r"404.*apt install dataset-fashion-mnist, or set data\.folder"):
        find_or_download("", NOWHERE, server.address, tmp_path)
    with pytest.raises(UnavailableError, match=r"apt install dataset-fashion-mnist"):
        find_or_download("", NOWHERE, "http://127.0.0.1:9/", tmp_path)  # port 9, discard: nothing listens


def test_the_small_set_is_loaded_in_three_parts(
    tmp_path: Path, packed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "find_or_download", Path)
    data = load_fashion_mnist(3, str(write_files(tmp_path / "mine", packed)), seed=0)
    assert [len(part) for part in (data.train, data.held_out, data.test)] == [9, 3, 6]
    arrays = list(small_arrays().values())
    pixels = torch.from_numpy(arrays[0]).double()
    expected = (torch.from_numpy(arrays[2]).double() - pixels.mean()) / pixels.std()
    assert (data.test.pixels[:, 0].double() - expected).abs().max() < 1e-5
    assert data.test.labels.tolist() == arrays[3].tolist()
    labels = [*data.train.labels.tolist(), *data.held_out.labels.tolist()]
    assert sorted(labels) == sorted(arrays[1].tolist())


def test_the_real_set_has_60000_and_10000_images_of_ten_equal_classes() -> None:
    needs(all((DEBIAN_FOLDER / f"{name}.gz").is_file() for name in NAMES), "Debian's package dataset-fashion-mnist")
    data = load_dataset("fashion_mnist", held_out=10_000)
    assert [len(part) for part in (data.train, data.held_out, data.test)] == [50_000, 10_000, 10_000]
    assert data.train.pixels.shape[1:] == (1, 28, 28)
    both = torch.cat([data.train.labels, data.held_out.labels])
    assert torch.bincount(both).tolist() == [6000] * 10
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    pixels = torch.cat([data.train.pixels, data.held_out.pixels]).double()
    assert abs(float(pixels.mean())) < 1e-4
    assert abs(float(pixels.std()) - 1) < 1e-4
