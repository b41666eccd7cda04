"""Backend `android`: measure blocks on phones over adb."""
