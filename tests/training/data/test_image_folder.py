"""Images in folders: how they are transformed, and what is refused."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image

from donna_hw._core.imagenet import IMAGENET_MEAN, IMAGENET_STD
from donna_hw.errors import ConfigError, FileFormatError, UnavailableError
from donna_hw.spaces import load_space
from donna_hw.training.data import load_dataset
from donna_hw.training.data.image_folder import open_image_folders, validate_dataset_size

SPACE = load_space("mobilenetv3_1.0@16px@2classes")
COLORS = {"cat": (250, 10, 0), "dog": (0, 100, 200)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images a class to train, two to test, each of one color, so that resizing changes nothing."""
    for part, count in (("train", 3), ("val", 2)):
        for name, color in COLORS.items():
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (30, 20 + number), color).save(tmp_path / part / name / f"{number}.png")
    return tmp_path


def test_images_are_decoded_cropped_and_normalized(folder: Path) -> None:
    data = load_dataset("image_folder", 2, str(folder), 0, SPACE)
    assert (len(data.train), len(data.held_out), len(data.test)) == (4, 2, 4)
    for part in (data.train, data.held_out, data.test):
        assert part.pixels.shape[1:] == (3, 16, 16)
        assert part.pixels.dtype == torch.float32
        for pixels, label in zip(part.pixels, part.labels, strict=True):
            color = torch.tensor(COLORS[("cat", "dog")[int(label)]]) / 255
            expected = ((color - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD))[:, None, None].expand(
                3, 16, 16
            )
            torch.testing.assert_close(pixels, expected)
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert str(folder) in data.source


def test_the_center_is_cropped_from_the_resized_image(tmp_path: Path) -> None:
    """A white square of 16 in the middle of 18 by 36: the shorter side is 16 / 0.875 = 18 long already, so nothing is resized."""
    for part in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            image = Image.new("RGB", (36, 18))
            image.paste((255, 255, 255), (10, 1, 26, 17))
            image.save(tmp_path / part / name / "0.png")
    train, _ = open_image_folders(str(tmp_path), SPACE)
    pixels, _ = train[0]
    white = ((1 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD))[:, None, None].expand(3, 16, 16)
    torch.testing.assert_close(pixels, white)


def test_gray_and_transparent_images_get_three_channels(folder: Path) -> None:
    Image.new("L", (20, 20), 128).save(folder / "train" / "cat" / "gray.png")
    Image.new("RGBA", (20, 20), (1, 2, 3, 4)).save(folder / "train" / "cat" / "transparent.png")
    train, _ = open_image_folders(str(folder), SPACE)
    assert {image.shape for image, _ in train} == {(3, 16, 16)}


def test_images_that_would_fill_the_memory_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 images of 3 x 16 x 16 float32 values are 30,720 bytes."""
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=2 * 30_720))
    validate_dataset_size(str(folder), SPACE)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=2 * 30_719))
    with pytest.raises(
        ConfigError, match=r"10 images of \(3, 16, 16\)\), more than half of the available memory, 0\.0 GiB"
    ):
        validate_dataset_size(str(folder), SPACE)


def test_imagenet_at_full_size_is_refused_in_gibibytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import ImageFolder

    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=64 * 2**30))
    monkeypatch.setattr(ImageFolder, "__len__", lambda part: 50_000 if part.root.endswith("val") else 1_281_167)
    with pytest.raises(
        ConfigError, match=r"746\.5 GiB \(1331167 images .*more than half of the available memory, 32\.0 GiB"
    ):
        validate_dataset_size(str(folder), load_space("donna@224px@2classes"))


@pytest.mark.parametrize("missing", ["train", "val"])
def test_a_missing_part_is_reported(folder: Path, missing: str) -> None:
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(FileFormatError, match=f"{missing}: no folder with images for every class"):
        open_image_folders(str(folder), SPACE)


def test_a_class_without_images_is_reported(folder: Path) -> None:
    for path in (folder / "train" / "dog").iterdir():
        path.unlink()
    with pytest.raises(FileFormatError, match="dog"):
        open_image_folders(str(folder), SPACE)


def test_parts_of_other_classes_are_refused(folder: Path) -> None:
    """Their labels would have different meanings."""
    (folder / "val" / "cat").rename(folder / "val" / "cow")
    with pytest.raises(FileFormatError, match="must have the same classes, but cat is in one of them only"):
        open_image_folders(str(folder), SPACE)


def test_a_file_that_is_not_an_image_is_reported(folder: Path) -> None:
    (folder / "val" / "dog" / "9.png").write_text("no image")
    with pytest.raises(FileFormatError, match=r"val/dog/9\.png: not a readable image"):
        load_dataset("image_folder", 2, str(folder), 0, SPACE)


@pytest.mark.parametrize(
    ("space", "where", "message"),
    [
        ("small_8px", "here", "3 channels, which the input of space small_8px must have too; got 1"),
        ("donna@16px", "here", 'must have 2 classes, .*; got 1000; set space = "donna@16px@2classes"'),
        ("donna@16px@3classes", "here", 'must have 2 classes, .*; got 3; set space = "donna@16px@2classes"'),
        ("donna@16px@2classes", "", r"data\.folder is missing"),
    ],
)
def test_a_space_that_does_not_fit_is_refused(folder: Path, space: str, where: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_image_folders(str(folder) if where else "", load_space(space))


def test_images_in_a_zip_are_those_of_the_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = Path(shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "images"), "zip", folder))
    from_folder, from_zip = (load_dataset("image_folder", 2, str(source), 0, SPACE) for source in (folder, path))
    for part in ("train", "held_out", "test"):
        assert torch.equal(getattr(from_folder, part).pixels, getattr(from_zip, part).pixels)
        assert torch.equal(getattr(from_folder, part).labels, getattr(from_zip, part).labels)
    assert [file.name for file in path.parent.iterdir()] == ["images.zip"]  # nothing is unpacked


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no zip", r"images\.zip: not a readable zip file"), (None, "train: no folder with images")],
)
def test_an_invalid_or_empty_zip_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "images.zip"
    if content is None:
        zipfile.ZipFile(path, "w").close()
    else:
        path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        open_image_folders(str(path), SPACE)


def test_a_corrupt_image_in_a_zip_file_is_reported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "val" / "dog" / "9.png").write_text("no image")
    path = shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "images"), "zip", folder)
    with pytest.raises(FileFormatError, match=r"images\.zip/val/dog/9\.png: not a readable image"):
        load_dataset("image_folder", 2, path, 0, SPACE)


def test_images_to_test_on_may_be_in_test(folder: Path) -> None:
    _, val = open_image_folders(str(folder), SPACE)
    (folder / "val").rename(folder / "test")
    _, test = open_image_folders(str(folder), SPACE)
    assert test.targets == val.targets


def test_an_image_of_the_target_size_is_not_cropped(tmp_path: Path) -> None:
    """A white corner pixel would be cut off or blurred by a crop or a resize."""
    for part in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            image = Image.new("RGB", (16, 16))
            image.putpixel((0, 0), (255, 255, 255))
            image.save(tmp_path / part / name / "0.png")
    pixels, _ = open_image_folders(str(tmp_path), SPACE)[0][0]
    white, black = ((level - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD) for level in (1.0, 0.0))
    torch.testing.assert_close(pixels[:, 0, 0], white)
    torch.testing.assert_close(pixels[:, 0, 1], black)


def test_a_missing_torchvision_is_reported_with_its_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("donna_hw._core.torchvision_compat.find_spec", lambda _name: None)
    with pytest.raises(UnavailableError, match=r"needs the package torchvision; pip install 'donna-hw\[timm\]'"):
        open_image_folders(str(folder), SPACE)
