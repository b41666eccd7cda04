"""Backend `android`: blocks on phones over adb."""
