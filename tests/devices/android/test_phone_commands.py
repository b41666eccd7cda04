"""`donna-hw devices` and `phone clean` over the real adb client."""

from __future__ import annotations

from collections.abc import Callable

from adbd import Phone

from donna_hw.devices.backends.android.remote_files import ROOT

Main = Callable[..., tuple[int, str, str]]


def test_phones_are_shown_with_what_they_are_and_how_they_are(
    main: Main, phone: Phone, plug_in: Callable[..., Phone]
) -> None:
    locked = plug_in("locked", connect=False)
    locked.faults.unauthorized = True
    code, out, _ = main("devices")
    assert code == 0
    row = next(line for line in out.splitlines() if phone.serial in line)
    for word in (
        "samsung SM-G981U",
        "Snapdragon 865",
        " 13 ",
        "battery 28.7 C, skin 29.9 C",
        "71 %, charging",
        "schedutil",
        "screen is on",
    ):
        assert word in row
    assert locked.serial not in out, "what was never connected is not attached"
    samsung = next(line for line in out.splitlines() if line.startswith("samsung_s20 "))
    assert samsung.endswith("yes")


def test_without_a_phone_it_says_so(main: Main) -> None:
    assert "adb sees no phone" in main("devices")[1]


def test_a_phone_is_cleaned_of_everything_of_ours_and_nothing_else(main: Main, phone: Phone) -> None:
    for name in (f"{ROOT}/kept/x", "/data/local/tmp/theirs"):
        phone.here(name).parent.mkdir(parents=True, exist_ok=True)
        phone.here(name).write_text("x")
    code, out, _ = main("phone", "clean")
    assert (code, out) == (0, f"{phone.serial}: {ROOT} is removed\n")
    assert not phone.here(ROOT).exists()
    assert phone.here("/data/local/tmp/theirs").exists()
    assert main("phone", "clean", "--serial", "nobody")[0] == 2
