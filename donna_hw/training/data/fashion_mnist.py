"""Fashion-MNIST: 60,000 real 28x28 images from Debian's package, the user's folder or a verified download, in this order."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from donna_hw._core.files import write_atomic
from donna_hw.errors import FileFormatError, UnavailableError
from donna_hw.training.data.dataset import Dataset, Images, normalize, split_images

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
DOWNLOAD_URL = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"
# SHA-256 of the unpacked files: the compressed files may differ, the images do not.
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FILE_PREFIXES = {"train": "train", "test": "t10k"}
CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


@dataclass(frozen=True)
class RawImages:
    """Images as stored in the files: pixels uint8 [n, 28, 28], labels uint8 [n]."""

    pixels: np.ndarray
    labels: np.ndarray


def load_fashion_mnist(held_out: int, folder: str, seed: int) -> Dataset:
    """Return the 60,000 training images, `held_out` of them apart by `seed`, and the 10,000 test images."""
    source = find_or_download(folder)
    raw = {part: read_split(folder, part) for part in FILE_PREFIXES}
    mean, std = compute_mean_std(raw["train"])
    images = {
        part: Images(normalize(torch.from_numpy(split.pixels), mean, std), torch.from_numpy(split.labels).long())
        for part, split in raw.items()
    }
    train, held = split_images(images["train"], held_out, seed)
    test = images["test"]
    return Dataset(
        "fashion_mnist", train, held, test, f"Fashion-MNIST (Xiao et al. 2017), checksums right, read from {source}"
    )


def read_split(folder: str, part: str) -> RawImages:
    """Return all images of a part, `train` or `test`."""
    source = find_or_download(folder)
    names = [name for name in FILES if name.startswith(FILE_PREFIXES[part])]
    pixels, labels = (read_idx(source / f"{name}.gz", FILES[name]) for name in names)
    return RawImages(pixels, labels)


def compute_mean_std(images: RawImages) -> tuple[float, float]:
    """Return the mean and the standard deviation of all pixels, in 0..255."""
    pixels = torch.from_numpy(images.pixels).float()
    return float(pixels.mean()), float(pixels.std())


def find_or_download(
    folder: str, debian: Path = DEBIAN_FOLDER, url: str = DOWNLOAD_URL, home: Path | None = None
) -> Path:
    """Return the first folder that holds all four files: Debian's, the user's, or the cache, which is downloaded when it is empty.

    Args:
        folder: The user's folder, or empty.
        debian: The folder of Debian's package.
        url: Where the files are downloaded from.
        home: The home folder, whose `.cache/donna_hw/fashion_mnist` is the cache.

    Raises:
        UnavailableError: When a download fails.
        FileFormatError: When a downloaded file is corrupt.
    """
    folders = [
        debian,
        *([Path(folder)] if folder else []),
        (home or Path.home()) / ".cache" / "donna_hw" / "fashion_mnist",
    ]
    for candidate in folders:
        if all((candidate / f"{name}.gz").is_file() for name in FILES):
            return candidate
    for name, digest in FILES.items():
        _download(url + f"{name}.gz", folders[-1] / f"{name}.gz", digest)
    return folders[-1]


def read_idx(path: Path, digest: str) -> np.ndarray:
    """Return an IDX file's unsigned bytes as a writable array of its declared shape; raises `FileFormatError` for a wrong checksum."""
    data = bytearray(_decompress(path.read_bytes(), str(path), digest))
    rank = data[3]
    shape = np.frombuffer(data, ">u4", rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape.tolist())


def _download(url: str, path: Path, digest: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  a fixed https address, checked by digest
            packed = response.read()
    except (http.client.HTTPException, OSError) as error:
        raise UnavailableError(
            f"Fashion-MNIST cannot be downloaded from {url}",
            got=str(error),
            hint="apt install dataset-fashion-mnist, or set data.folder in the recipe to the folder of its four .gz files",
        ) from None
    _decompress(packed, url, digest)
    write_atomic(path, packed)


def _decompress(packed: bytes, source: str, digest: str) -> bytes:
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(
            f"{source}: not a gzip file", got=str(error), hint="delete it to download it again"
        ) from None
    actual = hashlib.sha256(data).hexdigest()
    if actual != digest:
        raise FileFormatError(
            f"{source}: the SHA-256 of the unpacked file must be {digest}",
            got=actual,
            hint="delete it to download it again",
        )
    return data
